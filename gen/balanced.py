"""Generated images of chosen classes, as many of each.

A generator that knows classes is asked for them. Of any other images are made by number and told apart by a classifier;
those that it is sure of are kept until each class has enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from gen.errors import BadParamsError, TooFewImagesError, UserError
from gen.features import Extractor
from gen.images import Pixels
from gen.strict import nearest
from gen.use import Model

LOOK = 64
"""Images that are told apart at once."""
SURE = 0.9
"""Probability of its class above which an image counts as one of it, where nobody says another."""
DRAWS = 50
"""Images made for each one wanted, where nobody says how many; a class with a share of a fiftieth of its own is met."""


@dataclass(frozen=True)
class Kept:
    """An image that a class was given."""

    number: int
    """Among the images of its seed."""
    label: str
    pixels: Pixels
    """[H, W, C]."""


def require_folders(labels: Sequence[str]) -> None:
    """Raises BadParamsError where one of them cannot name a folder: they are what a dataset, or a stranger, says."""
    for label in labels:
        if not label or label.startswith(".") or "/" in label or "\0" in label:
            raise BadParamsError(f"The class {label!r} cannot be the name of a folder. Rename it in the dataset.")


def asked(model: Model, each: int, seed: int, truncation: float = 1.0) -> Iterator[Kept]:
    """So many images of each class of a model that knows classes; no two of them have their noise in common.

    Those of class k are number k * each and on of `seed`. Raises UserError for a class that it cannot make.
    """
    assert model.classes
    require_folders(model.classes.names)
    for place, label in enumerate(model.classes.names):
        chunks = model.chunks(each, seed, place * each, truncation, label)
        for number, pixels in enumerate((image for chunk in chunks for image in chunk), place * each):
            yield Kept(number, label, pixels)


@dataclass
class Draw:
    """Images of each class of `extractor`, drawn once by iterating; afterwards it says what there was to draw from."""

    model: Model
    extractor: Extractor
    each: int
    """Images wanted of each class."""
    seed: int
    sure: float
    """Probability of its class that an image needs to be kept."""
    most: int
    """Images to make before a class that has not enough by then is given up."""
    truncation: float = 1.0
    only: str | None = None
    """The one class that is wanted; all of them where there is none."""
    made: int = 0
    found: dict[str, int] = field(default_factory=dict)
    """Of those made, how many were surely of each class."""

    def __post_init__(self) -> None:
        """Raises UserError where the extractor tells no classes, BadParamsError where one cannot name a folder."""
        if self.extractor.description.meaning != "labels":
            raise UserError(
                f"The extractor of `{self.model.dataset}` was not taught labels, so it cannot say which class an image "
                "is of. Name an extractor that knows them under `extractor:` of the dataset."
            )
        if self.only is not None and self.only not in self.extractor.labels:
            raise BadParamsError(f"There is no class `{self.only}`. {nearest(self.only, self.extractor.labels)}")
        require_folders(self.extractor.labels)
        self.found = dict.fromkeys(self.extractor.labels, 0)

    def __iter__(self) -> Iterator[Kept]:
        """Images in the order of their numbers, so that the same arguments keep the same ones.

        Raises TooFewImagesError that names the classes without enough when `most` were made.
        """
        wanted = self.extractor.labels if self.only is None else [self.only]
        while lacking := [label for label in wanted if self.found[label] < self.each]:
            if self.made >= self.most:
                raise TooFewImagesError(self._given_up(lacking))
            pixels = self.model.sample(min(LOOK, self.most - self.made), self.seed, self.made, self.truncation)
            probabilities = self.extractor.probabilities(self.extractor.features(pixels))
            for image, row in zip(pixels, probabilities, strict=True):
                if row.max() > self.sure:
                    label = self.extractor.labels[int(np.argmax(row))]
                    self.found[label] += 1
                    if label in wanted and self.found[label] <= self.each:
                        yield Kept(self.made, label, image)
                self.made += 1

    def _given_up(self, lacking: list[str]) -> str:
        had = ", ".join(f"`{label}` {self.found[label]} of {self.each}" for label in lacking)
        return (
            f"Of {self.made:,} images that `{self.model.name}` made, too few were surely of some classes: {had}. "
            "A generator that hardly makes a class cannot fill it. Ask for fewer (of `genflows augment`, let --most be "
            "larger or --confidence smaller), or train a generator that covers the class."
        )
