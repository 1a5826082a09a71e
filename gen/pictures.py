"""Pictures inside a page: PNG as data: addresses, enlarged by whole numbers, so that the page needs no other file."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True)
class Picture:
    """An image to show."""

    source: str
    """A data: address."""
    caption: str
    width: int
    """In CSS pixels: a whole multiple of its own, so that every pixel comes out square."""


def shown(path: Path, caption: str, room: int) -> Picture | None:
    """A PNG as it is, enlarged into `room` CSS pixels; None where there is none."""
    if not path.exists():
        return None
    with Image.open(path, formats=["PNG"]) as image:
        return picture(image, caption, room)


def picture(image: Image.Image, caption: str, room: int) -> Picture:
    """An image, enlarged into `room` CSS pixels."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(source, caption, image.width * max(1, room // image.width))
