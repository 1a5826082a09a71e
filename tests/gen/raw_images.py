"""Made-up images in the shapes in which users have them: idx files, CIFAR batches, folders."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gen.config import Params, from_values
from gen.images import Pixels
from gen.sources.base import Places


def noise(count: int, size: int = 12, channels: int = 1, seed: int = 0) -> Pixels:
    """Images [count, size, size, channels], no two alike."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, channels), np.uint8)


def labels_of(count: int) -> NDArray[np.uint8]:
    return (np.arange(count) % 10).astype(np.uint8)


def idx(array: NDArray[np.uint8]) -> bytes:
    """An array in idx format."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder: Path, train: Pixels, test: Pixels, *, packed: bool = False) -> Path:
    """The four files of MNIST for images [N, H, W, 1]; image i has label i % 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, pixels in (("train", train), ("t10k", test)):
        for name, array in (("images-idx3", pixels[..., 0]), ("labels-idx1", labels_of(len(pixels)))):
            data = idx(array)
            path = folder / f"{part}-{name}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(data) if packed else data)
    return folder


def cifar(pixels: Pixels) -> bytes:
    """Images [N, 32, 32, 3] as CIFAR-10 records; image i has label i % 10."""
    rows = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    return np.concatenate([labels_of(len(pixels))[:, None], rows], axis=1).tobytes()


def save(path: Path, pixels: Pixels, **options: Any) -> Path:
    """One image [H, W, C] as a file, its format by the name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path, **options)
    return path


def write_folder(folder: Path, pixels: Pixels, labels: NDArray[np.uint8] | None = None) -> Path:
    """Images as PNG files, in sub-folders named by their labels where there are any."""
    for number, image in enumerate(pixels):
        save(folder / ("" if labels is None else str(labels[number])) / f"{number}.png", image)
    return folder


def params(size: int = 12, channels: int = 1, **sources: dict[str, Any]) -> Params:
    """params.yaml with one dataset for each named source."""
    common = {"size": size, "channels": channels, "extractor": "any"}
    return from_values(
        {
            "datasets": {name: {**common, "source": source} for name, source in sources.items()},
            "models": {"gan": {"family": "gan"}},
        }
    )


def places(root: Path, mirror: Path | None = None) -> Places:
    return Places(root=root, mirror=mirror, downloads=root / "downloads", snapshot=lambda name: root / "raw" / name)
