"""How far a generator repeats its training images, in features or pixels: beside real images that were held out.

What is published is told as a figure: authenticity (Alaa et al. 2022, section 3.3), the rank test C_T on the distances
to the nearest training image (Meehan et al. 2020, section 4, with one cell), and near-duplicates. None of these can
decide: C_T takes typical images for copies and is blind to copies among poor images (a tenth of copies beside an early
GAN gave z = +31). What decides asks whether generated images lie nearer to the training images than to held-out ones.
A generator that repeats nothing cannot know which real images were held out, so that its nearest real image is a
training one as often as chance has it, whatever its quality and wherever it is dense: `Share` is the excess. That
holds in any space: in pixels it finds copies that an extractor takes for other images.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gen.images import Pixels
from gen.metrics.halves import Mask
from gen.metrics.neighbours import BLOCK, Array, Indices, nearest

VERSION = 1
NEAR = 0.01
"""Near-duplicates lie nearer to a training image than this share of held-out images does."""


@dataclass(frozen=True)
class Share:
    """The estimated share of generated images that are copies, 0 where the real images' labels make no difference."""

    value: float
    deviation: float
    """Of the value, had real images been held out otherwise."""


@dataclass(frozen=True)
class Copies:
    """Where N generated images lie among real ones, in whatever space: features or pixels."""

    distances: Array
    """[N]: from each to its nearest training image."""
    originals: Indices
    """[N]: which that is."""
    usual: Array
    """[H]: from each held-out image to its nearest training image."""
    near: Mask
    """[N]: nearer to a training image than the share NEAR of held-out images is."""
    copied: Share
    """By the nearest real image of every generated one."""
    copied_closely: Share
    """By those alone that are near-duplicates of some real image: it sees few copies among many images."""

    @property
    def closest(self) -> Indices:
        """The generated images, nearest to a training image first: [N]."""
        return np.asarray(self.distances.argsort(kind="stable"))

    @property
    def in_pixels(self) -> dict[str, float]:
        """By the names of the figures, where the space is that of pixels."""
        return {"copied_share_pixels": self.copied.value, "copied_closely_pixels": self.copied_closely.value}


@dataclass(frozen=True)
class Memorisation(Copies):
    """What else was measured of them in features."""

    authentic: Mask
    """[N]: not nearer to its nearest training image than that one is to its own nearest other training image."""
    copying: float
    """C_T: z of the rank test of the distances to the training set, below 0 where held-out images are farther off."""

    @property
    def values(self) -> dict[str, float]:
        """By the names of the figures."""
        return {
            "authenticity": float(self.authentic.mean()),
            "near_duplicates": float(self.near.mean()),
            "copying": self.copying,
            "copied_share": self.copied.value,
            "copied_closely": self.copied_closely.value,
        }


def copies(
    generated: NDArray[np.floating], train: NDArray[np.floating], held_out: NDArray[np.floating], block: int = BLOCK
) -> Copies:
    """Hold generated images [N, d] against training [T, d] and held-out [H, d] ones."""
    distances, originals = nearest(generated, train, block)
    usual = nearest(held_out, train, block)[0]
    # Of all definitions the one whose share is NEAR on average, however few images were held out.
    radius = np.quantile(usual, NEAR, method="weibull")
    to_held_out, held = nearest(generated, held_out, block)
    real = np.where(distances <= to_held_out, originals, len(train) + held)
    close = np.minimum(distances, to_held_out) < radius
    sides = len(train), len(held_out)
    return Copies(
        distances=distances,
        originals=originals,
        usual=usual,
        near=distances < radius,
        copied=excess(real, *sides, of=len(generated)),
        copied_closely=excess(real[close], *sides, of=len(generated)),
    )


def memorisation(
    generated: NDArray[np.floating], train: NDArray[np.floating], held_out: NDArray[np.floating], block: int = BLOCK
) -> Memorisation:
    """Measure features [N, d] of generated images beside those of training [T, d] and held-out [H, d] images."""
    found = copies(generated, train, held_out, block)
    wanted, place = np.unique(found.originals, return_inverse=True)
    gaps = nearest(train[wanted], train, block, own=wanted)[0][place]
    return Memorisation(
        **vars(found), authentic=found.distances >= gaps, copying=rank_test(found.distances, found.usual)
    )


def rank_test(some: Array, others: Array) -> float:
    """The z of the U test of Mann & Whitney (1947) with ties: below 0 where `some` [N] are smaller than `others`."""
    both = np.concatenate([some, others])
    _, place, ties = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (ties.cumsum() - (ties - 1) / 2)[place]
    n, m, total = len(some), len(others), len(both)
    above = ranks[:n].sum() - n * (n + 1) / 2 - n * m / 2
    variance = n * m / 12 * (total + 1 - float((ties.astype(np.float64) ** 3 - ties).sum()) / (total * (total - 1)))
    return float(above / np.sqrt(variance)) if variance > 0 else 0.0


def excess(nearest_real: Indices, train: int, held_out: int, of: int) -> Share:
    """The share of `of` images that are copies, from the nearest real image [N] of some: one below `train` is theirs.

    If a share c are copies and the others know no labels, T of them lie nearest to a training image, where
    T / of = c + (1 - c) p and p is the training images' share of the real ones. The deviation is that over all ways to
    hold out as many real images, for a real image may be nearest to many generated ones.
    """
    every = train + held_out
    p = train / every
    hits = np.bincount(nearest_real, minlength=every).astype(np.float64)
    above = hits[:train].sum() - p * len(nearest_real)
    variance = train * held_out / (every * (every - 1)) * np.square(hits - hits.mean()).sum()
    return Share(float(above / (1 - p) / of), float(np.sqrt(variance) / (1 - p) / of))


def equal_pixels(made: Pixels, train: Iterable[Pixels]) -> Mask:
    """Which of the images uint8 [N, H, W, C] are training images (in blocks of such), to the pixel: [N]."""
    wanted = [_digest(image) for image in made]
    known = set(wanted)
    found = {digest for block in train for image in block if (digest := _digest(image)) in known}
    return np.array([digest in found for digest in wanted], np.bool_)


def _digest(image: Pixels) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
