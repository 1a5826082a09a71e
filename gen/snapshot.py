"""The canonical snapshot of a source: the same images give the same bytes, whichever way and order they came in.

A snapshot folder (data/raw/NAME) holds
* `index.csv`: one line an image, sorted by domain and sha256, its columns COLUMNS; sizes are those of the pixels kept;
* `pixels-00000.bin` ...: the pixels of those images in that order, [height, width, channels] each,
  end to end; uint8, or float32 where the channels are 2, which are points of the plane, in their own units;
* `summary.json` and `quarantine.csv`: what was kept and left out, and from where (this alone differs between two ways);
* `manifest.json`.
Domains are `images`, or `a` and `b`; the domain `pairs` holds the true images of `b` for those of `a` where they are
known, for evaluation alone: the pair of an image of `a` is the one whose sha256 is that image's group.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from gen import files
from gen.errors import UserError
from gen.images import Pixels, stored_as

COLUMNS = ["sha256", "label", "domain", "official", "group", "height", "width", "channels", "shard", "offset"]
SHARD_BYTES = 64 * 2**20
LONGEST_SHORT_SIDE = 512
"""Larger images are reduced once to this shorter side, in pixels: twice what a dataset can ask for."""
PAIRS = "pairs"


class Canonical(NamedTuple):
    """An image as a snapshot holds it."""

    pixels: Pixels
    """[H, W, C], grey where all channels were equal, its shorter side LONGEST_SHORT_SIDE at most."""
    sha256: str
    """Of the pixels in their own size."""


@dataclass(frozen=True)
class Picture:
    """One decoded image of a source."""

    pixels: Pixels | Canonical
    """uint8 [height, width, channels], 1 channel for grey or 3 for RGB; of a point float32 [1, 1, 2]."""
    label: str = ""
    """Name of its class; empty where it has none."""
    domain: str = "images"
    official: bool = False
    """Whether it belongs to the source's official test set."""
    group: str = ""
    """Images of one group are never parted by a split; by default each is its own."""


@dataclass(frozen=True)
class Tally:
    """What writing a snapshot came to."""

    kept: Mapping[str, int]
    """Images by domain."""
    duplicates: int
    """Images dropped because the same pixels were there already."""
    conflicts: int
    """Duplicates that came with another label; the first label by name was kept."""
    official: int
    """Images of the official test set."""
    labels: list[str]
    """Names of the classes, in the order of their numbers."""
    bytes: int
    """Size of all pixels."""


@dataclass
class _Entry:
    """One line of the index, and where its pixels lie in the spool."""

    sha256: str
    label: str
    domain: str
    official: bool
    group: str
    shape: tuple[int, ...]
    position: int


def pixel_digest(pixels: Pixels) -> str:
    """SHA-256 of an image [H, W, C]: of its shape and its pixels."""
    height, width, channels = pixels.shape
    digest = hashlib.sha256(f"{height} {width} {channels}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def write(folder: Path, pictures: Iterable[Picture]) -> Tally:
    """Write `index.csv` and shards for `pictures` into `folder`. Memory holds the index and one image.

    Exact duplicates inside a domain are dropped: what is official in any copy stays official, and the first label
    and group by name are kept, so that the order of `pictures` changes nothing.
    """
    entries: dict[tuple[str, str], _Entry] = {}
    duplicates = conflicts = 0
    # The index is sorted, so pixels wait on disk until all hashes are known.
    spool_path = folder / "spool"
    with spool_path.open("w+b") as spool:
        for picture in pictures:
            image = picture.pixels if isinstance(picture.pixels, Canonical) else canonical(picture.pixels)
            known = entries.get((picture.domain, image.sha256))
            if known is None:
                entries[picture.domain, image.sha256] = _spool(spool, picture, image)
            else:
                duplicates += 1
                conflicts += picture.label != known.label
                _merge(known, picture)
        kept = [entry for _, entry in sorted(_without_orphans(entries).items())]
        index = _write_shards(folder, kept, spool)
    spool_path.unlink()
    index.to_csv(folder / "index.csv", index=False, lineterminator="\n")
    return Tally(
        kept=dict(sorted(Counter(entry.domain for entry in kept if entry.domain != PAIRS).items())),
        duplicates=duplicates,
        conflicts=conflicts,
        official=sum(entry.official for entry in kept if entry.domain != PAIRS),
        labels=label_names(index),
        bytes=sum(_bytes(*entry.shape) for entry in kept),
    )


def canonical(pixels: Pixels) -> Canonical:
    """An image [H, W, C] as a snapshot holds it. RGB whose channels are all equal is grey."""
    grey = pixels[:, :, :1]
    if pixels.shape[2] == 3 and bool((pixels == grey).all()):
        pixels = grey
    return Canonical(_bounded(pixels), pixel_digest(pixels))


def _bounded(pixels: Pixels) -> Pixels:
    """`pixels`, reduced when the shorter side is beyond LONGEST_SHORT_SIDE, so that a snapshot stays bounded."""
    height, width, _ = pixels.shape
    scale = LONGEST_SHORT_SIDE / min(height, width)
    return pixels if scale >= 1 else resized(pixels, round(height * scale), round(width * scale))


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """An image [H, W, C] at another size, by Lanczos with antialiasing."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    smaller = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    return smaller.reshape(height, width, pixels.shape[2])


def _spool(spool: BinaryIO, picture: Picture, image: Canonical) -> _Entry:
    position = spool.tell()
    spool.write(image.pixels.tobytes())
    group = picture.group or image.sha256
    return _Entry(image.sha256, picture.label, picture.domain, picture.official, group, image.pixels.shape, position)


def _merge(known: _Entry, copy: Picture) -> None:
    known.official = known.official or copy.official
    known.label = min(filter(None, (known.label, copy.label)), default="")
    known.group = min(known.group, copy.group or known.sha256)


def _without_orphans(entries: dict[tuple[str, str], _Entry]) -> dict[tuple[str, str], _Entry]:
    """Drop pairs whose image of `a` was dropped."""
    groups = {entry.group for entry in entries.values() if entry.domain == "a"}
    return {key: entry for key, entry in entries.items() if entry.domain != PAIRS or entry.sha256 in groups}


def _write_shards(folder: Path, entries: list[_Entry], spool: BinaryIO) -> pd.DataFrame:
    """Copy pixels from the spool into shards in the order of `entries`, and return the index."""
    rows: list[tuple[Any, ...]] = []
    shard, offset = 0, 0
    out = (folder / _shard_name(0)).open("wb")
    try:
        for entry in entries:
            size = _bytes(*entry.shape)
            if offset and offset + size > SHARD_BYTES:
                out.close()
                shard, offset = shard + 1, 0
                out = (folder / _shard_name(shard)).open("wb")
            spool.seek(entry.position)
            out.write(spool.read(size))
            origin = (entry.sha256, entry.label, entry.domain, int(entry.official), entry.group)
            rows.append((*origin, *entry.shape, shard, offset))
            offset += size
    finally:
        out.close()
    return pd.DataFrame(rows, columns=COLUMNS)


def _bytes(height: int, width: int, channels: int) -> int:
    return height * width * channels * np.dtype(stored_as(channels)).itemsize


def _shard_name(number: int) -> str:
    return f"pixels-{number:05d}.bin"


class Snapshot:
    """A snapshot, opened for reading. Pixels are read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Open and verify `folder`. Raises UserError when it is missing or not what was written."""
        if not (folder / files.MANIFEST).is_file():
            raise UserError(
                f"The images of dataset `{folder.name}` are not here yet: {folder} is missing. "
                f"Run `genflows ingest {folder.name}` (or `dvc pull`) and try again."
            )
        files.verify(folder)
        self.folder = folder
        self.index = read_index(folder / "index.csv")
        self.summary: dict[str, Any] = files.read_json(folder / "summary.json")

    @property
    def domains(self) -> tuple[str, ...]:
        """`("images",)`, or `("a", "b")`."""
        return tuple(self.summary["domains"])

    @cached_property
    def labels(self) -> list[str]:
        """Names of the classes, in the order of their numbers; empty where there are none."""
        return label_names(self.index)

    def pixels(self, row: int) -> Pixels:
        """The image at position `row` of the index, [H, W, C]."""
        _, _, _, _, _, height, width, channels, shard, offset = self._rows[row]
        # Not mapped: mapped pixels would count as this process's memory.
        with (self.folder / _shard_name(shard)).open("rb", buffering=0) as file:
            file.seek(offset)
            stored = file.read(_bytes(height, width, channels))
        pixels: Pixels = np.frombuffer(stored, stored_as(channels))
        return pixels.reshape(height, width, channels)

    @cached_property
    def _rows(self) -> list[tuple[Any, ...]]:
        return list(self.index.itertuples(index=False, name=None))


def read_index(path: Path) -> pd.DataFrame:
    """Read an `index.csv`: names as text (empty where there is none), the others as int64."""
    text = dict.fromkeys(["sha256", "label", "domain", "group"], str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, encoding="utf-8")


def label_names(index: pd.DataFrame) -> list[str]:
    """The classes of an index in the order of their numbers: figures by value, then names by alphabet."""
    names = set(index["label"]) - {""}
    return sorted(names, key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name))


def changes(old: pd.DataFrame, new: pd.DataFrame) -> dict[str, dict[str, int]]:
    """What became of a snapshot, from its two indexes: counts of added, removed and relabelled images by domain."""
    domains = sorted((set(old["domain"]) | set(new["domain"])) - {PAIRS})
    return {domain: _changes(*(_labels_by_image(index, domain) for index in (old, new))) for domain in domains}


def _changes(old: "pd.Series[str]", new: "pd.Series[str]") -> dict[str, int]:
    both = old.index.intersection(new.index)
    return {
        "added": len(new) - len(both),
        "removed": len(old) - len(both),
        "relabelled": int((old[both] != new[both]).sum()),
    }


def _labels_by_image(index: pd.DataFrame, domain: str) -> "pd.Series[str]":
    return index[index["domain"] == domain].set_index("sha256")["label"]
