"""The classes that images are of: how they are called, how often each is met, and which image is of which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gen.errors import UserError
from gen.strict import Strict

MOST = 5000
"""Classes that a model may know."""
LETTERS = 100_000
"""In all of their names together, so that they stay a small part of what a model's config may take."""


class Classes(Strict):
    """What a model knows of its classes, in their order: class k is the k-th name."""

    names: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST)]
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    """Of the training images."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len(set(self.names)) < len(self.names) or len(self.shares) != len(self.names):
            raise ValueError("each class needs a name of its own and a share")
        if _letters(self.names) > LETTERS:
            raise ValueError(f"the names have more than {LETTERS:,} letters")
        if abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError("the shares are not 1 in sum")
        return self


@dataclass(frozen=True)
class Labels:
    """Which images are of which class."""

    names: list[str]
    each: NDArray[np.int64]
    """Of N images the class, as a place in `names`: [N]."""

    @property
    def classes(self) -> Classes:
        """Their names, and their shares of the N images. Raises UserError for more than a model may know."""
        if len(self.names) > MOST or _letters(self.names) > LETTERS:
            raise UserError(
                f"The images are of {len(self.names):,} classes, in whose names are {_letters(self.names):,} letters: "
                f"a model may know {MOST:,} classes and {LETTERS:,} letters. Set its `classes` to none, or bring "
                "images of fewer classes."
            )
        counts = np.bincount(self.each, minlength=len(self.names))
        return Classes(names=tuple(self.names), shares=tuple((counts / len(self.each)).tolist()))


def _letters(names: Sequence[str]) -> int:
    return sum(map(len, names))
