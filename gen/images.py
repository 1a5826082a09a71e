"""The only place that knows how images are stored, and [-1, 1]; grids and PNG.

Arrays are uint8 [N, H, W, C] with C 1 (grey) or 3 (RGB), or float32 [N, 1, 1, 2] in [-1, 1], which are points of the
plane (gen.plane); tensors are float [N, C, H, W] in [-1, 1].
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gen import files

if TYPE_CHECKING:
    # Whoever only reads and writes pictures does not wait for torch.
    import torch
    from torch import Tensor

Pixels = NDArray[np.uint8 | np.float32]
POINT = 2
"""Channels of an image that is a point."""


def stored_as(channels: int) -> type[np.uint8 | np.float32]:
    """The type of the stored numbers of images with so many channels."""
    return np.float32 if channels == POINT else np.uint8


def to_float(pixels: Tensor) -> Tensor:
    """Stored [N, H, W, C] to float32 [N, C, H, W] in [-1, 1], in channels_last memory (a view, no copy of order).

    Points, which are float32 already, are taken as they are: the tensor shares their memory.
    """
    images = pixels.permute(0, 3, 1, 2)
    return images if pixels.is_floating_point() else images.float().mul_(2 / 255).sub_(1)


def to_pixels(images: Tensor) -> Pixels:
    """Float [N, C, H, W] in [-1, 1] (clipped) as it is stored: uint8 [N, H, W, C], rounded to nearest, or points."""
    clipped = images.detach().clamp(-1, 1)
    # What is no number becomes one, as it does in bytes: whoever measures says what such a network is worth.
    clipped = clipped.nan_to_num() if images.shape[1] == POINT else clipped.add(1).mul(255 / 2).round().byte()
    return np.ascontiguousarray(clipped.cpu().permute(0, 2, 3, 1).numpy())


def uniform(count: int, shape: tuple[int, int, int], generator: torch.Generator) -> Pixels:
    """`count` images of `shape` (channels, height, width), as they are stored, whose every number is drawn alike."""
    import torch

    channels, height, width = shape
    size = (count, height, width, channels)
    if channels == POINT:
        return torch.rand(size, generator=generator).mul_(2).sub_(1).numpy()
    return torch.randint(256, size, generator=generator, dtype=torch.uint8).numpy()


def grid(pixels: Pixels, columns: int | None = None, gap: int = 2) -> Pixels:
    """Tile [N, H, W, C] into one picture [rows, cols, C] on white, row by row; as square as it gets by default."""
    count, height, width, channels = pixels.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8)
    for index, image in enumerate(pixels):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def side_by_side(*groups: Pixels, across: int = 4, gap: int = 2) -> Pixels:
    """Matching images of each group [N, H, W, C] beside each other, `across` of such sets a row, to one picture."""
    stacked = np.stack(groups, axis=1).reshape(-1, *groups[0].shape[1:])
    return grid(stacked, columns=len(groups) * across, gap=gap)


def png(image: Pixels) -> bytes:
    """One picture [H, W, C] as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def write_png(path: Path, image: Pixels) -> None:
    """Write one picture [H, W, C] as PNG, atomically."""
    files.write(path, png(image))
