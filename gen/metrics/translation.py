"""How far translated images are from the true ones, where somebody knows them."""

from torch import Tensor

VERSION = 1


def pair_errors(translated: Tensor, true: Tensor) -> Tensor:
    """Mean squared error of each image [N], of images [N, C, H, W] in [-1, 1]; black against white is 4."""
    return (translated - true).square().flatten(1).mean(1)
