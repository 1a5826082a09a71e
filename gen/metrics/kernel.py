"""Kernel distance: the unbiased squared maximum mean discrepancy of features (Binkowski et al. 2018, eq. 3 and 4)."""

import numpy as np
from numpy.typing import NDArray

from gen.errors import TooFewImagesError
from gen.metrics.halves import Mask, whole

VERSION = 1
Array = NDArray[np.float64]


def polynomial_kernel(x: Array, y: Array) -> Array:
    """k(x, y) = (x.y / d + 1)^3 for all pairs: [N, d] and [M, d] to [N, M]."""
    product = x @ y.T
    product /= x.shape[1]
    product += 1
    return np.asarray(product * product * product)


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
    a, b = x.astype(np.float64), y.astype(np.float64)
    u, v = in_x.astype(np.float64), in_y.astype(np.float64)
    n, m = u.sum(1), v.sum(1)
    within_a = (_sums(a, a, u, u) - u @ _diagonal(a)) / (n * (n - 1))
    within_b = (_sums(b, b, v, v) - v @ _diagonal(b)) / (m * (m - 1))
    return np.asarray(within_a + within_b - 2 * _sums(a, b, u, v) / (n * m))


def _sums(x: Array, y: Array, u: Array, v: Array, block: int = 1024) -> Array:
    """For each row of u and v, u K(x, y) v': [R]."""
    total = np.zeros(len(u))
    for start in range(0, len(x), block):
        rows = slice(start, start + block)
        total += ((u[:, rows] @ polynomial_kernel(x[rows], y)) * v).sum(1)
    return total


def _diagonal(x: Array) -> Array:
    """k(x_i, x_i): [N]."""
    return np.asarray((np.square(x).sum(1) / x.shape[1] + 1) ** 3)
