"""Normalising flows: what bends a normal posterior into another one whose density is still known.

Each takes codes [N, K, d], K of each image, and what the encoder says of each image, `context` [N, flow.context]; it
gives the bent codes and the logarithm of the determinant of its Jacobian [N, K], by which log q falls.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, linear, logsigmoid, softplus

PosteriorName = Literal["diagonal", "planar", "iaf"]
TINY = 1e-12


class Flow(nn.Module):
    """A flow of several steps."""

    context: int
    """Numbers that it takes of each image."""

    def forward(self, codes: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Codes [N, K, d] with context [N, self.context] to codes [N, K, d] and log-determinants [N, K]."""
        raise NotImplementedError


def flow(name: PosteriorName, latent_dim: int, flows: int, width: int) -> Flow | None:
    """The flow called `name`, of so many steps; None for the normal posterior as it is."""
    match name:
        case "diagonal":
            return None
        case "planar":
            return Planar(latent_dim, flows)
        case "iaf":
            return InverseAutoregressive(latent_dim, flows, width)


class Planar(Flow):
    """z + u tanh(w z + b), where the encoder gives u, w and b of each step (Rezende & Mohamed 2015, arXiv 1505.05770).

    It can be inverted where w u > -1 (their appendix A.1), so the part of u along w is replaced by one of which that
    holds: w u becomes m(w u), m(x) = log(1 + (e - 1) exp(x)) - 1. The paper's m(x) = log(1 + exp(x)) - 1 is not 0 at 0:
    with it a step moves codes where u is 0, and the further the smaller w is.
    """

    def __init__(self, latent_dim: int, flows: int) -> None:
        super().__init__()
        self.flows = flows
        self.context = flows * (2 * latent_dim + 1)

    def forward(self, codes: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """As every flow."""
        latent_dim, log_determinant = codes.shape[2], torch.zeros_like(codes[:, :, 0])
        for step in context.view(len(codes), self.flows, 1, -1).unbind(1):
            u, w, b = torch.split(step, [latent_dim, latent_dim, 1], 2)
            inner = (w * u).sum(2, keepdim=True)
            above = softplus(inner + math.log(math.e - 1))
            u = u + (above - 1 - inner) * w / w.square().sum(2, keepdim=True).clamp_min(TINY)
            hidden = torch.tanh((codes * w).sum(2, keepdim=True) + b)
            codes = codes + u * hidden
            # 1 + (1 - hidden^2) w u, without its cancellation where w u is near -1.
            determinant = hidden.square() + (1 - hidden.square()) * above
            log_determinant = log_determinant + determinant.log().squeeze(2)
        return codes, log_determinant


class InverseAutoregressive(Flow):
    """s z + m, where s and m of a latent see the latents before it alone (Kingma et al. 2016, arXiv 1606.04934).

    Latents take turns in who comes first, from one step to the next. The gate s = 2 sigmoid(.) is twice that of
    equation 14, so that a step whose weights are 0 leaves every code as it is.
    """

    def __init__(self, latent_dim: int, flows: int, width: int) -> None:
        """`width`: hidden units of a step."""
        super().__init__()
        self.context = flows * width
        self.steps = nn.ModuleList(Step(latent_dim, width, backwards=bool(number % 2)) for number in range(flows))

    def forward(self, codes: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """As every flow."""
        log_determinant = torch.zeros_like(codes[:, :, 0])
        for step, told in zip(self.steps, context.chunk(len(self.steps), 1), strict=True):
            shift, gate = (made.to(codes.dtype) for made in step(codes, told))
            log_scale = math.log(2) + logsigmoid(gate)
            codes = codes * log_scale.exp() + shift
            log_determinant = log_determinant + log_scale.sum(2)
        return codes, log_determinant


class Step(nn.Module):
    """The network of one step, with masks as MADE has them (Germain et al. 2015, arXiv 1502.03509)."""

    def __init__(self, latent_dim: int, width: int, *, backwards: bool) -> None:
        """`backwards`: the last latent comes first."""
        super().__init__()
        places = torch.arange(1, latent_dim + 1)
        places = places.flip(0) if backwards else places
        # A unit sees as many latents as its number says: with 0 it knows the image alone, as the first latent must.
        units = torch.arange(width) % latent_dim
        outward = places[:, None] > units
        self.hidden = Masked(units[:, None] >= places)
        self.shift, self.gate = Masked(outward), Masked(outward)

    def forward(self, codes: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Codes [N, K, d] and context [N, width] to a shift and a gate for each: [N, K, d]."""
        hidden = elu(self.hidden(codes) + context[:, None])
        return self.shift(hidden), self.gate(hidden)


class Masked(nn.Linear):
    """A dense layer without the weights that a mask [outputs, inputs] leaves out."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs]."""
        return linear(inputs, self.weight * self.mask, self.bias)
