"""A dataset made from another: one half of its images, drawn anew, as domain `a`; the other half untouched as `b`.

The halves share no image, so that a translator learns from unpaired sets; what each drawing was made from is kept as
its pair, for evaluation alone.
"""

from collections.abc import Iterator
from typing import Literal

from gen.errors import UserError
from gen.images import POINT
from gen.snapshot import PAIRS, Picture, Snapshot
from gen.sources.base import Places, Source, Stream
from gen.sources.drawings import DRAWINGS, Drawing
from gen.splits import fraction


class DerivedSource(Source):
    """`kind: derived`."""

    kind: Literal["derived"]
    of: str
    """Name of the dataset that is drawn from; it has one domain and is ingested before."""
    drawing: Drawing
    """What becomes of an image (gen/sources/drawings.py)."""

    @property
    def requires(self) -> tuple[str, ...]:
        """The dataset that is drawn from."""
        return (self.of,)

    def open(self, places: Places) -> Stream:
        """Domains `a` (drawings), `b` and `pairs`, labels kept. Raises UserError unless `of` is there to be drawn."""
        snapshot = Snapshot(places.snapshot(self.of))
        if snapshot.domains != ("images",):
            raise UserError(
                f"Dataset `{self.of}` has the domains {' and '.join(snapshot.domains)}, but `drawing: {self.drawing}` "
                "takes a dataset of one. Name another as `of`."
            )
        if (snapshot.index["channels"] == POINT).any():
            raise UserError(
                f"Dataset `{self.of}` holds points, and `drawing: {self.drawing}` draws images. Name a dataset of "
                "images as `of`."
            )
        return Stream(f"{self.drawing} of `{self.of}`", _pictures(snapshot, self.drawing))


def _pictures(snapshot: Snapshot, drawing: Drawing) -> Iterator[Picture]:
    for row, entry in enumerate(snapshot.index.itertuples()):
        pixels, label, official, group = snapshot.pixels(row), str(entry.label), bool(entry.official), str(entry.sha256)
        if fraction(str(entry.group), "half") < 0.5:
            yield Picture(DRAWINGS[drawing](pixels, group), label, "a", official, group)
            yield Picture(pixels, label, PAIRS, official, group)
        else:
            yield Picture(pixels, label, "b", official, group)
