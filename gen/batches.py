"""The endless seeded batches that a training takes from its images, whether those fit into memory or not."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.images import Pixels, to_float
from gen.order import Order
from gen.parallel import ALONE, Team
from gen.shards import Shards

READERS = 2
"""Threads that read ahead from shards, each a batch."""
SHARE = 2
"""A training keeps images in memory where they take less than one part of so many of its own."""


def opened(domains: Sequence[Shards], team: Team) -> list[Shards | Pixels]:
    """Each domain's images: in memory when all of them fit there, otherwise as they are, to be read batch by batch.

    What a training makes of them is the same either way.
    """
    if sum(shards.bytes for shards in domains) <= _memory(team) // SHARE:
        return [shards[:] for shards in domains]
    return list(domains)


def _memory(team: Team) -> int:
    """Bytes that are there for one of the processes that may train side by side, also on an accelerator."""
    side_by_side = max(team.size, (os.cpu_count() or 1) // torch.get_num_threads())
    own = _machine_memory() // side_by_side
    return min(own, torch.cuda.mem_get_info(team.device)[0]) if team.device.type == "cuda" else own


def _machine_memory() -> int:
    """Bytes of the machine, or of the container where that has a limit."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdecimal() else physical


class Batches:
    """Batches of training images from one or two domains, each a function of the images seen before it."""

    def __init__(
        self,
        domains: Sequence[Shards | Pixels],
        size: int,
        seed: int,
        team: Team = ALONE,
        readers: int = READERS,
        updates: int = 1,
        labels: NDArray[np.int64] | None = None,
    ) -> None:
        """Every domain uint8 [N, H, W, C] in an order of its own; their images are not paired.

        `labels` [N] are those of the first domain's images, and come along with them.
        `size` is that of a whole batch, of which each process of `team` takes its part. Where a step makes several
        `updates`, it takes as many batches one after another. So many `readers` read ahead what is not in memory; with
        0 a batch is read when it is asked for.
        """
        self.size = size
        self.updates = updates
        self.device = team.device
        self.orders = [Order(len(images), seed, stream) for stream, images in enumerate(domains)]
        self._part = team.part(size)
        self._labels = None if labels is None else torch.from_numpy(labels)
        # What is in memory goes to the device as it is, four times smaller than as numbers in [-1, 1].
        self._domains = [
            images if isinstance(images, Shards) else torch.from_numpy(images).to(self.device) for images in domains
        ]
        streams = any(isinstance(images, Shards) for images in domains)
        self._readers = ThreadPoolExecutor(readers, "reader") if readers and streams else None
        self._ahead: dict[int, Future[list[Tensor]]] = {}
        self._depth = readers

    def at(self, images: int) -> tuple[Tensor, ...]:
        """What a step takes after so many images: a tensor [updates * size, C, H, W] in [-1, 1] for each domain.

        After them, where there are any, the labels [updates * size] of the first domain's images. In a team the part of
        this process: of each batch its part, one after another.
        Every image of a domain is seen once before any is seen again (a batch may span two such passes).
        """
        batch = tuple(to_float(pixels.to(self.device)) for pixels in self._pixels(images))
        if self._labels is None:
            return batch
        return *batch, self._labels[torch.from_numpy(self._places(self.orders[0], images))].to(self.device)

    def _pixels(self, images: int) -> list[Tensor]:
        if self._readers is None:
            return self._read(images)
        step = self.updates * self.size
        ahead = range(images, images + (self._depth + 1) * step, step)
        self._ahead = {start: self._ahead.get(start) or self._readers.submit(self._read, start) for start in ahead}
        return self._ahead.pop(images).result()

    def _read(self, images: int) -> list[Tensor]:
        """Of every domain uint8 [updates * size, H, W, C]."""
        return [
            _taken(domain, self._places(order, images))
            for domain, order in zip(self._domains, self.orders, strict=True)
        ]

    def _places(self, order: Order, images: int) -> NDArray[np.int64]:
        """Which images of a domain: [updates * size], of each batch this process's part."""
        first, count = images + self._part.start, self._part.stop - self._part.start
        batches = [first + number * self.size for number in range(self.updates)]
        return np.concatenate([order.at(start, count) for start in batches])


def _taken(images: Shards | Tensor, indices: NDArray[np.int64]) -> Tensor:
    if isinstance(images, Shards):
        return torch.from_numpy(images.at(indices))
    return images[torch.from_numpy(indices).to(images.device)]
