"""Figures as plain numbers, by the code that measures generators: what real images and noise score in their place."""

from dataclasses import dataclass

from gen.config import Judge
from gen.features import Extractor
from gen.metrics import classes, extrapolation, manifold
from gen.metrics.card import finite
from gen.metrics.distribution import Features
from gen.metrics.frechet import Gaussian
from gen.metrics.halves import whole
from gen.reference import distances_to


@dataclass(frozen=True)
class Values:
    """What one set of images scored."""

    named: dict[str, float]
    """Every figure of two sets of features, by the name of its metric."""
    by_class: list[float | None]
    """The kernel distance inside each class, None where one side has too few images; empty without labels."""


def values(extractor: Extractor, gaussian: Gaussian, real: Features, generated: Features, settings: Judge) -> Values:
    """Hold features of images [N, d] in the place of generated ones against real ones [M, d], fitted by `gaussian`.

    Raises TooFewImagesError when there are no more images than features.
    """
    everything = whole(len(real)), whole(len(generated))
    distances = distances_to(gaussian, real, generated, settings.seed, settings.resamples)
    infinite = extrapolation.at_infinity(distances["frechet"])
    shares = manifold.manifold(real, generated, *everything)
    named = {
        **{name: distance.value for name, distance in distances.items()},
        **({"frechet_infinite": infinite[0]} if infinite else {}),
        **{name: float(value[0]) for name, value in shares.items()},
    }
    if extractor.description.meaning != "labels":
        return Values(named, [])
    found = classes.compare(side(extractor, real), side(extractor, generated), *everything)
    named |= {name: float(value[0]) for name, value in found.values.items()}
    return Values(named, [finite(float(value)) for value in found.kernel[0]])


def side(extractor: Extractor, features: Features) -> classes.Side:
    """Features, with what the extractor's classifier makes of them."""
    return classes.Side(features, extractor.probabilities(features))
