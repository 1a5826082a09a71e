"""Points of the plane as images of one pixel with two channels, and their picture.

Stored points are float32 [N, 1, 1, 2] in [-1, 1]; a box says which part of the plane that is.
"""

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gen.images import Pixels
from gen.patterns import Points
from gen.strict import Strict

ROOM = 0.9
"""Of [-1, 1], what the points take: a generator that ends in a tanh reaches them all."""
SHOWN = 2000
"""Points that make a picture."""
SIDE = 320
"""Of a picture, in pixels."""
BEHIND, IN_FRONT = (190, 205, 225), (200, 60, 20)
"""Colours (RGB) of the points behind, and of those in front."""


class Box(Strict):
    """The square of the plane that is mapped to [-1, 1]."""

    x: float = Field(allow_inf_nan=False)
    """Of its centre."""
    y: float = Field(allow_inf_nan=False)
    """Of its centre."""
    half: float = Field(gt=0, allow_inf_nan=False)
    """Half of its side."""

    def __str__(self) -> str:
        """In words."""
        return f"the square of side {2 * self.half:g} about ({self.x:g}, {self.y:g})"

    @classmethod
    def around(cls, points: Points) -> "Box":
        """A box whose middle part, ROOM of it each way, holds all points [N, 2] and is hardly larger.

        Its numbers are round, so that few new points move it.
        """
        low, high = points.min(0), points.max(0)
        half = float((high - low).max()) / 2 / ROOM or 1.0
        digits = 1 - math.floor(math.log10(half))
        # 0 is added for -0 to be 0.
        x, y = (round(float(middle), digits) + 0.0 for middle in (low + high) / 2)
        # One step for what rounding moves the centre by.
        return cls(x=x, y=y, half=round((math.ceil(half * 10.0**digits) + 1) / 10.0**digits, digits))

    def inside(self, points: Points) -> Pixels:
        """Points of the plane [N, 2] as they are stored: float32 [N, 1, 1, 2], in [-1, 1] where they lie in the box."""
        return ((points - [self.x, self.y]) / self.half).astype(np.float32)[:, None, None, :]

    def outside(self, stored: Pixels) -> Points:
        """The way back."""
        return stored[:, 0, 0, :].astype(np.float64) * self.half + [self.x, self.y]


def scatter(stored: Pixels, behind: Pixels | None = None) -> Pixels:
    """The picture [SIDE, SIDE, 3] of points [N, 1, 1, 2], each a dot of 3 x 3 pixels; y goes up.

    Those `behind` are drawn first, in a light colour. What lies outside of [-1, 1] is drawn at the edge.
    """
    sheet = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for points, colour in ((behind, BEHIND), (stored, IN_FRONT)):
        if points is not None:
            rows, columns = _places(points)
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    sheet[rows + down, columns + right] = colour
    return sheet


def _places(points: Pixels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of points, a pixel from the edge at least."""
    x, y = points[:, 0, 0, :].astype(np.float64).clip(-1, 1).T
    scale = (SIDE - 3) / 2
    return np.rint(1 + (1 - y) * scale).astype(np.int64), np.rint(1 + (1 + x) * scale).astype(np.int64)
