"""strided-cnn: the small classifier that this project trains on a dataset's own labels, or on rotations."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from gen.extractors.architecture import Architecture, Network
from gen.images import to_float

NAME = "strided-cnn"
TAP = "pooled"


class StridedNetwork(Network):
    """Strided convolutions down to at most 8 x 8 positions, their average as features, and a linear classifier."""

    def __init__(self, size: int, channels: int, dimension: int, classes: int) -> None:
        super().__init__()
        halvings = max(1, math.ceil(math.log2(size / 8)))
        widths = [channels, *(min(32 * 2**level, 64) for level in range(halvings))]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        for wide in (widths[-1], dimension):
            layers += [nn.Conv2d(widths[-1], wide, 3, 1, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(dimension, classes)

    def features(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] to [N, dimension], all >= 0."""
        pooled: Tensor = self.trunk(images).mean((2, 3))
        return pooled

    def logits(self, features: Tensor) -> Tensor:
        """Features [N, dimension] to [N, classes]."""
        logits: Tensor = self.head(features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] to logits [N, classes]."""
        return self.logits(self.features(images))


def architecture(size: int, channels: int, dimension: int, labels: Sequence[str]) -> Architecture:
    """The architecture of one that is trained on images of `size` x `size` x `channels`."""
    return Architecture(
        taps={TAP: dimension},
        build=lambda _: StridedNetwork(size, channels, dimension, len(labels)),
        prepare=to_float,
        preprocessing="uint8 / 127.5 - 1, no resize",
        channels=(channels,),
        smallest=size,
        largest=size,
        labels=tuple(labels),
    )
