"""One pass over the real images of a split: what is known of all of them, and the features of those that are kept."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gen import workers
from gen.errors import UserError
from gen.features import Extractor
from gen.images import Pixels
from gen.metrics.distribution import Features
from gen.metrics.frechet import Gaussian, Moments
from gen.shards import Shards
from gen.workers import Hire

BLOCK = 512
"""Images whose features are held at once, beside those that are kept; whoever measures them takes as many."""
HEAD_START = 10.0
"""Seconds of work before others are asked for: each has to load torch and the network first."""
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Survey:
    """What one pass has found."""

    count: int
    """Images that there are."""
    gaussian: Gaussian
    """Of the features of all of them."""
    shares: list[float] | None
    """Of each class among all of them; None where the extractor knows none."""
    rows: Indices
    """Which are kept, in their order [K]."""
    kept: Features
    """Their features [K, d]."""

    def at(self, rows: Indices) -> Features:
        """The features of images that are kept: [M] to [M, d]."""
        return np.asarray(self.kept[np.searchsorted(self.rows, rows)])


def survey(extractor: Extractor, images: Shards | Pixels, rows: Indices, hire: Hire | None = None) -> Survey:
    """Look at all images, uint8 [N, H, W, C], and keep the features of `rows`, in memory O(d^2 + (K + BLOCK) d).

    The images go through networks of those whom `hire` brings, or through this one alone.
    Raises TooFewImagesError unless there are more images than features, UserError for images that do not fit.
    """
    moments, rows = Moments(extractor.dimension), np.unique(rows)
    kept = np.empty((len(rows), extractor.dimension), np.float32)
    classes = np.zeros(len(extractor.labels))
    start = 0
    for features in _features(extractor, images, hire):
        moments.update(features)
        first, last = np.searchsorted(rows, (start, start + len(features)))
        kept[first:last] = features[rows[first:last] - start]
        shares = extractor.shares(features)
        if shares is not None:
            # Shares of a block times its images are whole numbers, up to rounding.
            classes += np.rint(np.multiply(shares, len(features)))
        start += len(features)
    known = [float(count / len(images)) for count in classes] if classes.any() else None
    return Survey(len(images), moments.gaussian(), known, rows, kept)


def _features(extractor: Extractor, images: Shards | Pixels, hire: Hire | None) -> Iterator[Features]:
    """Of all images, in blocks."""
    blocks = (images[start : start + BLOCK] for start in range(0, len(images), BLOCK))
    # An accelerator is this process's alone, and faster than what others have.
    if hire is None or extractor.folder is None or extractor.device.type != "cpu":
        return map(extractor.features, blocks)
    measure = functools.partial(_measured, extractor.folder.resolve(), extractor.digest, torch.get_num_threads())
    return workers.each(measure, blocks, hire, HEAD_START)


def _measured(folder: Path, digest: str, threads: int, pixels: Pixels) -> Features:
    """Features of a block by an extractor that this process has loaded, or loads now."""
    torch.set_num_threads(threads)  # more of them would add up in another order
    return _loaded(folder, digest).features(pixels)


@functools.lru_cache(maxsize=1)
def _loaded(folder: Path, digest: str) -> Extractor:
    """Raises UserError unless it is the one that is meant."""
    extractor = Extractor.load(folder) if folder.is_dir() else None
    if extractor is None or extractor.digest != digest:
        raise UserError(
            f"A worker does not find the extractor in {folder} as it is here. Features are measured by workers that "
            "see the workspace at the same path: on a shared disk, or on this machine."
        )
    return extractor
