"""Spectral norm (Miyato et al. 2018, arXiv 1802.05957): no layer of a network stretches anything by more than 1."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

BEGINNING = 15
"""Power iterations of a fresh weight: from then on it changes little between two of them."""


class SpectralNorm(nn.Module):
    """A weight over its largest singular value, as a matrix of outputs by everything else.

    The value is estimated by one pair of vectors that are buffers, so that checkpoints hold them. Passes leave them as
    they are: only `advance` moves them, so a pass through a frozen network changes nothing.
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor, generator: torch.Generator) -> None:
        """For `weight` as it is now, from a vector drawn from `generator`."""
        super().__init__()
        rows = weight.detach().flatten(1)
        self.register_buffer("left", normalize(torch.randn(len(rows), generator=generator), dim=0))
        self.register_buffer("right", torch.zeros(rows.shape[1]))
        for _ in range(BEGINNING):
            self.iterate(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, scaled. Its gradient takes both vectors for constants (equation 12)."""
        # In all digits, whatever the network computes in: every weight of the layer hangs on this one number.
        with torch.autocast(weight.device.type, enabled=False):
            return weight / (self.left @ weight.flatten(1) @ self.right)

    @torch.no_grad()
    def iterate(self, weight: Tensor) -> None:
        """One power iteration (equation 18)."""
        rows = weight.flatten(1)
        self.right.copy_(normalize(self.left @ rows, dim=0))
        self.left.copy_(normalize(rows @ self.right, dim=0))


def constrain(network: nn.Module, generator: torch.Generator) -> None:
    """Put every convolution and dense layer of `network`, which has its first weights, under spectral norm."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight, generator))


def advance(network: nn.Module) -> None:
    """One power iteration in each of its layers; due once before every update (algorithm 1)."""
    for layer in network.modules():
        if isinstance(layer, parametrize.ParametrizationList) and isinstance(layer[0], SpectralNorm):
            layer[0].iterate(layer.get_parameter("original"))
