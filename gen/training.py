"""The one training loop: a generator of moments. Whoever drives it shows, writes, keeps and stops."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gen.arithmetic import tensor_cores
from gen.batches import Batches
from gen.classes import Labels
from gen.families.base import ModelConfig, Precision, Shape
from gen.families.trainer import SickStepError, Trainer
from gen.images import Pixels
from gen.parallel import Team
from gen.shards import Shards

PATIENCE = 3
"""Sick steps in a row after which a training has diverged."""


@dataclass(frozen=True)
class Record:
    """What is known after some images."""

    images: int
    """Seen since the start."""
    losses: dict[str, float]
    """Means over the healthy steps since the record before."""
    skipped: int = 0
    """Steps since the record before that were taken back, because something in them was not finite."""


@dataclass(frozen=True)
class Moment:
    """How a training stands after a step."""

    images: int
    """Seen since the start."""
    record: Record | None = None
    """Every `log_every` images, and at the end."""
    milestone: bool = False
    """Every `checkpoint_every` images, and at the end: whether to keep what is known now."""
    diverged: bool = False
    """Whether the last PATIENCE steps were all taken back: going on would change nothing."""
    leaving: bool = False
    """Whether one of the processes that take part was asked to leave."""


class Average:
    """An exponential moving average of a network's weights, with buffers copied as they are.

    After a half-life of images a weight's share has halved (EDM2, arXiv 2312.02696, section 3). Where the half-life
    is 0, the average is the network itself.
    """

    def __init__(self, network: nn.Module, config: ModelConfig) -> None:
        """Start from the network's present weights."""
        self.half_life = config.ema_half_life
        self.source = network
        self.apart = bool(self.half_life.value)
        self.network = copy.deepcopy(network).requires_grad_(False).eval() if self.apart else network

    @torch.no_grad()
    def update(self, images: int, progress: float) -> None:
        """Move towards the source's weights, by as much as `images` more seen images ask for."""
        half_life = self.half_life.at(progress)
        if not self.apart:
            return
        share = 1 - 0.5 ** (images / half_life) if half_life else 1.0
        weights: list[Tensor] = list(self.network.parameters())
        sources: list[Tensor] = list(self.source.parameters())
        torch._foreach_lerp_(weights, sources, share)
        for buffer, source in zip(self.network.buffers(), self.source.buffers(), strict=True):
            buffer.copy_(source)


class Training:
    """A model on its way through its budget. Its whole state is `tensors()` and `counters()`."""

    def __init__(self, trainer: Trainer, average: Average, batches: Batches, config: ModelConfig) -> None:
        """At the start of the budget."""
        self.trainer = trainer
        self.average = average
        self.batches = batches
        self.config = config
        self.images = 0
        self.roll_backs = 0
        """How often it went back to a milestone after it had diverged. Each halves the learning rate."""
        self._sums: dict[str, float] = {}
        self._healthy = self._skipped = self._sick_in_a_row = 0
        self._passing = list(trainer.passing().values())
        self._kept = [tensor.clone() for tensor in self._passing]
        """What they were before the step: it can be taken back."""

    def step(self, leaving: Callable[[], bool] = lambda: False) -> Moment:
        """Train on the next images. A step after which anything is not finite is taken back to the bit.

        After it `leaving` is asked whether this process is to leave.
        """
        before, progress = self.images, self.images / self.config.images
        self._set_rates(progress)
        _copy(self._passing, self._kept)
        self.images += self.config.images_a_step
        try:
            with tensor_cores(self.trainer.precision == "tf32"):
                losses = self.trainer.step(self.batches.at(before), progress)
            self._count(losses)
            self.average.update(self.config.images_a_step, progress)
        except SickStepError:
            self._take_back()
        return Moment(
            self.images,
            record=self._record() if self._passed(before, self.config.log_every) else None,
            milestone=self._passed(before, self.config.checkpoint_every),
            diverged=self._sick_in_a_row >= PATIENCE,
            leaving=self.trainer.team.any(leaving()),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of its state by name: live ones, and the state of its randomness."""
        named = {**self.trainer.tensors(), "randomness": self.trainer.randomness.get_state()}
        if self.average.apart:
            named |= {f"average.{key}": tensor for key, tensor in self.average.network.state_dict().items()}
        return named

    def counters(self) -> dict[str, Any]:
        """The rest of its state, as JSON has it."""
        return {
            "images": self.images,
            "roll_backs": self.roll_backs,
            "sums": dict(self._sums),
            "healthy": self._healthy,
            "skipped": self._skipped,
            "sick_in_a_row": self._sick_in_a_row,
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        """Become what gave `tensors` and `counters`. Raises ValueError when they are those of another model."""
        live = self.tensors()
        shapes, wanted = ({name: tensor.shape for name, tensor in side.items()} for side in (tensors, live))
        if shapes != wanted:
            raise ValueError("the tensors are not those of this model")
        # Copied into, not replaced: each keeps its place and its order in memory, on which the last bits depend.
        for name, tensor in live.items():
            tensor.copy_(tensors[name])
        self.trainer.randomness.set_state(tensors["randomness"])
        self.images, self.roll_backs = counters["images"], counters["roll_backs"]
        self._sums = dict(counters["sums"])
        self._healthy, self._skipped = counters["healthy"], counters["skipped"]
        self._sick_in_a_row = counters["sick_in_a_row"]

    def _set_rates(self, progress: float) -> None:
        for name, optimiser in self.trainer.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = self.config.learning_rate_of(name).at(progress) * 0.5**self.roll_backs
                group["betas"] = (self.config.beta1, self.config.beta2.at(progress))

    def is_finite(self) -> bool:
        """Whether all of its numbers are."""
        return all(bool(tensor.isfinite().all()) for tensor in self.tensors().values())

    def _take_back(self) -> None:
        _copy(self._kept, self._passing)
        self._skipped, self._sick_in_a_row = self._skipped + 1, self._sick_in_a_row + 1

    def _count(self, losses: Mapping[str, Tensor]) -> None:
        self._sick_in_a_row = 0
        self._healthy += 1
        self.trainer.team.mean(list(losses.values()))
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(loss)

    def _record(self) -> Record:
        record = Record(self.images, {name: total / self._healthy for name, total in self._sums.items()}, self._skipped)
        self._sums, self._healthy, self._skipped = {}, 0, 0
        return record

    def _passed(self, before: int, interval: int) -> bool:
        return self.images // interval > before // interval or self.images >= self.config.images


@torch.no_grad()
def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)


def begin(
    config: ModelConfig,
    shape: Shape,
    domains: Sequence[Shards | Pixels],
    team: Team,
    precision: Precision,
    labels: Labels | None = None,
) -> Training:
    """The training of a model on `domains` (each uint8 [N, H, W, C], all of `shape`), before its first step.

    `labels` of the only domain's images are there where, and only where, the config is `conditional`.
    """
    # One stream each for weights and noise, so that neither moves when the other draws more.
    weights, randomness = (torch.Generator().manual_seed(2 * config.seed + stream) for stream in range(2))
    network = config.build(shape, weights, labels.classes if labels else None)
    network.to(team.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = config.trainer(network, shape, randomness, team)
    trainer.precision = precision
    updates = config.images_a_step // config.batch
    each = labels.each if labels else None
    batches = Batches(domains, config.batch, config.seed, team, updates=updates, labels=each)
    return Training(trainer, Average(network, config), batches, config)


def fit(training: Training, leaving: Callable[[], bool] = lambda: False) -> Iterator[Moment]:
    """Train until the budget is seen, and yield after every step; `leaving` is asked after each.

    Whoever drives it may `restore` an earlier state between two steps; it goes on from there.
    """
    while training.images < training.config.images:
        yield training.step(leaving)


def lead(training: Training, *, over: bool) -> None:
    """Tell the other processes of the team how the training stands, and whether it is over."""
    training.trainer.team.tell({"over": over, "counters": training.counters()}, training.tensors())


def follow(training: Training, leaving: Callable[[], bool]) -> None:
    """Train on as the leading process tells: on from its state, until it is over or all leave.

    After a milestone, and after a divergence, the leader alone knows how it goes on.
    """
    while True:
        facts, tensors = training.trainer.team.hear(training.tensors())
        if facts["over"]:
            return
        training.restore(tensors, facts["counters"])
        for moment in fit(training, leaving):
            # In the leader's order: it goes back first, then leaves, and measures last; and it ends what is at its end.
            if moment.diverged:
                break
            if moment.leaving and moment.images < training.config.images:
                return
            if moment.milestone:
                break
