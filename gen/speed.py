"""How many images a second this machine trains of a model. A measurement: it goes by the clock, no result does."""

import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch

from gen.classes import Labels
from gen.config import Dataset
from gen.families.base import ModelConfig, Precision
from gen.images import uniform
from gen.parallel import Team
from gen.training import begin, fit

IMAGES = 512
"""Of a domain. What a step costs does not depend on how many there are."""
CLASSES = 10
"""Of a conditional model. What a step costs hardly depends on them."""
HALF_WAY = 2**40
"""Images that count as seen: schedules are then where they are for most of a training, and no budget ends."""
WARM_UP = (2, 0.5)
"""Steps and seconds, both of which have to pass, before steps are timed."""
TIMED = (5, 3.0)
"""Steps and seconds, both of which have to pass, in which they are."""


def measure(config: ModelConfig, dataset: Dataset, precision: Precision, team: Team) -> float:
    """Images a second of a training of `config`, by its median step, without milestones; takes some four seconds.

    It trains on noise of the dataset's shape, so it needs no data and leaves nothing behind. Threads and determinism
    are those of the process. Every process of `team` takes part.
    """
    noise = torch.Generator().manual_seed(0)
    shape = (dataset.channels, dataset.size, dataset.size)
    domains = [uniform(IMAGES, shape, noise) for _ in range(2 if config.task == "translate" else 1)]
    endless = config.model_copy(update={"images": 2 * HALF_WAY})
    labels = Labels([str(number) for number in range(CLASSES)], np.random.default_rng(0).integers(0, CLASSES, IMAGES))
    training = begin(endless, shape, domains, team, precision, labels if config.conditional else None)
    training.images = HALF_WAY
    steps = fit(training)
    _times(steps, team, *WARM_UP)
    return config.images_a_step / statistics.median(_times(steps, team, *TIMED))


def _times(steps: Iterator[object], team: Team, least: int, seconds: float) -> list[float]:
    """Seconds of each step, until both at least so many steps and so many seconds have passed."""
    taken: list[float] = []
    while team.any(len(taken) < least or sum(taken) < seconds):
        began = time.perf_counter()
        # It reads its losses, so an accelerator has ended it too.
        next(steps)
        taken.append(time.perf_counter() - began)
    return taken
