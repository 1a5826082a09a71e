"""Images to features: the frozen network that distances between sets of images are measured in.

It is a small classifier of the dataset's own labels, or, where there are none, of the four rotations of an image
(Gidaris et al. 2018, arXiv 1803.07728). An extractor folder holds weights.safetensors, config.json and manifest.json.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from gen import files
from gen.errors import TooFewImagesError, UserError
from gen.images import Pixels, to_float
from gen.shards import Shards
from gen.strict import Strict, parse
from gen.tensors import write_tensors

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
ROTATIONS = ["0", "90", "180", "270"]
BATCH = 64
LEARNING_RATE = 5e-3
Features = NDArray[np.float32]


class Description(Strict):
    """What config.json says of an extractor: what it takes, what it is, and where it comes from."""

    format: Literal[1] = 1
    architecture: Literal["strided-cnn"] = "strided-cnn"
    preprocessing: Literal["uint8 / 127.5 - 1, no resize"] = "uint8 / 127.5 - 1, no resize"
    size: int = Field(ge=8, le=256)
    channels: Literal[1, 3]
    dimension: int = Field(ge=8, le=1024)
    """Features of an image."""
    meaning: Literal["labels", "rotations"]
    """What it was taught to tell apart."""
    labels: list[str]
    """Names of its classes."""
    accuracy: float
    """Share of the split `select` that it classifies rightly, to three digits."""
    dataset: str
    """Name of the dataset whose split `train` it was trained on."""
    data: str
    """Digest of that dataset's snapshot."""


class Network(nn.Module):
    """Strided convolutions down to at most 8 x 8 positions, their average as features, and a linear classifier."""

    def __init__(self, size: int, channels: int, dimension: int, classes: int) -> None:
        super().__init__()
        halvings = max(1, math.ceil(math.log2(size / 8)))
        widths = [channels, *(min(32 * 2**level, 64) for level in range(halvings))]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        for wide in (widths[-1], dimension):
            layers += [nn.Conv2d(widths[-1], wide, 3, 1, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(dimension, classes)

    def features(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] to [N, dimension], all >= 0."""
        pooled: Tensor = self.trunk(images).mean((2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] to logits [N, classes]."""
        logits: Tensor = self.head(self.features(images))
        return logits


@dataclass(frozen=True)
class Extractor:
    """A frozen network with its description, ready for use."""

    network: Network
    description: Description
    digest: str
    """Of the weights and the architecture: it names the space that distances are measured in."""
    device: torch.device

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> "Extractor":
        """Verify and load an extractor folder. Raises UserError when it is missing, changed, or does not fit."""
        if not (folder / files.MANIFEST).is_file():
            raise UserError(
                f"The extractor `{folder.name}` is not here yet: {folder} is missing. "
                f"Run `genflows extractor {folder.name}` (or `dvc pull`) and try again."
            )
        files.verify(folder)
        description = parse(Description, files.read_json(folder / CONFIG), f"extractor {folder.name}")
        network = _build(description)
        try:
            network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        except (safetensors.SafetensorError, RuntimeError) as error:
            raise UserError(
                f"The weights in {folder} do not fit its {CONFIG} ({' '.join(str(error).split())[:200]}). "
                "Restore the folder from DVC, or delete it and run `genflows extractor`."
            ) from error
        return cls._of(network, description, torch.device(device))

    @classmethod
    def _of(cls, network: Network, description: Description, device: torch.device) -> "Extractor":
        network = network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
        return cls(network, description, _digest(network, description), device)

    def save(self, folder: Path) -> None:
        """Write weights and description into `folder`; the manifest is its maker's."""
        write_tensors(folder / WEIGHTS, self.network.state_dict())
        files.write_json(folder / CONFIG, self.description.model_dump())

    @property
    def dimension(self) -> int:
        """Features of an image."""
        return self.description.dimension

    @property
    def meaning(self) -> Literal["labels", "rotations"]:
        """What its classes are."""
        return self.description.meaning

    @property
    def labels(self) -> list[str]:
        """Names of its classes."""
        return self.description.labels

    @torch.inference_mode()
    def features(self, pixels: Pixels | Shards, batch: int = 256) -> Features:
        """Images uint8 [N, H, W, C] to float32 [N, dimension].

        Raises UserError for images of another size or number of channels than it was trained on.
        """
        expected = (self.description.size, self.description.size, self.description.channels)
        if pixels.shape[1:] != expected:
            raise UserError(
                f"This extractor takes images of {' x '.join(map(str, expected))} (height, width, channels), not "
                f"{' x '.join(map(str, pixels.shape[1:]))}. Name another under `extractor:` of the dataset, or train "
                "it again with `genflows extractor`."
            )
        made = [
            self.network.features(_on(pixels[start : start + batch], self.device)).cpu().numpy()
            for start in range(0, len(pixels), batch)
        ]
        return np.concatenate([np.empty((0, self.dimension), np.float32), *made])

    @torch.inference_mode()
    def probabilities(self, features: Features) -> Features:
        """What the classifier makes of features [N, dimension]: float32 [N, classes]. Each row sums to 1."""
        logits = self.network.head(torch.from_numpy(features).to(self.device))
        return np.asarray(functional.softmax(logits, 1).cpu().numpy())

    def shares(self, features: Features, sure: float = 0.0) -> list[float] | None:
        """The share of each class among images with features [N, dimension]; None where classes are rotations.

        Only those count that are given their class with a probability above `sure`; None where there are none.
        """
        if self.meaning == "rotations":
            return None
        probabilities = self.probabilities(features)
        classes = probabilities.argmax(1)[probabilities.max(1) > sure]
        if not len(classes):
            return None
        return [float(share) for share in np.bincount(classes, minlength=len(self.labels)) / len(classes)]


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
    network = Network(lesson.pixels.shape[1], lesson.pixels.shape[3], dimension, len(names))
    _initialise(network, weights)
    network.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    _fit(network, _batches(lesson, order, where), max(1, budget // BATCH), say)
    network.eval()
    description = Description(
        size=lesson.pixels.shape[1],
        channels=lesson.pixels.shape[3],
        dimension=dimension,
        meaning=meaning,
        labels=names,
        accuracy=round(_accuracy(network, test, where), 3),
        dataset=dataset,
        data=data,
    )
    return Extractor._of(network, description, where)


def _fit(network: Network, batches: Iterator[tuple[Tensor, Tensor]], steps: int, say: Callable[[str], None]) -> None:
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
def _accuracy(network: Network, test: Lesson, device: torch.device, batch: int = 256) -> float:
    right = 0
    for start in range(0, len(test.pixels), batch):
        rows = slice(start, start + batch)
        images = _on(test.pixels[rows], device)
        if test.labels is None:
            images, classes = _rotated(images)
        else:
            classes = torch.from_numpy(test.labels[rows]).to(device)
        right += int((network(images).argmax(1) == classes).sum())
    return right / len(test.pixels)


def _build(description: Description) -> Network:
    return Network(description.size, description.channels, description.dimension, len(description.labels))


def _initialise(network: Network, generator: torch.Generator) -> None:
    """He et al. 2015, from `generator`; layer after layer in the order in which they are used."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
    nn.init.zeros_(network.head.bias)


def _digest(network: Network, description: Description) -> str:
    """SHA-256 of the weights and of how they are used: not of names, origin or accuracy."""
    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    used = description.model_dump(include={"architecture", "preprocessing", "size", "channels", "dimension"})
    return files.digest({"weights": files.sha256(safetensors.torch.save(state)), "used": used})


def _on(pixels: Pixels, device: torch.device) -> Tensor:
    return to_float(torch.from_numpy(pixels).to(device))
