"""DCGAN (Radford et al. 2016, arXiv 1511.06434) at an image's native size."""

import torch
from torch import Tensor, nn

from gen.networks import Critic, Drawable, Flatten, Unflatten, initialise, pyramid


class Generator(Drawable):
    """Noise [N, latent_dim] to images [N, C, S, S] in [-1, 1]."""

    def __init__(self, latent_dim: int, channels: int, size: int, width: int) -> None:
        """`width`: feature maps before the last layer; each coarser level has twice as many."""
        super().__init__()
        side, levels = pyramid(size)
        top = width * 2 ** (levels - 1)
        layers: list[nn.Module] = [nn.Linear(latent_dim, top * side**2, bias=False), Unflatten(top, side)]
        layers += [nn.BatchNorm2d(top), nn.ReLU(inplace=True)]
        for level in reversed(range(1, levels)):
            wide, narrow = width * 2**level, width * 2 ** (level - 1)
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow)]
            layers += [nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh())

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        initialise(self, generator)

    def forward(self, noise: Tensor) -> Tensor:
        """Noise [N, latent_dim] to images [N, C, S, S]."""
        images: Tensor = self.layers(noise)
        return images


class Discriminator(Critic):
    """Images [N, C, S, S] to logits [N]: high means real."""

    def __init__(self, channels: int, size: int, width: int, *, batch_norm: bool) -> None:
        """`width`: feature maps after the first layer; each coarser level has twice as many."""
        super().__init__()
        side, levels = pyramid(size)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for level in range(1, levels):
            narrow, wide = width * 2 ** (level - 1), width * 2**level
            layers.append(nn.Conv2d(narrow, wide, 4, 2, 1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(wide)] * batch_norm + [nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, Flatten(), nn.Linear(width * 2 ** (levels - 1) * side**2, 1))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        initialise(self, generator)
