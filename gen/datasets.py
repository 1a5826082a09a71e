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

from gen import files
from gen.classes import Labels
from gen.plane import Box
from gen.shards import Shards

Split = Literal["train", "select", "report"]
SPLITS: tuple[Split, ...] = ("train", "select", "report")


class Prepared:
    """A prepared dataset, opened for reading. Arrays are read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`, the output of prepare@DATASET. Raises UserError when it is not there."""
        self.folder = folder
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
        return Shards(self.folder / split / domain)

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
