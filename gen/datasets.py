"""A prepared dataset: shards in splits, and what is known of them.

A prepared folder holds, for each split (train, select, report) and each domain:
`SPLIT/DOMAIN/00000.npy ...` [N, H, W, C], uint8, or float32 of points (gen.images);
`SPLIT/DOMAIN/labels.npy` int64 [N] where there are labels;
`SPLIT/pairs/00000.npy ...` the true images of domain b for those of domain a, where they are known (never for train);
and `profile.json` and `index.csv` for the whole. One-domain datasets call it `images`, others `a` and `b`.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gen import files, ranges
from gen.classes import Labels
from gen.errors import UserError
from gen.plane import Box
from gen.shards import Shards

Split = Literal["train", "select", "report"]
SPLITS: tuple[Split, ...] = ("train", "select", "report")
COPIES = "GENFLOWS_PREPARED"
"""Environment variable: an address with copies of data/prepared, for trainings to read, by the names of datasets."""


class Prepared:
    """A prepared dataset, opened for reading. Arrays are read when they are asked for."""

    def __init__(self, folder: Path, copy: str | None = None) -> None:
        """Open `folder`, the output of prepare@DATASET; images are read from its `copy` at an address, if there is one.

        Raises UserError when it is not there, or the copy is one of something else.
        """
        self.folder = folder
        self.copy = copy
        if copy:
            _check_copy(folder, copy)
        self.profile: dict[str, Any] = files.read_json(folder / "profile.json")

    @property
    def domains(self) -> tuple[str, ...]:
        """`("images",)`, or `("a", "b")`."""
        return tuple(self.profile["domains"])

    @property
    def target(self) -> str:
        """The domain that generated images are compared with: the only one, or `b`."""
        return self.domains[-1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.profile["channels"], self.profile["size"], self.profile["size"]

    @property
    def box(self) -> Box | None:
        """The part of the plane that its images are points of; None where they are no points."""
        box: dict[str, float] | None = self.profile.get("box")
        return None if box is None else Box(**box)

    @property
    def distribution(self) -> str | None:
        """Of points: the one that they were drawn from, where it is known (gen.patterns)."""
        return self.profile.get("distribution")

    @cached_property
    def digest(self) -> str:
        """One digest of everything in the folder."""
        return files.manifest_digest(self.folder)

    def images(self, split: Split, domain: str) -> Shards:
        """The images of one domain of a split, to be read as far as they are needed."""
        return Shards(f"{self.copy}/{split}/{domain}" if self.copy else self.folder / split / domain)

    def labels(self, split: Split, domain: str) -> NDArray[np.int64] | None:
        """Labels [N], or None where the source has none."""
        path = self.folder / split / domain / "labels.npy"
        return np.load(path, allow_pickle=False) if path.exists() else None

    def labelled(self, split: Split, domain: str) -> Labels | None:
        """The same, with the names of the classes."""
        each = self.labels(split, domain)
        return None if each is None else Labels(self.profile["labels"], each)

    def pairs(self, split: Split) -> Shards | None:
        """The true images of `b` for the images of `a`, in their order; None where nobody knows them."""
        folder = self.folder / split / "pairs"
        return Shards(folder) if folder.exists() else None


def _check_copy(folder: Path, copy: str) -> None:
    """Raise UserError unless both have the same manifest."""
    place = ranges.folder(copy)
    there = place.content(files.MANIFEST) if files.MANIFEST in place.names() else None
    if there != (folder / files.MANIFEST).read_bytes():
        raise UserError(
            f"{copy} is no copy of {folder}: its {files.MANIFEST} is missing or another. Copy the folder there as it "
            f"is now, or unset {COPIES}."
        )
