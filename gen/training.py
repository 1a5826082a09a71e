"""The one training loop: a generator of records. Whoever drives it shows, writes and stops."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gen.errors import UserError
from gen.families.base import ModelConfig, Trainer


@dataclass(frozen=True)
class Record:
    """What is known after some images."""

    images: int
    """Seen since the start."""
    losses: dict[str, float]
    """Means since the record before."""


class Average:
    """An exponential moving average of a network's weights, with buffers copied as they are.

    After `half_life` images a weight's share has halved (EDM2, arXiv 2312.02696, section 3). A half-life of 0 is
    the network itself.
    """

    def __init__(self, network: nn.Module, half_life: int) -> None:
        """Start from the network's present weights."""
        self.half_life = half_life
        self.source = network
        self.network = copy.deepcopy(network).requires_grad_(False).eval() if half_life else network

    @torch.no_grad()
    def update(self, images: int) -> None:
        """Move towards the source's weights, by as much as `images` more seen images ask for."""
        if not self.half_life:
            return
        weights: list[Tensor] = list(self.network.parameters())
        sources: list[Tensor] = list(self.source.parameters())
        torch._foreach_lerp_(weights, sources, 1 - 0.5 ** (images / self.half_life))
        for buffer, source in zip(self.network.buffers(), self.source.buffers(), strict=True):
            buffer.copy_(source)


def fit(
    trainer: Trainer, average: Average, batches: Iterator[tuple[Tensor, ...]], config: ModelConfig
) -> Iterator[Record]:
    """Train until the budget of images is seen, and yield a record every `config.log_every` images.

    Losses stay on the device between records, so that nothing waits for it. Raises UserError when a mean loss is no
    longer finite: there is nothing worth going on with.
    """
    images, steps = 0, 0
    sums: dict[str, Tensor] = {}
    while images < config.images:
        losses = trainer.step(next(batches), images / config.images)
        average.update(config.batch)
        before, images, steps = images, images + config.batch, steps + 1
        for name, loss in losses.items():
            sums[name] = sums[name] + loss if name in sums else loss.clone()
        if images // config.log_every > before // config.log_every or images >= config.images:
            means = {name: float(total) / steps for name, total in sums.items()}
            _check_finite(images, means)
            yield Record(images, means)
            sums, steps = {}, 0


def _check_finite(images: int, losses: dict[str, float]) -> None:
    broken = [name for name, loss in losses.items() if not math.isfinite(loss)]
    if broken:
        raise UserError(
            f"Training diverged: after {images} images the loss `{broken[0]}` is not a finite number. "
            "Lower `learning_rate` (a third of it is a fair next try) or change `seed`, and run again."
        )
