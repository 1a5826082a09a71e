"""Drift: whether images of now differ from those of then by more than chance brings about, and by how much."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gen.metrics.halves import Mask
from gen.metrics.kernel import subset_distances

PERMUTATIONS = 999
LEVEL = 0.01
"""How often images of the same kind are taken for others."""


@dataclass(frozen=True)
class Drift:
    """What became of the images of one domain."""

    distance: float
    """Kernel distance between those of then and those of now; unbiased, so it may be below 0."""
    chance: float
    """How far chance goes: images of one kind are further apart in a share LEVEL of all cases at most."""
    p: float
    """How often images of one kind would be so far apart, or further."""
    then: int
    """Images on the one side."""
    now: int
    """Images on the other."""

    @property
    def drifted(self) -> bool:
        """Whether it is more than chance."""
        return self.distance > self.chance


def drift(
    then: NDArray[np.floating], now: NDArray[np.floating], generator: torch.Generator, level: float = LEVEL
) -> Drift:
    """Hold features of then [n, d] against features of now [m, d], by a permutation test at a `level` above 0.001.

    Where both are of one kind, which image is of when is a matter of chance: so the distance is held against those of
    other partitions into n and m. The test is exact at its level, whatever the features are like.
    Raises TooFewImagesError below two images on either side.
    """
    pool = np.concatenate([then, now])
    partitions = _partitions(len(then), len(pool), generator)
    distance, *drawn = subset_distances(pool, pool, partitions, ~partitions).tolist()
    as_large = sum(other >= distance for other in drawn)
    # p <= level says the same as: fewer than so many of the others are as large.
    allowed = int(level * (1 + PERMUTATIONS) + 1e-9)
    chance = sorted(drawn)[-allowed]
    return Drift(distance, chance, (1 + as_large) / (1 + PERMUTATIONS), len(then), len(now))


def _partitions(then: int, images: int, generator: torch.Generator) -> Mask:
    """Masks [1 + PERMUTATIONS, images] that keep `then` images each: the first ones first, then random ones."""
    masks = np.zeros((1 + PERMUTATIONS, images), np.bool_)
    masks[0, :then] = True
    for mask in masks[1:]:
        mask[torch.randperm(images, generator=generator)[:then].numpy()] = True
    return masks
