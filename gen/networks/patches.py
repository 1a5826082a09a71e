"""The PatchGAN discriminator, which judges patches and never sees the whole (Isola et al. 2017, arXiv 1611.07004)."""

from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Images [N, C, S, S] to one score a patch [N, 1, h, w]: 1 means real. With 3 halvings a patch is 70x70."""

    def __init__(self, channels: int, width: int, halvings: int) -> None:
        """`width`: feature maps after the first layer; `halvings`: 2 sees patches of 34x34, 3 of 70x70."""
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for level in range(1, halvings + 1):
            narrow, wide = width * min(2 ** (level - 1), 8), width * min(2**level, 8)
            layers += [nn.Conv2d(narrow, wide, 4, 2 if level < halvings else 1, 1)]
            layers += [nn.InstanceNorm2d(wide), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(wide, 1, 4, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, S, S] to scores [N, 1, h, w]."""
        scores: Tensor = self.layers(images)
        return scores
