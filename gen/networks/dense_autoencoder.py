"""The dense encoder and decoder of the VAE, `network: mlp`: those of Kingma & Welling 2014 and of Burda et al. 2016.

Layers are followed by tanh (arXiv 1312.6114, appendix C; arXiv 1509.00519, section 5) and begin as Glorot and Bengio
have it, which keeps tanh out of its flat ends whatever the size of the images.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gen.networks import encoder

Shape = tuple[int, int, int]


class Encoder(encoder.Encoder):
    """Images of any shape to the posterior's mean and log-variance, [N, latent_dim] each."""

    def __init__(self, latent_dim: int, shape: Shape, widths: Sequence[int], context: int) -> None:
        """`widths`: units of each hidden layer, from the image on; `context`: as gen.networks.encoder has it."""
        trunk = nn.Sequential(nn.Flatten(), *_hidden([math.prod(shape), *widths]))
        super().__init__(trunk, widths[-1], latent_dim, context)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """As of every encoder, by intensities from 0 to 1, as both papers have them.

        Of [-1, 1] the black that most pixels are would be the largest part of every sum, and tanh nearly flat there.
        """
        return super().forward(images.add(1).mul(0.5))


class Decoder(nn.Module):
    """Latents [N, latent_dim] to the likelihood's parameter for each pixel, [N, *shape], without an activation."""

    def __init__(self, latent_dim: int, shape: Shape, widths: Sequence[int]) -> None:
        """`widths`: units of each hidden layer of the encoder; here they come in the other order."""
        super().__init__()
        self.layers = nn.Sequential(
            *_hidden([latent_dim, *reversed(widths)]),
            nn.Linear(widths[0], math.prod(shape)),
            nn.Unflatten(1, shape),
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Latents [N, latent_dim] to [N, *shape]."""
        pixels: Tensor = self.layers(latents)
        return pixels


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Weights uniform with variance 2 / (inputs + outputs), every bias 0 (Glorot and Bengio 2010, equation 16)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.is_meta:
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)


def _hidden(sizes: Sequence[int]) -> list[nn.Module]:
    """Layers from each size to the next, with tanh after each."""
    return [layer for ends in pairwise(sizes) for layer in (nn.Linear(*ends), nn.Tanh())]
