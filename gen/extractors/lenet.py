"""lenet: the LeNet of LeCun et al. 1998 with tanh and maxima, for handwritten digits."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.extractors.architecture import Architecture, Network

NAME = "lenet"
SIDE = 32
"""Pixels that every image is padded to, each way."""
LARGEST = 28


class LeNet(Network):
    """Three convolutions and two linear layers; features are what the last but one gives."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = {"c1": nn.Conv2d(1, 6, 5), "c3": nn.Conv2d(6, 16, 5), "c5": nn.Conv2d(16, 120, 5)}
        self.convnet = nn.ModuleDict(convolutions)
        self.fc = nn.ModuleDict({"f6": nn.Linear(120, 84), "f7": nn.Linear(84, 10)})

    def features(self, images: Tensor) -> Tensor:
        """Images [N, 1, 32, 32] in [0, 1] to [N, 84] in (-1, 1)."""
        maps = functional.max_pool2d(self.convnet["c1"](images).tanh(), 2)
        maps = functional.max_pool2d(self.convnet["c3"](maps).tanh(), 2)
        flat = self.convnet["c5"](maps).tanh().flatten(1)
        features: Tensor = self.fc["f6"](flat).tanh()
        return features

    def logits(self, features: Tensor) -> Tensor:
        """Features [N, 84] to [N, 10]."""
        logits: Tensor = self.fc["f7"](features)
        return logits


def prepare(pixels: Tensor) -> Tensor:
    """Images uint8 [N, H, W, 1] to float32 [N, 1, 32, 32] in [0, 1], in the middle of zeros."""
    images = pixels.permute(0, 3, 1, 2).float().div_(255)
    above, left = ((SIDE - side) // 2 for side in images.shape[2:])
    below, right = SIDE - images.shape[2] - above, SIDE - images.shape[3] - left
    return functional.pad(images, (left, right, above, below)).contiguous(memory_format=torch.channels_last)


ARCHITECTURE = Architecture(
    taps={"f6": 84},
    build=lambda _: LeNet(),
    prepare=prepare,
    preprocessing="uint8 / 255, padded with zeros to 32 x 32",
    channels=(1,),
    largest=LARGEST,
    labels=tuple(str(digit) for digit in range(10)),
)
