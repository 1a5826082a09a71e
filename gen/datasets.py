"""Prepared uint8 shards, and the endless seeded batches that a training takes from them.

A prepared folder holds, for each split (train, select, report) and each domain:
`SPLIT/DOMAIN/00000.npy ...` uint8 [N, H, W, C]; `SPLIT/DOMAIN/labels.npy` int64 [N] where there are labels;
`SPLIT/pairs/00000.npy ...` the true images of domain b for those of domain a, where they are known (never for train);
and `profile.json` and `index.csv` for the whole. One-domain datasets call it `images`, others `a` and `b`.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen import files
from gen.errors import UserError
from gen.images import Pixels, to_float
from gen.order import Order

Split = Literal["train", "select", "report"]
SPLITS: tuple[Split, ...] = ("train", "select", "report")
SHARD_IMAGES = 10_000


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

    @cached_property
    def digest(self) -> str:
        """One digest of everything in the folder."""
        return files.manifest_digest(self.folder)

    def images(self, split: Split, domain: str) -> Pixels:
        """All images of one domain of a split, uint8 [N, H, W, C]."""
        return self._shards(self.folder / split / domain)

    def labels(self, split: Split, domain: str) -> NDArray[np.int64] | None:
        """Labels [N], or None where the source has none."""
        path = self.folder / split / domain / "labels.npy"
        return np.load(path, allow_pickle=False) if path.exists() else None

    def pairs(self, split: Split) -> Pixels | None:
        """The true images of `b` for the images of `a`, in their order; None where nobody knows them."""
        folder = self.folder / split / "pairs"
        return self._shards(folder) if folder.exists() else None

    def _shards(self, folder: Path) -> Pixels:
        shards = [np.load(path, allow_pickle=False) for path in sorted(folder.glob("[0-9]*.npy"))]
        if not shards:
            raise UserError(f"{folder} holds no images. Run `dvc repro` to have the dataset prepared again.")
        return np.concatenate(shards) if len(shards) > 1 else shards[0]


def write_shards(folder: Path, pixels: Pixels, labels: NDArray[np.int64] | None = None) -> None:
    """Write images [N, H, W, C] as shards of at most SHARD_IMAGES, and their labels beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(pixels), SHARD_IMAGES)):
        np.save(folder / f"{number:05d}.npy", pixels[start : start + SHARD_IMAGES], allow_pickle=False)
    if labels is not None:
        np.save(folder / "labels.npy", labels, allow_pickle=False)


class Batches:
    """Batches of training images from one or two domains, each a function of the images seen before it."""

    def __init__(self, domains: Sequence[Pixels], size: int, seed: int, device: torch.device) -> None:
        """Every domain uint8 [N, H, W, C] in an order of its own; their images are not paired."""
        self.size = size
        self.device = device
        self.resident = [torch.from_numpy(pixels).to(device) for pixels in domains]
        self.orders = [Order(len(pixels), seed, stream) for stream, pixels in enumerate(domains)]

    def at(self, images: int) -> tuple[Tensor, ...]:
        """The batch after so many images: a tensor [size, C, H, W] in [-1, 1] for each domain.

        Every image of a domain is seen once before any is seen again (a batch may span two such passes).
        """
        chosen = (torch.from_numpy(order.at(images, self.size)).to(self.device) for order in self.orders)
        return tuple(to_float(pixels[indices]) for pixels, indices in zip(self.resident, chosen, strict=True))
