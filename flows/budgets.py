"""Budgets, which are counted in images, from minutes: `genflows init`."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flows.slots import training_slots
from gen.config import Machine
from gen.families.base import ModelConfig

ROOM = {"log_every": 1.0, "checkpoint_every": 1.0, "ema_half_life": 0.1}
"""Keys that count images too, and the share of the budget up to which any of them makes sense.

After ten half-lives a thousandth of an average is left from the weights before training.
"""


@dataclass(frozen=True)
class Budget:
    """What a model may see on a machine that trains so many images of it a second."""

    model: str
    rate: float
    """Images a second."""
    before: int
    """Images that it had."""
    images: int
    others: Mapping[str, int] = field(default_factory=dict)
    """New values of the keys in ROOM that would be too long for it."""

    @property
    def seconds(self) -> float:
        """How long it trains."""
        return self.images / self.rate

    def settings(self) -> Iterator[str]:
        """The changes of params.yaml, as `--set` takes them."""
        for key, value in {"images": self.images, **self.others}.items():
            yield f"models.{self.model}.{key}={value}"


def share(minutes: float, models: int, machine: Machine) -> float:
    """Seconds for each of so many models, all alike, when training all takes `minutes` in all.

    Equal times fill the slots in rounds. Where the last round leaves slots empty, they stay so: a training has a
    fixed number of processes, and another slot cannot help it.
    """
    return minutes * 60 / math.ceil(models / training_slots(machine))


def budget(name: str, config: ModelConfig, rate: float, seconds: float) -> Budget:
    """As many images as are trained in so many seconds at so many a second, and at least a batch.

    What else is counted in images stays, unless it would be too long for the budget: then its share of the budget
    stays, as far as that is not more than all of it.
    """
    images = max(rounded(rate * seconds), config.images_a_step)
    values = config.model_dump()
    others = {}
    for key, room in ROOM.items():
        value = values[key]
        # A schedule is left as its author wrote it.
        if isinstance(value, int | float):
            share = min(value / config.images, 1.0)
            if value > max(room, share) * images:
                others[key] = min(images, max(1, rounded(share * images)))
    return Budget(name, rate, config.images, images, others)


def rounded(count: float) -> int:
    """A count to two significant digits."""
    return round(float(f"{count:.1e}"))
