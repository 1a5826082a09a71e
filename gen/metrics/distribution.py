"""Distances between two sets of features, with the same distances between their half-samples."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gen.metrics import frechet, kernel
from gen.metrics.halves import Mask, whole_first

VERSIONS: Mapping[str, int] = {"frechet": frechet.VERSION, "kernel": kernel.VERSION}
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Distance:
    """A distance between all images, and between half-samples of them."""

    value: float
    halves: NDArray[np.float64] | None
    """[R]; None where half of the images are too few."""


def distances(
    real: frechet.Gaussian, features: Features, generated: Features, in_real: Mask, in_generated: Mask
) -> dict[str, Distance]:
    """Frechet and kernel distance from real to generated features, [M, d] and [N, d]; `real` is fitted to the former.

    The masks [R, M] and [R, N] are half-samples of either side, drawn apart: the spread holds the chance in both.
    Raises TooFewImagesError unless both sides have more images than d.
    """
    return {
        "frechet": Distance(
            frechet.frechet_distance(real, frechet.fit(generated)),
            _frechet_halves(features, generated, in_real, in_generated),
        ),
        "kernel": kernel_with_halves(features, generated, in_real, in_generated),
    }


def _frechet_halves(
    features: Features, generated: Features, in_real: Mask, in_generated: Mask
) -> NDArray[np.float64] | None:
    if min(in_real.sum(1).min(), in_generated.sum(1).min()) <= features.shape[1]:
        return None
    pairs = zip(in_real, in_generated, strict=True)
    return np.array(
        [frechet.frechet_distance(frechet.fit(features[kept]), frechet.fit(generated[made])) for kept, made in pairs]
    )


def kernel_with_halves(features: Features, generated: Features, in_real: Mask, in_generated: Mask) -> Distance:
    """The kernel distance from real to generated features, and between the half-samples of the masks."""
    values = kernel.subset_distances(features, generated, whole_first(in_real), whole_first(in_generated))
    return Distance(float(values[0]), values[1:])
