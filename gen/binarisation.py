"""Grey images as black and white ones: each pixel is white with the probability that its grey level says.

Salakhutdinov and Murray 2008, section 5, did it once (static); Burda et al. 2016 anew each time (dynamic).
"""

from typing import Literal

import torch
from torch import Tensor

Binarisation = Literal["none", "static", "dynamic"]
SEED = 20080705
STEP, FIRST, SECOND = (-7046029254386353131, -4658895280553007687, -7723592293110705685)
"""Constants of splitmix64 (Steele, Lea and Flood 2014) as signed numbers."""
BITS = 24
"""Of the number between 0 and 1 that decides on a pixel."""


def drawn(images: Tensor, noise: Tensor) -> Tensor:
    """Images [N, C, H, W] in [-1, 1] to images of -1 and 1 alone, by standard normal `noise` [N, C * H * W]."""
    # Where noise lies in its distribution is uniform between 0 and 1.
    uniform = torch.special.ndtr(noise).view_as(images)
    return _black_or_white(uniform <= images.add(1).mul(0.5), images)


def fixed(images: Tensor) -> Tensor:
    """The same, drawn once and for all: what becomes of an image follows from its own pixels and from nothing else.

    So a set of images is one set of binarised images, in whatever order, batch, process or split they come, on any
    device; images that are black and white already stay as they are.
    """
    greys = images.add(1).mul(127.5).round().long().flatten(1)
    places = torch.arange(1, greys.shape[1] + 1, device=images.device) * STEP
    # A number for each image, made of all its pixels, then one for each pixel of that.
    keys = _mixed((greys * (_mixed(places + SEED) | 1)).sum(1) + SEED)
    uniform = _mixed(keys[:, None] + places) & (2**BITS - 1)
    return _black_or_white((uniform * 255 < greys << BITS).view_as(images), images)


def _black_or_white(white: Tensor, images: Tensor) -> Tensor:
    """1 where it is `white` and -1 elsewhere, in the type of `images`."""
    return white.to(images.dtype).mul(2).sub(1)


def _mixed(numbers: Tensor) -> Tensor:
    """Splitmix64's mixing of 64-bit numbers; products drop what is above 64 bits."""
    numbers = (numbers ^ _shifted(numbers, 30)) * FIRST
    numbers = (numbers ^ _shifted(numbers, 27)) * SECOND
    return numbers.bitwise_xor(_shifted(numbers, 31))


def _shifted(numbers: Tensor, places: int) -> Tensor:
    """Shifted right with zeros coming in, as if they had no sign."""
    return numbers.bitwise_right_shift(places).bitwise_and(2 ** (64 - places) - 1)
