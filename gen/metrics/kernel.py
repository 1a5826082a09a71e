"""Kernel distance: the unbiased squared maximum mean discrepancy of features (Binkowski et al. 2018, eq. 3 and 4)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.errors import TooFewImagesError
from gen.metrics.halves import Mask, whole

VERSION = 1
Array = NDArray[np.float64]
BLOCK = 1024
"""Rows of the kernel that are held at once."""


def polynomial_kernel(x: Tensor, y: Tensor) -> Tensor:
    """k(x, y) = (x.y / d + 1)^3 for all pairs: [N, d] and [M, d] to [N, M]."""
    return torch.addmm(x.new_ones(()), x, y.T, alpha=1 / x.shape[1]).pow_(3)


def kernel_distance(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """The unbiased estimate of MMD^2 between all of x [N, d] and all of y [M, d]; it may be below 0.

    Raises TooFewImagesError below two images on either side.
    """
    return float(subset_distances(x, y, whole(len(x)), whole(len(y)))[0])


def subset_distances(x: NDArray[np.floating], y: NDArray[np.floating], in_x: Mask, in_y: Mask) -> Array:
    """The estimate for R pairs of subsets, given as masks [R, N] and [R, M], in one pass over the kernel: [R].

    With a mask w the sums of the estimator are w'Kw, so each block of K serves all subsets. Memory is
    O(block x N), time O(N^2 (d + R)).
    """
    if min(in_x.sum(1).min(), in_y.sum(1).min()) < 2:
        raise TooFewImagesError("A kernel distance was asked of fewer than 2 images on one side. Measure more images.")
    # By torch: numpy's products take all cores, whatever number of threads a stage was given.
    a, b, u, v = (torch.from_numpy(side.astype(np.float64)) for side in (x, y, in_x, in_y))
    n, m = u.sum(1), v.sum(1)
    within_a, within_b = _within(a, u) / (n * (n - 1)), _within(b, v) / (m * (m - 1))
    return np.asarray((within_a + within_b - 2 * _between(a, b, u, v) / (n * m)).numpy())


def _between(x: Tensor, y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """For each row of u and v, u K(x, y) v': [R]."""
    total = u.new_zeros(len(u))
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        total += ((u[:, rows] @ polynomial_kernel(x[rows], y)) * v).sum(1)
    return total


def _within(x: Tensor, u: Tensor) -> Tensor:
    """For each row of u, u K(x, x) u' over the pairs of two different images: [R]."""
    total = u.new_zeros(len(u))
    for start in range(0, len(x), BLOCK):
        # K is symmetric: what stands left of the diagonal's block stands above it too.
        values = (u[:, start : start + BLOCK] @ polynomial_kernel(x[start : start + BLOCK], x[start:])) * u[:, start:]
        total += 2 * values.sum(1) - values[:, :BLOCK].sum(1)
    return total - u @ (x.square().sum(1) / x.shape[1] + 1).pow(3)
