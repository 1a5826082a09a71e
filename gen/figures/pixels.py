"""Images as points, to look for copies among their pixels."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d

from gen.images import Pixels
from gen.metrics.distribution import Features
from gen.shards import Shards

MOST_NUMBERS = 1024
"""Of one image: larger ones are averaged over blocks first, so that looking among 50,000 stays affordable."""
BLOCK = 4096


def side_of(channels: int, size: int) -> int:
    """Pixels a side that images of `size` are averaged to: at most 32 of grey ones, 18 of RGB."""
    return min(size, int((MOST_NUMBERS / channels) ** 0.5))


def points(images: Pixels | Shards, rows: NDArray[np.int64] | None = None) -> Features:
    """Images [N, H, W, C], or those at `rows` [M], to float32 [N or M, d] in [0, 1]; points as they are, in [-1, 1]."""
    chosen = np.arange(len(images)) if rows is None else rows
    side = side_of(images.shape[3], images.shape[1])
    flat = np.empty((len(chosen), images.shape[3] * side**2), np.float32)
    for start in range(0, len(chosen), BLOCK):
        wanted = chosen[start : start + BLOCK]
        block = images.at(wanted) if isinstance(images, Shards) else images[wanted]
        scale = 255 if block.dtype == np.uint8 else 1
        tensor = torch.from_numpy(block).permute(0, 3, 1, 2).float() / scale
        flat[start : start + BLOCK] = adaptive_avg_pool2d(tensor, side).flatten(1).numpy()
    return flat
