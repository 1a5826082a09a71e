"""How far translated images are from what they are to be: the true ones, or those that a translator began with."""

from torch import Tensor

VERSION = 1


def pair_errors(translated: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of each image [N], of images [N, C, H, W] in [-1, 1]; black against white is 4."""
    return (translated - wanted).square().flatten(1).mean(1)
