"""How far what a generator makes lies from what is real, and how much of it: figures of two sets of features."""

from dataclasses import replace

from gen.figures.subject import Subject
from gen.metrics import extrapolation, manifold
from gen.metrics.card import Figure
from gen.metrics.distribution import VERSIONS

UNITS = {
    "frechet": "squared feature distance",
    "frechet_infinite": "squared feature distance",
    "kernel": "squared MMD",
    "precision": "share of generated images",
    "recall": "share of real images",
    "density": "real balls around an image, over k",
    "coverage": "share of real images",
}


def distances(subject: Subject) -> list[Figure]:
    """Frechet and kernel distance, and what the former is extrapolated to where half of the images are enough for it.

    Raises TooFewImagesError when there are no more images than features.
    """
    settings = subject.settings
    found = subject.reference.distances(subject.counted, settings.seed, settings.resamples)
    figures = [
        replace(_figure(subject, name, distance.value, VERSIONS[name]), halves=distance.halves)
        for name, distance in found.items()
    ]
    infinite = extrapolation.at_infinity(found["frechet"])
    if infinite:
        value, deviation = infinite
        figure = _figure(subject, "frechet_infinite", value, extrapolation.VERSION)
        figures.append(replace(figure, deviation=deviation))
    return figures


def shares(subject: Subject) -> list[Figure]:
    """Fidelity and coverage, with those of the half-samples that the distances have."""
    found = manifold.manifold(subject.reference.features, subject.counted, *subject.subsets())
    return [
        replace(_figure(subject, name, float(values[0]), manifold.VERSION), halves=values[1:], lower_is_better=False)
        for name, values in found.items()
    ]


def _figure(subject: Subject, name: str, value: float, version: int) -> Figure:
    """One of those that real images and noise were measured by as well."""
    reference = subject.reference
    counts = {"generated": len(subject.counted), "real": len(reference.features)}
    card = subject.feature_card(name, version, counts)
    return Figure(name, value, UNITS[name], card, reference.floor.get(name), reference.baseline.get(name))
