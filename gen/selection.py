"""Which step of a training is published: measured on the split `select`, which no reported figure ever sees."""

from dataclasses import dataclass

import torch

from gen import health
from gen.artifact import Published
from gen.datasets import Prepared
from gen.families.base import Sampler
from gen.metrics.distribution import Features, kernel_with_halves
from gen.metrics.halves import half_samples
from gen.reference import Space

SAMPLES = 1000
"""Images made for one measurement; a translator makes no more than there are to translate."""
SEED = 2**40
"""Of their noise: another than that of reported figures, whose seeds are those of params.yaml."""
RESAMPLES = 20
"""Half-samples that the spread comes from."""


@dataclass(frozen=True)
class Selected:
    """How good a training's generator was after some images. Lower is better."""

    images: int
    """Seen when it was measured."""
    value: float
    """Kernel distance to the real images of `select`; unbiased, so it may be below 0."""
    spread: float
    """By how much it would move with other images."""


@dataclass(frozen=True)
class Made:
    """What a generator made for one measurement, and what stands against it."""

    features: Features
    real: Features
    signs: tuple[str, ...]
    """Of collapse."""
    missing: tuple[str, ...]
    """Of classes that are hardly there: collapse, unless the generator still learns them."""


def make(published: Published, prepared: Prepared, space: Space) -> Made:
    """Let a generator make the images of one measurement, in the dataset's features."""
    inputs = prepared.images("select", prepared.domains[0])[:SAMPLES]
    sampler = isinstance(published.network, Sampler)
    made = published.generate(SAMPLES, SEED) if sampler else published.translate(inputs)
    features = space.extractor.features(made)
    signs = health.too_alike(features, space.select)
    missing: list[str] = []
    shares, wanted = (space.extractor.shares(side, health.SURE) for side in (features, space.select))
    if shares and wanted and health.lifelike(features, space.select):
        missing = health.missing_modes(shares, wanted, space.extractor.labels)
    if not sampler:
        targets = prepared.images("select", prepared.target)[:SAMPLES]
        signs += health.copies((inputs, made, targets), (space.extractor.features(inputs), features, space.select))
    return Made(features, space.select, tuple(signs), tuple(missing))


def measure(made: Made, images: int) -> Selected:
    """The kernel distance of generated images to `select`, after so many `images` of training."""
    sides = made.real, made.features
    halves = [
        half_samples(len(side), RESAMPLES, torch.Generator().manual_seed(seed)) for seed, side in enumerate(sides)
    ]
    distance = kernel_with_halves(*sides, *halves)
    assert distance.halves is not None
    return Selected(images, distance.value, float(distance.halves.std(ddof=1)))
