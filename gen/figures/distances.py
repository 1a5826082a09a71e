"""How far what a generator makes lies from what is real, and how much of it: figures of two sets of features."""

import numpy as np

from gen.figures.subject import Subject
from gen.metrics import manifold
from gen.metrics.card import Figure
from gen.metrics.distribution import VERSIONS

UNITS = {
    "frechet": "squared feature distance",
    "kernel": "squared MMD",
    "precision": "share of generated images",
    "recall": "share of real images",
    "density": "real balls around an image, over k",
    "coverage": "share of real images",
}


def distances(subject: Subject) -> list[Figure]:
    """Frechet and kernel distance. Raises TooFewImagesError when there are no more images than features."""
    reference, settings = subject.reference, subject.settings
    return [
        Figure(
            name=name,
            value=distance.value,
            unit=UNITS[name],
            card=subject.feature_card(name, VERSIONS[name], _counts(subject)),
            floor=reference.floor[name],
            baseline=reference.baseline[name],
            halves=distance.halves,
        )
        for name, distance in reference.distances(subject.counted, settings.seed, settings.resamples).items()
    ]


def shares(subject: Subject) -> list[Figure]:
    """Fidelity and coverage, with those of the half-samples that the distances have."""
    reference = subject.reference
    in_real, in_generated = (np.vstack([np.ones((1, mask.shape[1]), np.bool_), mask]) for mask in subject.halves())
    return [
        Figure(
            name=name,
            value=float(values[0]),
            unit=UNITS[name],
            card=subject.feature_card(name, manifold.VERSION, _counts(subject)),
            floor=reference.floor[name],
            baseline=reference.baseline[name],
            halves=values[1:],
            lower_is_better=False,
        )
        for name, values in manifold.manifold(reference.features, subject.counted, in_real, in_generated).items()
    ]


def _counts(subject: Subject) -> dict[str, int]:
    return {"generated": len(subject.counted), "real": len(subject.reference.features)}
