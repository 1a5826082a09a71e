"""Dense networks (Goodfellow et al. 2014, arXiv 1406.2661, section 5): for small images of any size."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gen.networks import GAIN, LEAK, Critic, Drawable, Flatten, Unflatten, initialise_by_fan_in


class Generator(Drawable):
    """Noise [N, latent_dim] to images [N, C, S, S] in [-1, 1]."""

    def __init__(self, latent_dim: int, channels: int, size: int, widths: Sequence[int]) -> None:
        """`widths`: of the hidden layers, from the noise on."""
        super().__init__()
        hidden = _hidden([latent_dim, *widths])
        last = nn.Linear(widths[-1], channels * size**2)
        self.layers = nn.Sequential(*hidden, last, nn.Tanh(), Unflatten(channels, size))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        _initialise(self.layers, generator)

    def forward(self, noise: Tensor) -> Tensor:
        """Noise [N, latent_dim] to images [N, C, S, S]."""
        images: Tensor = self.layers(noise)
        return images


class Discriminator(Critic):
    """Images [N, C, S, S] to logits [N]: high means real."""

    def __init__(self, channels: int, size: int, widths: Sequence[int]) -> None:
        """`widths`: as of its generator, so here from the logit back."""
        super().__init__()
        hidden = _hidden([channels * size**2, *reversed(widths)])
        self.layers = nn.Sequential(Flatten(), *hidden, nn.Linear(widths[0], 1))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        _initialise(self.layers, generator)


def _hidden(widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(LEAK, inplace=True)]
    return layers


def _initialise(layers: nn.Sequential, generator: torch.Generator) -> None:
    """The last layer, which no leaky ReLU follows, with gain 1."""
    dense = [layer for layer in layers if isinstance(layer, nn.Linear)]
    for layer in dense:
        initialise_by_fan_in(layer, generator, 1.0 if layer is dense[-1] else GAIN)
