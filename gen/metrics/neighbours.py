"""Exact nearest neighbours of features, by blocks of distances.

Distances are those of Euclid, in float64, squared until they are told: in float32 the product below would lose the
small distances that copies are known by.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
BLOCK = 1024
"""Rows whose distances are held at once: memory is O(BLOCK x M)."""


def blocks(x: NDArray[np.floating], y: NDArray[np.floating], block: int = BLOCK) -> Iterator[tuple[slice, Array]]:
    """The squared distances from x [N, d] to y [M, d]: rows of x, and their [B, M]."""
    # |a|^2 + |b|^2 - 2ab loses digits where norms are large beside distances: so both move to the middle of y.
    centre = y.mean(0, np.float64)
    to = y - centre
    norms = np.square(to).sum(1)
    for start in range(0, len(x), block):
        rows = slice(start, min(start + block, len(x)))
        of = x[rows] - centre
        # By torch: numpy's products take all cores, whatever number of threads a stage was given.
        squared = (torch.from_numpy(of) @ torch.from_numpy(to).T).numpy()
        squared *= -2
        squared += norms
        squared += np.square(of).sum(1)[:, None]
        yield rows, np.maximum(squared, 0, out=squared)


def nearest(
    x: NDArray[np.floating], y: NDArray[np.floating], block: int = BLOCK, own: Indices | None = None
) -> tuple[Array, Indices]:
    """The distance [N] from each of x [N, d] to the nearest of y [M, d], and which it is [N].

    `own` [N] names the row of y that each of x is itself, and that is left out. The distance is that of the
    difference of the two, so that it is 0 for equal features.
    """
    found = np.empty(len(x), np.int64)
    for rows, squared in blocks(x, y, block):
        if own is not None:
            squared[np.arange(len(squared)), own[rows]] = np.inf
        found[rows] = squared.argmin(1)
    return np.sqrt(np.square(x.astype(np.float64) - y[found]).sum(1)), found


def among_themselves(x: NDArray[np.floating], count: int, block: int = BLOCK) -> tuple[Array, Indices]:
    """The squared distances from each of x [N, d] to its `count` nearest others, nearest first, and which they are.

    Both are [N, count].
    """
    distances, found = np.empty((len(x), count)), np.empty((len(x), count), np.int64)
    for rows, squared in blocks(x, x, block):
        squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = np.inf
        some = np.argpartition(squared, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(squared, some, axis=1)
        order = np.argsort(values, axis=1)
        distances[rows] = np.take_along_axis(values, order, axis=1)
        found[rows] = np.take_along_axis(some, order, axis=1)
    return distances, found
