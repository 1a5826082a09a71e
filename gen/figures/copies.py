"""How far a generator repeats the training images of the domain that its images are to look like."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gen.figures import pixels
from gen.figures.subject import Subject, mean_figure
from gen.images import POINT, Pixels, grid
from gen.metrics import memorisation
from gen.metrics.card import Card, Figure
from gen.metrics.halves import Mask
from gen.metrics.memorisation import Copies
from gen.plane import scatter
from gen.reference import REPORT, kept

SHARE = "share of generated images"
RANKS = "z of distances to the training images"
SHOWN = 12
"""Closest pairs."""


@dataclass(frozen=True)
class Closest:
    """The generated images that lie nearest to a training image."""

    made: Pixels
    """[SHOWN or fewer, H, W, C], the nearest first."""
    originals: Pixels
    """Their nearest training images."""
    distances: list[float]
    """Between the two."""
    usual: float
    """Median distance of held-out images to their nearest training image."""

    @property
    def picture(self) -> Pixels:
        """Generated images, and below each its nearest training image; of points all in one, these behind."""
        if self.made.shape[3] == POINT:
            return scatter(self.made, behind=self.originals)
        return grid(np.concatenate([self.made, self.originals]), columns=len(self.made))

    def to_json(self) -> dict[str, Any]:
        """As it stands in metrics.json."""
        return {"distances": self.distances, "usual": self.usual}


def copies(subject: Subject) -> tuple[list[Figure], Mapping[str, Closest]]:
    """Figures of memorisation, and the closest pairs in `features` and in `pixels`."""
    reference, prepared = subject.reference, subject.prepared
    made, train = subject.made[: reference.count], prepared.images("train", prepared.target)
    found = memorisation.memorisation(subject.counted, reference.train, reference.features)
    equal = memorisation.equal_pixels(made, train.blocks())
    # The rows whose features the reference holds, so that both spaces are searched among the same images.
    rows = kept(len(train))
    held_out = pixels.points(prepared.images(REPORT, prepared.target))
    among_pixels = memorisation.copies(pixels.points(made), pixels.points(train, rows), held_out)
    figures = [*_in_features(subject, found, equal), *_in_pixels(subject, among_pixels)]
    closest = {
        space: _closest(copied, made, train.at(rows[copied.originals[copied.closest[:SHOWN]]]))
        for space, copied in (("features", found), ("pixels", among_pixels))
    }
    return [replace(figure, floor=reference.floor[figure.name]) for figure in figures], closest


def _in_features(subject: Subject, found: memorisation.Memorisation, equal: Mask) -> list[Figure]:
    cards = {name: subject.feature_card(name, memorisation.VERSION, _counts(subject)) for name in found.values}
    means = [
        mean_figure(SHARE, cards[name], images.astype(np.float64))
        for name, images in (("authenticity", found.authentic), ("near_duplicates", found.near | equal))
    ]
    exact = float(equal.mean())
    return [
        replace(means[0], lower_is_better=False),
        replace(means[1], parts={"exact": exact, "close": means[1].value - exact}),
        Figure("copying", found.copying, RANKS, cards["copying"], lower_is_better=None, deviation=1.0),
        *_shares(found, [cards["copied_share"], cards["copied_closely"]]),
    ]


def _in_pixels(subject: Subject, found: Copies) -> list[Figure]:
    channels, _, size = subject.prepared.shape
    side = pixels.side_of(channels, size)
    averaged = "" if side == size else f", averaged to {side} x {side}"
    cards = [subject.card(name, memorisation.VERSION, _counts(subject)) for name in found.in_pixels]
    if subject.prepared.box is None:
        cards = [replace(card, preprocessing=f"uint8 / 255{averaged}") for card in cards]
    return _shares(found, cards)


def _shares(found: Copies, cards: list[Card]) -> list[Figure]:
    return [
        Figure(card.metric, share.value, SHARE, card, deviation=share.deviation)
        for card, share in zip(cards, (found.copied, found.copied_closely), strict=True)
    ]


def _counts(subject: Subject) -> dict[str, int]:
    reference = subject.reference
    return {
        "generated": len(subject.counted),
        "train": len(reference.train),
        "held_out": len(reference.features),
    }


def _closest(found: Copies, made: Pixels, originals: Pixels) -> Closest:
    shown = found.closest[:SHOWN]
    return Closest(made[shown], originals, found.distances[shown].tolist(), float(np.median(found.usual)))
