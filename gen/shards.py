"""Images in shards, on disk or at an address: read whole where they fit into memory, one by one where they do not."""

import io
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen import ranges
from gen.errors import UserError
from gen.images import Pixels
from gen.ranges import Folder, Piece

SHARD_IMAGES = 10_000
HEAD = 128
"""Bytes before a shard's pixels."""


class Shards:
    """Images [N, H, W, C] in the files `00000.npy ...` of one place. Opening it reads their heads alone."""

    def __init__(self, place: Path | str) -> None:
        """In a folder, or at an address that fsspec knows. Raises UserError when there are no images."""
        self._folder = ranges.folder(place)
        self._names = [name for name in self._folder.names() if re.fullmatch(r"\d+\.npy", name)]
        if not self._names:
            raise UserError(f"{place} holds no images. Run `dvc repro` to have the dataset prepared again.")
        heads = [_head(self._folder, name) for name in self._names]
        self._begins = np.cumsum([0, *(head.shape[0] for head in heads)])
        self._offsets = [head.offset for head in heads]
        _, height, width, channels = heads[0].shape
        self.dtype: np.dtype[Any] = heads[0].dtype
        self.shape: tuple[int, int, int, int] = (int(self._begins[-1]), height, width, channels)

    def __len__(self) -> int:
        """How many images there are."""
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Pixels:
        """Images in a row, `[start:stop]`, read into memory of exactly their size."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError("shards are read in their order, or by `at`")
        read = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        wanted = []
        for shard, (begin, end) in enumerate(pairwise(self._begins)):
            first, last = max(start, int(begin)), min(stop, int(end))
            if first < last:
                wanted.append(self._piece(shard, first - int(begin), read[first - start : last - start]))
        self._folder.read(wanted)
        return read

    @property
    def bytes(self) -> int:
        """What all of them take in memory."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def at(self, indices: NDArray[np.int64]) -> Pixels:
        """The images at `indices` [M], in that order: [M, H, W, C]."""
        read = np.empty((len(indices), *self.shape[1:]), self.dtype)
        shards = np.searchsorted(self._begins, indices, side="right") - 1
        self._folder.read(
            [
                self._piece(int(shard), int(index - self._begins[shard]), read[place])
                for place, (index, shard) in enumerate(zip(indices, shards, strict=True))
            ]
        )
        return read

    def blocks(self) -> Iterator[Pixels]:
        """All images, a shard at a time."""
        for begin, end in pairwise(self._begins):
            yield self[int(begin) : int(end)]

    def _piece(self, shard: int, row: int, target: Pixels) -> Piece:
        """A shard's images from a row on, to fill an array with."""
        size = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        return Piece(self._names[shard], self._offsets[shard] + row * size, target.reshape(-1).view(np.uint8).data)


class _Head(NamedTuple):
    """What a shard holds, and where it begins."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


def _head(folder: Folder, name: str) -> _Head:
    """Of a file as `stream_shards` writes it."""
    begin = bytearray(HEAD)
    folder.read([Piece(name, 0, memoryview(begin))])
    file = io.BytesIO(begin)
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return _Head(shape, dtype, file.tell())


def write_shards(folder: Path, pixels: Pixels, labels: NDArray[np.int64] | None = None) -> None:
    """Write images [N, H, W, C] as shards of at most SHARD_IMAGES, and their labels beside them."""
    stream_shards(folder, [pixels], len(pixels), labels)


def stream_shards(folder: Path, blocks: Iterable[Pixels], count: int, labels: NDArray[np.int64] | None = None) -> None:
    """The same with `count` images that come in blocks [n, H, W, C]. Memory holds one block."""
    folder.mkdir(parents=True, exist_ok=True)
    for begin, part in _parted(blocks):
        shard, row = divmod(begin, SHARD_IMAGES)
        with (folder / f"{shard:05d}.npy").open("ab") as file:
            if row == 0:
                shape = (min(SHARD_IMAGES, count - begin), *part.shape[1:])
                head = {"descr": part.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, head)
            file.write(part.tobytes())
    if labels is not None:
        np.save(folder / "labels.npy", labels, allow_pickle=False)


def _parted(blocks: Iterable[Pixels]) -> Iterator[tuple[int, Pixels]]:
    """Blocks, parted where a shard ends, and how many images come before each."""
    begin = 0
    for block in blocks:
        while len(block):
            part, block = np.split(block, [SHARD_IMAGES - begin % SHARD_IMAGES])
            yield begin, part
            begin += len(part)
