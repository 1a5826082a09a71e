"""One image file to canonical pixels: grey or RGB, upright, on white.

Files come from strangers: only listed formats are tried, and the size is checked before a pixel is decoded. Of
animations and files of several pages the first is taken.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from gen.images import Pixels

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
MOST_PIXELS = 64_000_000
"""Checked on the header, before a pixel is decoded."""
SHORTEST_SIDE = 8

NO_IMAGE = f"no image ({', '.join(FORMATS)} are read)"
DAMAGED = "cannot be decoded"
TOO_LARGE = f"more than {MOST_PIXELS // 1_000_000} million pixels"
TOO_SMALL = f"a side shorter than {SHORTEST_SIDE} px"
NO_RANGE = "pixel values without a known range"

GREY = ("1", "L")
WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation (EXIF 2.3, tag 0x0112)."""


class Unusable(Exception):
    """A file that yields no usable image."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """`reason` is one of this module's texts, `detail` what the decoder said."""
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def decode(file: Path | bytes) -> Pixels:
    """The image in a file, at a path or in memory: uint8 [H, W, C] with 1 or 3 channels.

    Raises Unusable with the reason, and nothing else.
    """
    try:
        with warnings.catch_warnings():
            # Oddities inside a file are not this program's warnings; a picture near Pillow's own cap is over ours.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(_source(file), formats=FORMATS) as image:
                _check_size(*image.size)
                # A PNG's own checksums: decoding passes over them, and damage would go unnoticed.
                image.verify()
            # A verified image cannot be decoded; it has to be opened anew.
            with Image.open(_source(file), formats=FORMATS) as image:
                return _canonical(image)
    except (Unusable, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(TOO_LARGE) from None
    except UnidentifiedImageError:
        raise Unusable(NO_IMAGE) from None
    # Decoders fail in as many ways as files can be damaged.
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        raise Unusable(DAMAGED, detail.replace(str(file), file.name) if isinstance(file, Path) else detail) from None


def _source(file: Path | bytes) -> Path | io.BytesIO:
    """What Pillow reads a file from, at its beginning."""
    return io.BytesIO(file) if isinstance(file, bytes) else file


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise Unusable(TOO_LARGE, f"{width} x {height}")
    if min(width, height) < SHORTEST_SIDE:
        raise Unusable(TOO_SMALL, f"{width} x {height}")


def _canonical(image: Image.Image) -> Pixels:
    """Decode, turn upright, bring any mode to L or RGB."""
    turn = UPRIGHT.get(_orientation(image))
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise Unusable(NO_RANGE, f"mode {image.mode}")
    elif image.mode in WITH_ALPHA or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    else:
        image = image.convert("L" if image.mode in GREY else "RGB")
    if turn is not None:
        image = image.transpose(turn)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # A damaged EXIF block says nothing about the pixels.
        return 1
