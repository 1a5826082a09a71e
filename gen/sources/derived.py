"""A dataset made from another: drawings of one half of its images as domain `a`, the other half untouched as `b`.

The halves share no image, so that a translator learns from unpaired sets; what each drawing was made from is kept as
its pair, for evaluation alone.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gen.errors import UserError
from gen.images import Pixels
from gen.snapshot import PAIRS, Picture, Snapshot
from gen.sources.base import Places, Source, Stream
from gen.splits import fraction

PEN = 1 / 64
"""Width of a line as a share of an image's shorter side; at least one pixel."""


class DerivedSource(Source):
    """`kind: derived`."""

    kind: Literal["derived"]
    of: str
    """Name of the dataset that is drawn from; it has one domain and is ingested before."""
    drawing: Literal["edges"]
    """What becomes of an image: `edges` is its outline, bright on black."""

    @property
    def requires(self) -> tuple[str, ...]:
        """The dataset that is drawn from."""
        return (self.of,)

    def open(self, places: Places) -> Stream:
        """Domains `a` (drawings), `b` and `pairs`, labels kept. Raises UserError unless `of` is there to be drawn."""
        snapshot = Snapshot(places.snapshot(self.of))
        if snapshot.domains != ("images",):
            raise UserError(
                f"Dataset `{self.of}` has the domains {' and '.join(snapshot.domains)}, but {self.drawing} are drawn "
                "of a dataset of one. Name another as `of`."
            )
        return Stream(f"{self.drawing} of `{self.of}`", _pictures(snapshot))


def _pictures(snapshot: Snapshot) -> Iterator[Picture]:
    for row, entry in enumerate(snapshot.index.itertuples()):
        pixels, label, official, group = snapshot.pixels(row), str(entry.label), bool(entry.official), str(entry.sha256)
        if fraction(str(entry.group), "half") < 0.5:
            yield Picture(edges(pixels), label, "a", official, group)
            yield Picture(pixels, label, PAIRS, official, group)
        else:
            yield Picture(pixels, label, "b", official, group)


def edges(pixels: Pixels) -> Pixels:
    """The outline of an image [H, W, C] as grey [H, W, 1]: its dilation less its erosion (the morphological gradient).

    It is bright wherever brightness changes, on both sides of the change (Rivest, Soille, Beucher: Morphological
    gradients, 1993).
    """
    grey = pixels[:, :, 0] if pixels.shape[2] == 1 else np.asarray(Image.fromarray(pixels).convert("L"))
    radius = max(1, round(min(grey.shape) * PEN))
    # An erosion is the dilation of the negative.
    dilated, eroded = _dilated(grey, radius), 255 - _dilated(255 - grey, radius)
    return (dilated - eroded)[:, :, None]


def _dilated(grey: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    """Each pixel's maximum over the square of `radius` neighbours on every side."""
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (radius, radius)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(grey, margin, mode="edge"), 2 * radius + 1, axis)
        grey = np.asarray(windows.max(axis=-1), np.uint8)
    return grey
