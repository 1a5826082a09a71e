"""Residual networks without norms, as R3GAN's (Huang et al. 2024, arXiv 2501.05441, section 3), in their plain form.

All convolutions are whole ones, where the paper's largest networks have grouped ones in wider blocks.
"""

import torch
from torch import Tensor, nn

from gen.networks import GAIN, LEAK, Critic, Drawable, Flatten, initialise_by_fan_in, pyramid


class Block(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with leaky ReLUs between them, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 1)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, width, 1, bias=False)
        self.bend = nn.LeakyReLU(LEAK, inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """[N, width, H, W] to the same shape."""
        changed: Tensor = self.last(self.bend(self.middle(self.bend(self.first(features)))))
        return features + changed


class Generator(Drawable):
    """Noise [N, latent_dim] to images [N, C, S, S] in [-1, 1]: a learned constant, scaled by the noise, grows up."""

    def __init__(self, latent_dim: int, channels: int, size: int, width: int, blocks: int) -> None:
        """`width`: feature maps at full size, twice as many at each coarser level; `blocks`: at each level."""
        super().__init__()
        side, doublings = pyramid(size)
        widths = [width * 2**level for level in reversed(range(doublings + 1))]
        self.constant = nn.Parameter(torch.zeros(widths[0], side, side))
        self.scale = nn.Linear(latent_dim, widths[0], bias=False)
        layers: list[nn.Module] = []
        for level, narrow in enumerate(widths):
            if level:
                # In this order, which gives the same as the other one, the convolution has a quarter of the pixels.
                layers += [nn.Conv2d(2 * narrow, narrow, 1, bias=False), nn.Upsample(scale_factor=2, mode="bilinear")]
            layers += [Block(narrow) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 1), nn.Tanh())

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights, and the constant as normal(0, 1)."""
        _initialise(self, generator)
        if not self.constant.is_meta:
            nn.init.normal_(self.constant, generator=generator)

    def forward(self, noise: Tensor) -> Tensor:
        """Noise [N, latent_dim] to images [N, C, S, S]."""
        images: Tensor = self.layers(self.constant * self.scale(noise)[:, :, None, None])
        return images


class Discriminator(Critic):
    """Images [N, C, S, S] to logits [N]: high means real. The generator's way back."""

    def __init__(self, channels: int, size: int, width: int, blocks: int) -> None:
        """`width`: feature maps at full size, twice as many at each coarser level; `blocks`: at each level."""
        super().__init__()
        side, doublings = pyramid(size)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 1)]
        for level in range(doublings + 1):
            wide = width * 2**level
            if level:
                # The mean of four pixels is what bilinear resampling to half the size gives.
                layers += [nn.AvgPool2d(2), nn.Conv2d(wide // 2, wide, 1, bias=False)]
            layers += [Block(wide) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, Flatten(), nn.Linear(wide * side**2, 1))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        _initialise(self, generator)


def _initialise(network: nn.Module, generator: torch.Generator) -> None:
    """So that no signal grows with depth, though there are no norms (Fixup: Zhang et al. 2019, arXiv 1901.09321).

    Of L blocks the last convolution is 0, so each begins as the identity, and the others are smaller by L^(1/4).
    What lies between blocks has gain 1, for no leaky ReLU follows it.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            initialise_by_fan_in(layer, generator)
    blocks = [block for block in network.modules() if isinstance(block, Block)]
    for block in blocks:
        for layer in (block.first, block.middle):
            initialise_by_fan_in(layer, generator, GAIN * len(blocks) ** -0.25)
        initialise_by_fan_in(block.last, generator, 0.0)
