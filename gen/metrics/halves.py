"""Half-samples: how far a figure would move if the images had been drawn again."""

import numpy as np
import torch
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def half_samples(count: int, resamples: int, generator: torch.Generator) -> Mask:
    """Masks [resamples, count], each of which keeps a random half of `count` images, without replacement.

    The spread of a figure over half-samples estimates its sampling spread over *full* samples: a mean over m of n
    values drawn without replacement has the variance s^2/m (1 - m/n), which for m = n/2 is s^2/n, that of a mean over
    n new values; and to first order every figure here is a mean. It needs no factor, and unlike the bootstrap it
    repeats no image: repeats shrink a covariance's rank and inflate a Frechet distance
    (Politis, Romano & Wolf 1999, Subsampling, section 2.3; Shao & Wu 1989 on the delete-d jackknife).
    """
    kept = count // 2
    masks = np.zeros((resamples, count), np.bool_)
    for mask in masks:
        mask[torch.randperm(count, generator=generator)[:kept].numpy()] = True
    return masks


def whole(count: int) -> Mask:
    """The mask [1, count] that keeps every image."""
    return np.ones((1, count), np.bool_)


def whole_first(masks: Mask) -> Mask:
    """Masks [R + 1, count]: the whole set, then the given subsets [R, count]. So one pass measures them all."""
    return np.vstack([whole(masks.shape[1]), masks])
