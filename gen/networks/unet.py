"""The U-Net generator: halvings, doublings, and a shortcut between those of one size.

Isola et al. 2017, arXiv 1611.07004, appendix 6.1.1.
"""

import torch
from torch import Tensor, nn

WIDEST = 8
"""Times `width`: feature maps grow no further."""


def halvings(size: int) -> int:
    """How often images of `size` are halved: to 4 to 7 pixels, or as long as the size is even; 28 -> 2, 128 -> 5."""
    count = 0
    while size % 2 == 0 and size > 7:
        size, count = size // 2, count + 1
    return count


class Generator(nn.Module):
    """Images [N, C, S, S] in [-1, 1] of one domain to images of the other.

    Without the dropout of the paper: one image has one translation.
    """

    def __init__(self, channels: int, size: int, width: int) -> None:
        """`width`: feature maps at half size (64 in the paper)."""
        super().__init__()
        widths = [width * min(2**level, WIDEST) for level in range(halvings(size))]
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(given, wide, 4, 2, 1),
                # None on the first, as in the paper: it would take the brightness of the image away.
                nn.InstanceNorm2d(wide) if level else nn.Identity(),
                nn.LeakyReLU(0.2, inplace=True),
            )
            for level, (given, wide) in enumerate(zip([channels, *widths], widths, strict=False))
        )
        # Each but the innermost also takes what the halving of its size gave.
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(wide if inner == 0 else 2 * wide, narrow, 4, 2, 1),
                nn.InstanceNorm2d(narrow),
                nn.ReLU(inplace=True),
            )
            for inner, (wide, narrow) in enumerate(zip(widths[:0:-1], widths[-2::-1], strict=True))
        )
        self.last = nn.Sequential(
            nn.ConvTranspose2d(2 * width if len(widths) > 1 else width, channels, 4, 2, 1), nn.Tanh()
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, S, S] to images of the same shape."""
        shortcuts, maps = [], images
        for layer in self.down:
            maps = layer(maps)
            shortcuts.append(maps)
        shortcuts.pop()
        for layer in self.up:
            maps = torch.cat([layer(maps), shortcuts.pop()], 1)
        made: Tensor = self.last(maps)
        return made
