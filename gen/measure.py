"""A published generator against the reference of its dataset: figures, class shares and pictures.

`evaluate` and `judge` both measure through here, so that what is promoted is what is reported.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from gen.arithmetic import tensor_cores
from gen.artifact import Published
from gen.config import Judge
from gen.datasets import Prepared
from gen.families.base import Reconstructor, Sampler, Translator
from gen.figures.autoencoding import autoencoding
from gen.figures.classes import ByClass, by_class
from gen.figures.copies import Closest, copies
from gen.figures.distances import distances, shares
from gen.figures.points import of_points
from gen.figures.subject import BATCH, Subject
from gen.figures.translations import translations
from gen.images import Pixels, grid, side_by_side
from gen.metrics.card import Figure
from gen.plane import SHOWN, scatter
from gen.reference import REPORT, Reference

ROWS = 12
"""Images that a picture of inputs and outputs shows."""


@dataclass(frozen=True)
class Measurement:
    """All that was measured of one generator."""

    figures: tuple[Figure, ...]
    rank_by: str
    """Name of the figure that generators of its task are ranked by."""
    classes: ByClass | None
    """What the extractor makes of the images; None where it knows no labels."""
    closest: Mapping[str, Closest]
    """The generated images that are nearest to a training image, by what they are compared in: features, pixels."""

    @property
    def deciding(self) -> Figure:
        """The figure called `rank_by`."""
        return self.named[self.rank_by]

    @property
    def named(self) -> dict[str, Figure]:
        """The figures by name."""
        return {figure.name: figure for figure in self.figures}

    def to_json(self) -> dict[str, Any]:
        """As it stands in metrics.json."""
        return {
            "rank_by": self.rank_by,
            "figures": [figure.to_json() for figure in self.figures],
            "classes": self.classes and self.classes.to_json(),
            "closest": {space: pairs.to_json() for space, pairs in self.closest.items()},
        }


@tensor_cores(False)
def measure(published: Published, prepared: Prepared, reference: Reference, settings: Judge) -> Measurement:
    """Measure a generator on the split `report`.

    A generator with a weight that is not finite gets NaN for every figure. Raises TooFewImagesError when a distance
    would be measured with no more images than features.
    """
    inputs = prepared.images(REPORT, prepared.domains[0])[: settings.samples]
    if isinstance(published.network, Sampler):
        made = published.generate(settings.samples, settings.seed, batch=BATCH)
    else:
        made = published.translate(inputs, batch=BATCH)
    features = reference.features_of(made)
    subject = Subject(published, prepared, reference, settings, inputs, made, features)
    of_classes, classes = by_class(subject)
    of_copies, closest = copies(subject)
    figures = [*distances(subject), *shares(subject), *of_classes, *of_copies]
    if isinstance(published.network, Translator):
        figures += translations(subject)
    if isinstance(published.network, Reconstructor):
        figures += autoencoding(subject, published.network)
    if prepared.box is not None:
        figures += of_points(subject, prepared.box)
    if not _is_finite(published.network):
        figures = [replace(figure, value=float("nan"), halves=None, deviation=None, parts={}) for figure in figures]
    by_pairs = any(figure.name == "pair_error" for figure in figures)
    return Measurement(
        figures=tuple(figures),
        rank_by="pair_error" if by_pairs else "frechet",
        classes=classes,
        closest=closest,
    )


def pictures(published: Published, prepared: Prepared, settings: Judge, count: int = 64) -> dict[str, Pixels]:
    """What a generator makes, to look at: by name, the one that shows its task first. Equal seeds show equal noise.

    `samples` of a sampler; `reconstructions` (input, output) of an autoencoder; `translations` (input, output, and
    the true image where it is known) of a translator. Of points all are scattered over real ones.
    """
    shown: dict[str, Pixels] = {}
    if prepared.box is not None:
        real = prepared.images(REPORT, prepared.target)[:SHOWN]
        shown["samples"] = scatter(published.generate(SHOWN, settings.seed), behind=real)
        if isinstance(published.network, Reconstructor):
            shown["reconstructions"] = scatter(published.reconstruct(real), behind=real)
        return shown
    inputs = prepared.images(REPORT, prepared.domains[0])[:ROWS]
    if isinstance(published.network, Sampler):
        shown["samples"] = grid(published.generate(count, settings.seed))
    if isinstance(published.network, Translator):
        pairs = prepared.pairs(REPORT)
        true = [] if pairs is None else [pairs[:ROWS]]
        shown["translations"] = side_by_side(inputs, published.translate(inputs), *true)
    if isinstance(published.network, Reconstructor):
        shown["reconstructions"] = side_by_side(inputs, published.reconstruct(inputs))
    return shown


def _is_finite(network: nn.Module) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values())
