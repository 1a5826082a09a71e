"""CycleGAN's own generator, of residual blocks (Zhu et al. 2017, arXiv 1703.10593, section 4 and appendix 7.2)."""

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two reflection-padded 3x3 convolutions with instance norm, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """[N, width, H, W] to the same shape."""
        changed: Tensor = self.layers(features)
        return features + changed


class Generator(nn.Module):
    """Images [N, C, S, S] in [-1, 1] of one domain to images of the other: two halvings, blocks, two doublings."""

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        """`width`: feature maps at full size (64 in the paper); `blocks`: 6 at 128 px, 9 at 256 px there."""
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 7, padding=3, padding_mode="reflect")]
        layers += [nn.InstanceNorm2d(width), nn.ReLU(inplace=True)]
        for narrow in (width, 2 * width):
            layers += [nn.Conv2d(narrow, 2 * narrow, 3, 2, 1), nn.InstanceNorm2d(2 * narrow), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(4 * width) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            layers += [nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, output_padding=1)]
            layers += [nn.InstanceNorm2d(wide // 2), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, S, S] to images of the same shape."""
        translated: Tensor = self.layers(images)
        return translated
