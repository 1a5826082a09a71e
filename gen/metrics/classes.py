"""What a classifier makes of generated images, beside what it makes of real ones.

Both sides are given their class by the classifier, real images too, so that what it gets wrong it gets wrong on both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gen.metrics import kernel
from gen.metrics.halves import Mask

VERSION = 1
LEAST = 30
"""Images of a class on either side below which it has no distance: fewer than 2 of 30 lie in a half-sample once in 10^7
times, and what so few say is chance."""
Array = NDArray[np.float64]
Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: images by their features [N, d] and what the classifier makes of them [N, C]."""

    features: NDArray[np.floating]
    probabilities: NDArray[np.floating]
    """Each row sums to 1."""

    @property
    def classes(self) -> Classes:
        """The likeliest class of each image [N]."""
        return np.asarray(self.probabilities.argmax(1))

    def shares(self, masks: Mask) -> Array:
        """The share of each class in R subsets, masks [R, N]: [R, C]."""
        one_hot = np.eye(self.probabilities.shape[1])[self.classes]
        return np.asarray(masks @ one_hot / masks.sum(1, keepdims=True))


@dataclass(frozen=True)
class Comparison:
    """What was measured of R pairs of subsets."""

    divergence: Array
    """[R], of the shares of classes."""
    score: Array
    """[R], of the generated images."""
    kernel: Array
    """[R, C]: the kernel distance inside each class, NaN for one with fewer than LEAST images on either side."""

    @property
    def compared(self) -> NDArray[np.bool_]:
        """Which classes have a distance [C]."""
        return np.asarray(~np.isnan(self.kernel).any(0))

    @property
    def worst(self) -> Array | None:
        """[R]: the largest distance inside a class; None where no class has one."""
        return self.kernel[:, self.compared].max(1) if self.compared.any() else None

    @property
    def values(self) -> Mapping[str, Array]:
        """The figures by name, each [R]."""
        worst = {} if self.worst is None else {"kernel_worst_class": self.worst}
        return {"class_divergence": self.divergence, "classifier_score": self.score} | worst


def compare(real: Side, generated: Side, in_real: Mask, in_generated: Mask) -> Comparison:
    """Hold two sides against each other, for R pairs of subsets, masks [R, M] and [R, N].

    The first pair is to be all images of both sides; it says which classes have enough of them.
    """
    return Comparison(
        divergence=jensen_shannon(real.shares(in_real), generated.shares(in_generated)),
        score=classifier_score(generated.probabilities, in_generated),
        kernel=_kernel_by_class(real, generated, in_real, in_generated),
    )


def jensen_shannon(some: Array, others: Array) -> Array:
    """The divergence of Jensen & Shannon (Lin 1991, eq. 3.4) of shares [R, C] in nats: 0 to ln 2, [R].

    That of Kullback & Leibler would be infinite as soon as one class is on one side alone, which is what it is to show.
    """
    middle = (some + others) / 2
    return np.asarray((_relative(some, middle) + _relative(others, middle)) / 2)


def classifier_score(probabilities: NDArray[np.floating], masks: Mask) -> Array:
    """The exponential of the mean KL(p(y|x) || p(y)) over R subsets, masks [R, N]: 1 to C, [R].

    The score of Salimans et al. 2016 (section 4) by whatever classifier gave the probabilities [N, C]: scores by
    different ones have nothing to do with each other.
    """
    single = probabilities.astype(np.float64)
    marginal = masks @ single / masks.sum(1, keepdims=True)
    # The mean of a KL to the mean is what the mean's entropy is above the mean entropy.
    entropies = -_products(single, single)
    return np.asarray(np.exp(-_products(marginal, marginal) - masks @ entropies / masks.sum(1)))


def _kernel_by_class(real: Side, generated: Side, in_real: Mask, in_generated: Mask) -> Array:
    distances = np.full((len(in_real), real.probabilities.shape[1]), np.nan)
    for number in range(distances.shape[1]):
        theirs, ours = (np.flatnonzero(side.classes == number) for side in (real, generated))
        if min(len(theirs), len(ours)) >= LEAST:
            sides = real.features[theirs], generated.features[ours]
            distances[:, number] = kernel.subset_distances(*sides, in_real[:, theirs], in_generated[:, ours])
    return distances


def _relative(some: Array, others: Array) -> Array:
    """KL(some || others) in nats, [R]; `others` is nowhere 0 where `some` is not."""
    return _products(some, some) - _products(some, others)


def _products(some: Array, others: Array) -> Array:
    """The sum of p log q over the last axis, where 0 log 0 is 0."""
    logarithms = np.log(others, where=some > 0, out=np.zeros_like(others))
    return np.asarray((some * logarithms).sum(-1))
