"""What every figure begins with: a generator, what it made, and what that is held against."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.artifact import Published
from gen.config import Judge
from gen.datasets import Prepared
from gen.errors import TooFewImagesError
from gen.images import Pixels, to_float
from gen.metrics.card import Card, Figure
from gen.metrics.distribution import Features
from gen.metrics.halves import Mask, half_samples, whole_first
from gen.reference import REPORT, Reference, subsets

PIXELS, POINTS = "uint8 / 127.5 - 1", "points in [-1, 1]"
BATCH = 256


@dataclass(frozen=True)
class Subject:
    """One generator under measurement."""

    published: Published
    prepared: Prepared
    reference: Reference
    settings: Judge
    inputs: Pixels
    """The images of `report` that a translator or an autoencoder is given."""
    made: Pixels
    """All images that it made from noise, or of `inputs`."""
    features: Features
    """Of `made`."""

    @property
    def counted(self) -> Features:
        """Features of the images that are held against the real ones: as many as the floor is measured with."""
        return self.features[: self.reference.count]

    def subsets(self) -> tuple[Mask, Mask]:
        """All real and all counted images, then half-samples of both: the same for each figure and each generator."""
        counts = len(self.reference.features), len(self.counted)
        in_real, in_generated = subsets(*counts, self.settings.seed, self.settings.resamples)
        return whole_first(in_real), whole_first(in_generated)

    def card(self, metric: str, version: int, counts: dict[str, int], protocol: str | None = None) -> Card:
        """Of a figure of pixels."""
        return Card(
            metric=metric,
            version=version,
            split=REPORT,
            data=self.reference.data,
            counts=counts,
            seed=self.settings.seed,
            resamples=self.settings.resamples,
            preprocessing=POINTS if self.prepared.box else PIXELS,
            dtype="float32, summed in float64",
            protocol=protocol,
        )

    def feature_card(self, metric: str, version: int, counts: dict[str, int], protocol: str | None = None) -> Card:
        """Of a figure of features."""
        extractor = self.reference.extractor
        return replace(
            self.card(metric, version, counts, protocol),
            preprocessing=extractor.description.preprocessing,
            extractor=extractor.digest,
            dtype="float32 features, float64 statistics",
        )


def mean_figure(unit: str, card: Card, values: NDArray[np.float64], baseline: float | None = None) -> Figure:
    """The figure that is a mean of one value for each image [N]. Raises TooFewImagesError below two images."""
    masks = halves_of(card, len(values))
    halves = (masks @ values) / masks.sum(1)
    return Figure(card.metric, float(values.mean()), unit, card, baseline=baseline, halves=halves)


def halves_of(card: Card, count: int) -> Mask:
    """Half-samples of `count` images of one side. Raises TooFewImagesError below two images."""
    if count < 2:
        raise TooFewImagesError(
            f"The figure `{card.metric}` was asked of {count} images; 2 are needed to know its spread. "
            "Bring more images, or raise the dataset's share `report`."
        )
    return half_samples(count, card.resamples, torch.Generator().manual_seed(card.seed))


def mean_image(prepared: Prepared) -> Pixels:
    """The mean of the training images of the target domain, as one is stored: [H, W, C]."""
    train = prepared.images("train", prepared.target)
    # Sums of whole numbers: exact, in whatever pieces they are read.
    total = sum(block.sum(0, np.float64) for block in train.blocks())
    mean = total / len(train)
    return np.asarray(mean.round().astype(np.uint8) if train.dtype == np.uint8 else mean.astype(train.dtype))


def by_batch(errors: Callable[[Tensor, Tensor], Tensor], made: Pixels, true: Pixels) -> NDArray[np.float64]:
    """One error for each pair of images [N]."""
    pairs = zip(batches(made), batches(true), strict=True)
    return torch.cat([errors(*pair) for pair in pairs]).double().numpy()


def batches(pixels: Pixels, device: str = "cpu", size: int = BATCH) -> Iterator[Tensor]:
    """Stored images [N, H, W, C] as float batches [B, C, H, W] in [-1, 1]."""
    for start in range(0, len(pixels), size):
        yield to_float(torch.tensor(pixels[start : start + size], device=device))
