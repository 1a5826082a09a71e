"""Exact figures of points in the plane: the modes of a known mixture that are found, and a distance of any two sets.

A point is assigned to its nearest mode, and is good where it lies within 3 standard deviations of it. A mode is found
where a good point lies there. The reverse KL is that of the modes' shares among the points to the equal ones of the
mixture. (VEEGAN, Srivastava et al. 2017, arXiv 1705.07761, section 4; PacGAN, Lin et al. 2018, arXiv 1712.04086,
section 4.1.) The sliced Wasserstein distance is the mean, over directions, of the first Wasserstein distance between
the two sets' shadows on a line (Bonneel et al. 2015, Sliced and Radon Wasserstein barycenters, with p = 1).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gen.metrics.halves import Mask

VERSION = 1
GOOD = 3.0
"""Standard deviations from its mode within which a point is good: of a round normal 1 - exp(-9/2) = 98.9 % are."""
DIRECTIONS = 64
"""At equal angles over half a turn. In the plane that is the best rule there is, so none are drawn by chance."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Modes:
    """What subsets of the points came to."""

    found: Array
    """Modes with a good point: [R]."""
    reverse_kl: Array
    """In nats: [R]. Not a number where a subset is empty."""
    good: Mask
    """Of all points [N]."""


def modes(points: Array, means: Array, std: float, masks: Mask) -> Modes:
    """Hold points [N, 2] against the modes [K, 2] of a mixture, for subsets [R, N]."""
    squared = np.square(points[:, None] - means[None]).sum(2)
    nearest = squared.argmin(1)
    good = squared.min(1) <= (GOOD * std) ** 2
    of_mode = nearest[:, None] == np.arange(len(means))
    weights = masks.astype(np.float64)
    return Modes(
        found=((weights @ (of_mode & good[:, None])) > 0).sum(1).astype(np.float64),
        reverse_kl=_divergence(weights @ of_mode),
        good=good,
    )


def _divergence(counts: Array) -> Array:
    """KL of shares, from counts [R, K], to equal ones: [R]."""
    total = counts.sum(1, keepdims=True)
    shares = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    logs = np.log(counts.shape[1] * shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(np.where(total[:, 0] > 0, (shares * logs).sum(1), np.nan))


def sliced_wasserstein(some: Array, others: Array) -> float:
    """Between two sets of points [N, 2] and [M, 2], none of them empty: 0 for equal sets, in the points' own units."""
    angles = math.pi * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    directions = np.stack([np.cos(angles), np.sin(angles)])
    first, second = (np.sort(side @ directions, axis=0) for side in (some, others))
    # On a line the best way to carry one set to the other keeps their order: quantile goes to quantile.
    ends = np.union1d(np.arange(1, len(some) + 1) / len(some), np.arange(1, len(others) + 1) / len(others))
    widths = np.diff(ends, prepend=0.0)
    middles = ends - widths / 2
    rows = ((middles * len(side)).astype(np.int64).clip(max=len(side) - 1) for side in (some, others))
    one, other = (side[row] for side, row in zip((first, second), rows, strict=True))
    return float((widths @ np.abs(one - other)).mean())
