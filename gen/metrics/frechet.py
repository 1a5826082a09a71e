"""Frechet distance between Gaussians fitted to features (Dowson & Landau 1982; Heusel et al. 2017, eq. 6).

Algebra of large matrices is torch's: numpy's takes all cores, whatever number of threads a stage was given.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.errors import TooFewImagesError

VERSION = 1
STRIPE = 256
"""Columns of a product that are made at once."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution: `mean` [d] and `covariance` [d, d], float64."""

    mean: Array
    covariance: Array
    known_root: Array | None = None
    """`root`, where somebody has kept it."""

    @cached_property
    def root(self) -> Array:
        """The lower triangular F [d, d] with F F' = S, the covariance; kept, for the real side is compared with many.

        That of Cholesky, which takes a thirtieth of the time of eigenvectors; by those where S is singular.
        """
        if self.known_root is not None:
            return self.known_root
        covariance = torch.from_numpy(self.covariance)
        root, failed = torch.linalg.cholesky_ex(covariance)
        if failed:
            values, vectors = torch.linalg.eigh(covariance)
            # What is left of an orthogonal factor is a square root as well.
            root = torch.linalg.qr((vectors * values.clamp(min=0).sqrt()).T, mode="r").R.T
        return np.asarray(root.numpy())


class Moments:
    """Mean and covariance of features that come in batches, in float64 and O(d^2) memory.

    Batches are merged by Chan, Golub & LeVeque (1979): no difference of large sums, whatever the mean.
    """

    def __init__(self, dimension: int) -> None:
        self.count = 0
        self._mean: Array = np.zeros(dimension)
        self._scatter: Array = np.zeros((dimension, dimension))

    def update(self, features: NDArray[np.floating]) -> None:
        """Add a batch of features [N, d]."""
        batch = np.asarray(features, np.float64)
        mean = batch.mean(0)
        total, shift = self.count + len(batch), mean - self._mean
        centred = torch.from_numpy(batch - mean)
        self._scatter += (centred.T @ centred).numpy() + np.outer(shift, shift) * (self.count * len(batch) / total)
        self._mean = self._mean + shift * (len(batch) / total)
        self.count = total

    def gaussian(self) -> Gaussian:
        """The Gaussian with the mean and the unbiased covariance of all that was added.

        Raises TooFewImagesError unless there are more images than dimensions.
        """
        require_more_than(len(self._mean), self.count)
        return Gaussian(self._mean, self._scatter / (self.count - 1))


def fit(features: NDArray[np.floating], block: int = 4096) -> Gaussian:
    """The Gaussian of features [N, d]. Raises TooFewImagesError unless N > d."""
    moments = Moments(features.shape[1])
    for start in range(0, len(features), block):
        moments.update(features[start : start + block])
    return moments.gaussian()


def require_more_than(dimension: int, count: int) -> None:
    """Raise TooFewImagesError unless `count` > `dimension`: else the covariance is singular whatever the images."""
    if count <= dimension:
        raise TooFewImagesError(
            f"A Frechet distance in {dimension} dimensions was asked of {count} images: with so few, the covariance "
            "is singular and the distance says more about their number than about the images. Measure more than "
            f"{dimension} images (a larger dataset, a larger share `report`, more `judge.samples`), or "
            "take fewer features: of an extractor that is trained here, lower the dataset's `feature_dim` and train it "
            "again with `genflows extractor NAME --again`; of an imported one, import another tap."
        )


def frechet_distance(real: Gaussian, other: Gaussian) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2), which is >= 0 and 0 only for equal Gaussians.

    With S1 = F F', the symmetric F' S2 F has the eigenvalues of S1 S2, which is not: eigvalsh is exact and quick here.
    """
    if not (np.isfinite(other.mean).all() and np.isfinite(other.covariance).all()):
        return float("nan")
    # It looks at the lower triangle alone, so rounding cannot make it less than symmetric.
    product = _lower_product(torch.from_numpy(real.root), torch.from_numpy(other.covariance))
    roots = torch.linalg.eigvalsh(product, UPLO="L").clamp(min=0).sqrt()
    shift = real.mean - other.mean
    return float(shift @ shift + np.trace(real.covariance) + np.trace(other.covariance) - 2 * float(roots.sum()))


def _lower_product(root: Tensor, covariance: Tensor) -> Tensor:
    """The lower triangle of F' S F, for a lower triangular F; what stands above it means nothing.

    By stripes that pass over the zeros: a third of the work of two whole products.
    """
    product = torch.zeros_like(covariance)
    for start in range(0, len(root), STRIPE):
        below, stripe = slice(start, None), slice(start, start + STRIPE)
        product[below, stripe] = root[below, below].T @ (covariance[below, below] @ root[below, stripe])
    return product
