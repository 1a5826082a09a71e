"""What can be made of an image to have a domain that leads back to it: outlines, and images that lack something.

Each takes an image uint8 [H, W, C] and a text that is its own (its digest), and depends on nothing else.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from gen.images import Pixels

Drawing = Literal["edges", "noisy", "blurred", "grey"]
PEN = 1 / 64
"""Width of a line as a share of an image's shorter side; at least one pixel."""
NOISE = 0.2
"""Standard deviation of the noise, as a share of the range from black to white."""
BLUR = 1 / 20
"""Standard deviation of the blur, as a share of an image's shorter side."""


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


def noisy(pixels: Pixels, own: str) -> Pixels:
    """An image with normal noise of its own, NOISE of the range on every pixel and channel; clipped to the range."""
    random = np.random.default_rng(int.from_bytes(sha256(own.encode()).digest()[:8], "big"))
    noise = random.standard_normal(pixels.shape) * (NOISE * 255)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def blurred(pixels: Pixels) -> Pixels:
    """An image seen through a normal blur of BLUR of its shorter side."""
    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    blur = ImageFilter.GaussianBlur(min(flat.shape[:2]) * BLUR)
    return np.asarray(Image.fromarray(flat).filter(blur)).reshape(pixels.shape)


def grey(pixels: Pixels) -> Pixels:
    """An image without its colours [H, W, 1] (ITU-R 601-2 luma)."""
    return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None] if pixels.shape[2] == 3 else pixels


DRAWINGS: Mapping[Drawing, Callable[[Pixels, str], Pixels]] = {
    "edges": lambda pixels, _: edges(pixels),
    "noisy": noisy,
    "blurred": lambda pixels, _: blurred(pixels),
    "grey": lambda pixels, _: grey(pixels),
}


def _dilated(grey: Pixels, radius: int) -> Pixels:
    """Each pixel's maximum over the square of `radius` neighbours on every side."""
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (radius, radius)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(grey, margin, mode="edge"), 2 * radius + 1, axis)
        grey = np.asarray(windows.max(axis=-1), np.uint8)
    return grey
