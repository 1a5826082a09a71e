"""Points of the plane: drawn from a distribution that is known, or the user's own table of two columns."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from gen import patterns
from gen.errors import UserError
from gen.snapshot import Picture
from gen.sources.base import Places, Rejected, Source, Stream

NOT_TWO = "not two columns"
NO_NUMBER = "no number"
NOT_FINITE = "a number that float32 cannot hold"


class PointsSource(Source):
    """`kind: points`."""

    kind: Literal["points"]
    of: patterns.Name | None = None
    """The distribution that they are drawn from, always with the same seed."""
    count: int | None = Field(default=None, ge=64, le=10_000_000)
    """How many are drawn; 10,000 by default."""
    path: str | None = None
    """Instead: a CSV file of two columns of numbers, with a header or without; relative paths begin at the workspace.
    """

    @model_validator(mode="after")
    def _one_of_two(self) -> "PointsSource":
        if (self.of is None) == (self.path is None):
            raise ValueError("points are either drawn, `of: ring`, `grid` or `moons`, or read, `path: table.csv`")
        if self.path is not None and self.count is not None:
            raise ValueError("`count` is of points that are drawn; remove it, for a table is read whole")
        return self

    def open(self, places: Places) -> Stream:
        """Points float32 [1, 1, 2], in their own units. Raises UserError when the table is not there or no text."""
        if self.of is not None:
            count = self.count or 10_000
            drawn = patterns.draw(self.of, count).astype(np.float32)
            pictures = (Picture(point[None, None]) for point in drawn)
            return Stream(f"{count:,} points of `{self.of}`", pictures, distribution=self.of)
        assert self.path is not None
        table = places.root / Path(self.path).expanduser()
        if not table.is_file():
            raise UserError(
                f"`path: {self.path}` names no table of points: {table} is no file. Name a CSV file of two columns."
            )
        return Stream("a table of points", _rows(table))


def _rows(table: Path) -> Iterator[Picture | Rejected]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            for row in lines:
                words = [word.strip() for word in row]
                is_header = lines.line_num == 1 and not any(map(_is_number, words))
                if any(words) and not is_header:
                    yield _point(words, f"line {lines.line_num}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} is no CSV file in UTF-8 ({error}). Save the table as one and try again.") from None


def _point(words: list[str], name: str) -> Picture | Rejected:
    if len(words) != 2:
        return Rejected(name, NOT_TWO, f"{len(words)}")
    if not all(map(_is_number, words)):
        return Rejected(name, NO_NUMBER, ",".join(words)[:80])
    with np.errstate(over="ignore"):
        # Adding 0 makes -0, which is equal to 0 but other bytes, 0.
        point = np.array([float(word) for word in words]).astype(np.float32) + np.float32(0)
    if not np.isfinite(point).all():
        return Rejected(name, NOT_FINITE, ",".join(words)[:80])
    return Picture(point[None, None])


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
