"""Fidelity and coverage: what share of each side lies where the other side has images.

A set stands for balls around its features that reach to the k-th nearest other one. Precision and recall: the share of
generated images inside a real ball, and of real images inside a generated one (Kynkaanniemi et al. 2019, eq. 1 and 2).
Density: in how many real balls a generated image lies, over k; coverage: the share of real balls with a generated image
in them (Naeem et al. 2020, eq. 3 and 4). A single outlier's ball is large: it can lift precision and recall, hardly
density and coverage.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gen.errors import TooFewImagesError
from gen.metrics.halves import Mask
from gen.metrics.neighbours import BLOCK, Array, among_themselves, blocks

VERSION = 1
K_PRECISION = 3
"""For precision and recall, as published."""
K_DENSITY = 5
"""For density and coverage, as published."""
NAMES = ("precision", "recall", "density", "coverage")
LISTED = 48
"""Neighbours that the balls of subsets are found among. Fewer than 5 of 48 lie in a half-sample once in 10^9 times; the
farthest of them then stands for the fifth. Balls of whole sets are always exact."""


def manifold(
    real: NDArray[np.floating],
    generated: NDArray[np.floating],
    in_real: Mask,
    in_generated: Mask,
    block: int = BLOCK,
) -> Mapping[str, Array]:
    """The four figures of features [M, d] and [N, d] for R pairs of subsets, masks [R, M] and [R, N]: each [R].

    Raises TooFewImagesError unless every subset has more than K_DENSITY images.
    """
    if (least := int(min(in_real.sum(1).min(), in_generated.sum(1).min()))) <= K_DENSITY:
        raise TooFewImagesError(
            f"Precision and coverage were asked of {least} images; {K_DENSITY + 1} are needed to know how far the "
            f"{K_DENSITY}th neighbour is. Bring more images, or raise the dataset's share `report`."
        )
    around_real, around_generated = (
        among_themselves(side, min(LISTED, len(side) - 1), block) for side in (real, generated)
    )
    narrow, wide = (_radii(*around_real, in_real, k) for k in (K_PRECISION, K_DENSITY))
    reach = _radii(*around_generated, in_generated, K_PRECISION)
    counts = {name: np.zeros(len(in_real)) for name in ("precision", "density")}
    found = {name: np.zeros_like(in_real) for name in ("recall", "coverage")}
    for rows, squared in blocks(generated, real, block):
        for subset, (kept, made) in enumerate(zip(in_real, in_generated[:, rows], strict=True)):
            between = squared[np.ix_(made, kept)]
            counts["precision"][subset] += (between <= narrow[subset, kept]).any(1).sum()
            inside = between <= wide[subset, kept]
            counts["density"][subset] += inside.sum()
            found["coverage"][subset, kept] |= inside.any(0)
            found["recall"][subset, kept] |= (between <= reach[subset, rows][made, None]).any(0)
    values = {name: total / in_generated.sum(1) for name, total in counts.items()}
    values["density"] /= K_DENSITY
    values |= {name: hit.sum(1) / in_real.sum(1) for name, hit in found.items()}
    return {name: values[name] for name in NAMES}


def _radii(distances: Array, neighbours: NDArray[np.int64], masks: Mask, k: int) -> Array:
    """The squared distance from each image to its k-th nearest other one of each subset: [R, N]."""
    radii = np.empty(masks.shape)
    for mask, row in zip(masks, radii, strict=True):
        so_far = mask[neighbours].cumsum(1)
        place = (so_far < k).sum(1).clip(max=distances.shape[1] - 1)
        row[:] = distances[np.arange(len(distances)), place]
    # A copy lies on the edge of balls, and rounding may not push it out.
    return radii * (1 + 1e-9)
