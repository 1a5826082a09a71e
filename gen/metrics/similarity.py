"""How like a reconstruction is to its image: peak signal-to-noise ratio and structural similarity."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d

VERSION = 1
Array = NDArray[np.float64]
WINDOW = 11
"""Side of the window of the similarity, as published; odd."""
SIGMA = 1.5
K1, K2 = 0.01, 0.03


def peak_signal_to_noise(errors: Array) -> Array:
    """Decibels of mean squared errors [R] of images in [-1, 1], whose peak is 2: infinite where there is no error.

    Of errors that are means over all images, for a mean of decibels is infinite as soon as one blank image comes right.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(4 / errors))


def structural_similarities(made: Tensor, true: Tensor) -> Tensor:
    """SSIM of each image [N] (Wang et al. 2004, eq. 13), of images [N, C, H, W] in [-1, 1]: at most 1, for equal ones.

    The mean over all windows that lie inside of the image, and over channels; values are taken as [0, 1].
    """
    side = window(min(made.shape[2:]))
    # Windows are exponentials of distances from the middle, of sum 1.
    places = torch.arange(side, dtype=torch.float64) - side // 2
    line = torch.exp(-places.square() / (2 * SIGMA**2))
    weights = (line[:, None] * line / line.sum().square()).to(made)[None, None]
    x, y = (images.add(1).mul(0.5).flatten(0, 1)[:, None] for images in (made, true))
    mean_x, mean_y, xx, yy, xy = (conv2d(values, weights) for values in (x, y, x * x, y * y, x * y))
    c1, c2 = K1**2, K2**2
    spreads = (xx - mean_x.square()) + (yy - mean_y.square())
    similarities = (2 * mean_x * mean_y + c1) * (2 * (xy - mean_x * mean_y) + c2)
    similarities = similarities / ((mean_x.square() + mean_y.square() + c1) * (spreads + c2))
    return similarities.flatten(1).mean(1).view(len(made), -1).mean(1)


def window(side: int) -> int:
    """Side of the window for images of `side` pixels: the published one, or the largest odd one inside of them."""
    return min(WINDOW, side - 1 + side % 2)
