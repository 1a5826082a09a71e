"""CIFAR-10, binary version: records of one label byte and 3 x 32 x 32 pixel bytes (Krizhevsky, 2009).

Some of its batches may be missing: what is there is used, and what is not is said.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Literal, cast

import numpy as np

from gen.errors import UserError
from gen.snapshot import Picture
from gen.sources.base import Places, Source, Stream
from gen.sources.official import Public, locate

TEST = "test_batch.bin"
BATCHES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), TEST]
ARCHIVE = "cifar-10-binary.tar.gz"
INSIDE = "cifar-10-batches-bin"
RECORD = 1 + 3 * 32 * 32
RECORDS_AT_ONCE = 1000
MOST_MEMBERS = 100
"""The archive has 9; one with more than this is not it."""
LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PUBLIC = Public(
    name="cifar10",
    sha256={ARCHIVE: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
    addresses=("https://www.cs.toronto.edu/~kriz",),
)


class CifarSource(Source):
    """`kind: cifar10`."""

    kind: Literal["cifar10"]
    path: str | None = None
    """Folder with the binary batches (gzipped or not) or their archive; looked into first."""

    def open(self, places: Places) -> Stream:
        """32 px RGB images with the names of their labels; `test_batch` is the official test set."""
        found, place = locate(PUBLIC, self.path, places, find)
        names = BATCHES if ARCHIVE in found else list(found)
        missing = [name for name in BATCHES if name not in names]
        what = f"cifar10, {', '.join(names)} from {place}" + (f" ({', '.join(missing)} missing)" if missing else "")
        return Stream(what, _pictures(found))


def find(folder: Path) -> dict[str, Path] | None:
    """The batches in `folder` by name, or its archive, or None unless there is a training batch."""
    for place in (folder, folder / INSIDE):
        files = {path.name.removesuffix(".gz"): path for name in BATCHES for path in _forms(place / name)}
        if files.keys() - {TEST}:
            return files
    return {ARCHIVE: folder / ARCHIVE} if (folder / ARCHIVE).is_file() else None


def _forms(path: Path) -> list[Path]:
    """The batch as it lies there: packed, plain, or both."""
    return [form for form in (path.with_name(f"{path.name}.gz"), path) if form.is_file()]


def _pictures(found: dict[str, Path]) -> Iterator[Picture]:
    for name, path in found.items():
        try:
            for batch, file in _unpacked(path) if name == ARCHIVE else _opened(name, path):
                yield from _records(file, path, official=batch == TEST)
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
            raise _damaged(path, f"it cannot be unpacked ({error})") from None


def _opened(name: str, path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        yield name, cast(IO[bytes], file)


def _unpacked(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The batches inside the archive, read in passing: nothing of it is ever written to disk."""
    with tarfile.open(path, "r|gz") as archive:
        for count, member in enumerate(archive):
            if count >= MOST_MEMBERS:
                raise _damaged(path, f"it has more than {MOST_MEMBERS} members")
            name = PurePosixPath(member.name).name
            file = archive.extractfile(member) if member.isreg() and name in BATCHES else None
            if file is not None:
                yield name, file


def _records(file: IO[bytes], path: Path, official: bool) -> Iterator[Picture]:
    while data := file.read(RECORD * RECORDS_AT_ONCE):
        if len(data) % RECORD:
            raise _damaged(path, f"its length is no multiple of {RECORD} bytes")
        records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
        labels, pixels = records[:, 0], records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        if int(labels.max()) >= len(LABELS):
            raise _damaged(path, f"it holds the label {int(labels.max())}, but there are {len(LABELS)} classes")
        for label, image in zip(labels, pixels, strict=True):
            yield Picture(image, label=LABELS[label], official=official)


def _damaged(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} is damaged or no CIFAR-10 batch (binary version): {why}. Get it again from its official address."
    )
