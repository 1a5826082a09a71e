"""Teaching an extractor: a dataset's own labels in, the frozen network that tells them apart out.

Where there are no labels it learns the four rotations of an image (Gidaris et al. 2018, arXiv 1803.07728).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gen.errors import TooFewImagesError
from gen.extractors.description import Taught
from gen.extractors.strided import StridedNetwork
from gen.features import Extractor
from gen.images import Pixels, to_float

ROTATIONS = ["0", "90", "180", "270"]
BATCH = 64
LEARNING_RATE = 5e-3


@dataclass(frozen=True)
class Lesson:
    """Images uint8 [N, H, W, C] with the numbers of their classes [N], or None to learn rotations."""

    pixels: Pixels
    labels: NDArray[np.int64] | None


def train(
    lesson: Lesson,
    test: Lesson,
    names: list[str],
    *,
    dimension: int,
    dataset: str,
    data: str,
    seed: int = 0,
    budget: int,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> Extractor:
    """Train an extractor on `lesson` for a `budget` of images, and measure its accuracy on `test`.

    `names` are those of the labels; without labels, or with one only, it learns to tell rotations. The same arguments
    give the same bytes on one machine. Raises TooFewImagesError when either side is empty.
    """
    if not (len(lesson.pixels) and len(test.pixels)):
        raise TooFewImagesError(
            f"An extractor for `{dataset}` needs images to learn from and to test on, but has {len(lesson.pixels)} "
            f"and {len(test.pixels)}. Bring more images, or raise the dataset's share `select`."
        )
    if len(names) < 2:
        lesson, test = Lesson(lesson.pixels, None), Lesson(test.pixels, None)
    where = torch.device(device)
    weights, order = (torch.Generator().manual_seed(2 * seed + stream) for stream in range(2))
    meaning: Literal["labels", "rotations"] = "rotations" if lesson.labels is None else "labels"
    names = ROTATIONS if lesson.labels is None else names
    network = StridedNetwork(lesson.pixels.shape[1], lesson.pixels.shape[3], dimension, len(names))
    _initialise(network, weights)
    network.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    _fit(network, _batches(lesson, order, where), max(1, budget // BATCH), say)
    network.eval()
    description = Taught(
        size=lesson.pixels.shape[1],
        channels=lesson.pixels.shape[3],
        dimension=dimension,
        meaning=meaning,
        labels=names,
        accuracy=round(_accuracy(network, test, where), 3),
        dataset=dataset,
        data=data,
    )
    say(f"extractor  {dataset}: tells {meaning} apart with accuracy {description.accuracy:.3f}")
    return Extractor.of(network, description, where)


def _fit(
    network: StridedNetwork, batches: Iterator[tuple[Tensor, Tensor]], steps: int, say: Callable[[str], None]
) -> None:
    """Cross entropy by Adam, its learning rate warmed up and then falling along a cosine (Smith & Topin 2018)."""
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps + 1)
    network.train()
    for step in range(steps):
        images, classes = next(batches)
        loss = functional.cross_entropy(network(images), classes)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if (step + 1) % (steps // 5 or 1) == 0:
            say(f"extractor  {(step + 1) * BATCH:>7,} / {steps * BATCH:,} images  cross entropy {loss.item():.4f}")


def _batches(lesson: Lesson, generator: torch.Generator, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of shifted images with their classes; each image once before any again."""
    pixels = torch.from_numpy(lesson.pixels)
    labels = None if lesson.labels is None else torch.from_numpy(lesson.labels)
    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        while len(waiting) < BATCH:
            waiting = torch.cat([waiting, torch.randperm(len(pixels), generator=generator)])
        chosen, waiting = waiting[:BATCH], waiting[BATCH:]
        batch = shifted(pixels[chosen], pixels.shape[1] // 14, generator)
        images = to_float(batch.to(device))
        if labels is None:
            yield _rotated(images)
        else:
            yield images, labels[chosen].to(device)


def shifted(pixels: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Images [N, H, W, C], each moved by up to `most` pixels each way; the border repeats into what is uncovered."""
    count, height, width, _ = pixels.shape
    down, right = torch.randint(-most, most + 1, (2, count, 1), generator=generator)
    rows = (torch.arange(height) + down).clamp(0, height - 1)
    columns = (torch.arange(width) + right).clamp(0, width - 1)
    return pixels[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _rotated(images: Tensor) -> tuple[Tensor, Tensor]:
    """A batch [N, C, H, W] whose quarters are turned by 0, 90, 180 and 270 degrees, and by how many quarter turns."""
    turns = torch.arange(len(images), device=images.device) % 4
    turned = torch.empty_like(images)
    for turn in range(4):
        turned[turn::4] = torch.rot90(images[turn::4], turn, (2, 3))
    return turned, turns


@torch.inference_mode()
def _accuracy(network: StridedNetwork, test: Lesson, device: torch.device, batch: int = 256) -> float:
    right = 0
    for start in range(0, len(test.pixels), batch):
        rows = slice(start, start + batch)
        images = to_float(torch.from_numpy(test.pixels[rows]).to(device))
        if test.labels is None:
            images, classes = _rotated(images)
        else:
            classes = torch.from_numpy(test.labels[rows]).to(device)
        right += int((network(images).argmax(1) == classes).sum())
    return right / len(test.pixels)


def _initialise(network: StridedNetwork, generator: torch.Generator) -> None:
    """He et al. 2015, from `generator`; layer after layer in the order in which they are used."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
    nn.init.zeros_(network.head.bias)
