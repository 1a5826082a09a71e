"""One pass over the real images of a split: what is known of all of them, and the features of those that are kept."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gen.features import Extractor
from gen.images import Pixels
from gen.metrics.distribution import Features
from gen.metrics.frechet import Gaussian, Moments
from gen.shards import Shards

BLOCK = 4096
"""Images whose features are held at once, beside those that are kept."""
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


def survey(extractor: Extractor, images: Shards | Pixels, rows: Indices) -> Survey:
    """Look at all images, uint8 [N, H, W, C], and keep the features of `rows`, in memory O(d^2 + (K + BLOCK) d).

    Raises TooFewImagesError unless there are more images than features, UserError for images that do not fit.
    """
    moments, rows = Moments(extractor.dimension), np.unique(rows)
    kept = np.empty((len(rows), extractor.dimension), np.float32)
    classes = np.zeros(len(extractor.labels))
    for start in range(0, len(images), BLOCK):
        features = extractor.features(images[start : start + BLOCK])
        moments.update(features)
        first, last = np.searchsorted(rows, (start, start + len(features)))
        kept[first:last] = features[rows[first:last] - start]
        shares = extractor.shares(features)
        if shares is not None:
            # Shares of a block times its images are whole numbers, up to rounding.
            classes += np.rint(np.multiply(shares, len(features)))
    known = [float(count / len(images)) for count in classes] if classes.any() else None
    return Survey(len(images), moments.gaussian(), known, rows, kept)
