"""Pictures in and out of JSON: base64 of a PNG, JPEG or WebP to pixels as a model takes them, and pixels to base64.

They come from strangers: what a header says of the size is checked before a pixel is decoded.
"""

import base64
import binascii
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from gen.images import Pixels, png
from gen.sources.decoding import Unusable, decode
from gen.steps.prepare import square

FORMATS = ("PNG", "JPEG", "WEBP")
LONGEST_SIDE = 8192
MOST_PIXELS = 32_000_000
"""Of all images of a request together: two photos of a telephone, or 64 thumbnails."""


class UndecodableError(Exception):
    """Something in the place of a picture that is none; says which and why."""


def pixels_of(encoded: Sequence[str], shape: tuple[int, int, int]) -> Pixels:
    """Base64 pictures as a model of `shape` (channels, height, width) takes them: uint8 [N, H, W, C].

    Of each its central square, resized; grey or RGB as the model wants it. Raises UndecodableError.
    """
    channels, size, _ = shape
    files = [_bytes(number, text) for number, text in enumerate(encoded)]
    total = sum(_size(number, data) for number, data in enumerate(files))
    if total > MOST_PIXELS:
        raise UndecodableError(
            f"The images have {total:,} pixels together, and one request may have {MOST_PIXELS:,}. "
            "Make them smaller (the model resizes them anyway), or send them in several requests."
        )
    return np.stack([square(_decoded(number, data), size, channels) for number, data in enumerate(files)])


def encoded(pixels: Pixels) -> list[str]:
    """Each image of uint8 [N, H, W, C] as base64 of a PNG."""
    return [base64.b64encode(png(image)).decode() for image in pixels]


def _bytes(number: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UndecodableError(
            f"Image {number} is not base64. Send the file's bytes in plain base64 (RFC 4648), without `data:` before "
            "it and without line breaks."
        ) from None


def _size(number: int, data: bytes) -> int:
    """How many pixels a picture's header promises."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    except UnidentifiedImageError:
        raise _refused(number, f"no image of a format that is read here ({', '.join(FORMATS)})") from None
    # A header can be damaged in as many ways as decoders can fail; Pillow's own cap lies above ours.
    except Exception:
        raise _refused(number, "damaged, or far too large") from None
    if max(width, height) > LONGEST_SIDE:
        raise _refused(number, f"{width} x {height} pixels, and no side may be longer than {LONGEST_SIDE}")
    return width * height


def _decoded(number: int, data: bytes) -> Pixels:
    try:
        return decode(data)
    except Unusable as fault:
        raise _refused(number, fault.reason) from None


def _refused(number: int, why: str) -> UndecodableError:
    return UndecodableError(f"Image {number} cannot be used: {why}. Send a whole PNG, JPEG or WebP file in its place.")
