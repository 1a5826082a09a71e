"""MNIST and Fashion-MNIST in their own format, idx, gzipped or not.

The format: two zero bytes, a type (8 = uint8), the number of dimensions, each dimension as big-endian uint32, the data
(LeCun, Cortes, Burges: The MNIST database).
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gen.errors import UserError
from gen.snapshot import Picture
from gen.sources.base import Places, Source, Stream
from gen.sources.official import Public, locate

PARTS = {"train": False, "t10k": True}
"""The two parts by the first word of their files' names, and whether it is the official test set."""
LARGEST = 2**31
"""Bytes of pixels beyond which a header is taken for damage."""

PUBLIC = {
    "mnist": Public(
        name="mnist",
        sha256={
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
        addresses=(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "https://storage.googleapis.com/cvdf-datasets/mnist",
        ),
    ),
    "fashion-mnist": Public(
        name="fashion-mnist",
        sha256={
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        # Zalando's own repository; its older address answers plain http only.
        addresses=("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",),
        packaged=Path("/usr/share/datasets/fashion-mnist"),
        advice="On Debian and Ubuntu `apt install dataset-fashion-mnist` is enough.",
    ),
}
LABELS = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        *("T-shirt", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}


class IdxSource(Source):
    """`kind: mnist` or `kind: fashion-mnist`."""

    kind: Literal["mnist", "fashion-mnist"]
    path: str | None = None
    """Folder with the four official files; looked into first."""

    def open(self, places: Places) -> Stream:
        """Grey images with the names of their labels; `t10k` is the official test set."""
        found, place = locate(PUBLIC[self.kind], self.path, places, find)
        return Stream(f"{self.kind}, four idx files from {place}", _pictures(found, LABELS[self.kind]))


def find(folder: Path) -> dict[str, Path] | None:
    """The four files in `folder` by their names without `.gz`, or None unless all are there."""
    found = {}
    for name in PUBLIC["mnist"].sha256:
        plain = folder / name.removesuffix(".gz")
        path = next((path for path in (plain, folder / name) if path.is_file()), None)
        if path is None:
            return None
        found[plain.name] = path
    return found


def _pictures(paths: dict[str, Path], names: tuple[str, ...]) -> Iterator[Picture]:
    for part, official in PARTS.items():
        images, labels = paths[f"{part}-images-idx3-ubyte"], paths[f"{part}-labels-idx1-ubyte"]
        all_pixels, all_labels = read_idx(images, 3), read_idx(labels, 1)
        if len(all_pixels) != len(all_labels):
            raise UserError(
                f"{labels} holds {len(all_labels)} labels, but {images} {len(all_pixels)} images. "
                "They are not of one set: get both again from the same place."
            )
        if len(all_labels) and int(all_labels.max()) >= len(names):
            raise UserError(
                f"{labels} holds the label {int(all_labels.max())}, but there are {len(names)} classes, 0 to "
                f"{len(names) - 1}. It is not the file of this dataset: get it again."
            )
        for pixels, label in zip(all_pixels, all_labels, strict=True):
            yield Picture(pixels[:, :, None], label=names[label], official=official)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an idx file of uint8 with so many dimensions, gzipped when its name ends in `.gz`.

    Raises UserError when its magic, its dimensions or its length are not right to the byte.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(4 + 4 * dimensions)
            if header[:4] != bytes([0, 0, 8, dimensions]) or len(header) < 4 + 4 * dimensions:
                raise _damaged(path, f"it does not begin as an idx file of {dimensions} dimensions does")
            shape = tuple(int(size) for size in np.frombuffer(header, ">u4", offset=4))
            if math.prod(shape) > LARGEST:
                raise _damaged(path, f"its header declares {' x '.join(map(str, shape))} bytes")
            # One byte more than declared, so that a longer file is noticed without being read.
            data = file.read(math.prod(shape) + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, f"it cannot be unpacked ({error})") from None
    if len(data) != math.prod(shape):
        longer = "longer" if len(data) > math.prod(shape) else f"cut short after {len(data)} bytes"
        raise _damaged(path, f"its header declares {' x '.join(map(str, shape))} bytes, but it is {longer}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged or no idx file: {why}. Get it again from its official address.")
