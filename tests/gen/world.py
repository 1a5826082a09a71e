"""Bars that lie or stand: two prepared datasets with everything known, and generators whose quality is known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gen import config, files, teaching
from gen.artifact import Published
from gen.choice import Choice
from gen.classes import Classes
from gen.config import Judge, Params
from gen.datasets import SPLITS, Prepared
from gen.features import Extractor
from gen.images import Pixels, to_float
from gen.reference import Reference
from gen.ruling import Standard
from gen.shards import write_shards
from gen.steps.reference import reference
from gen.workspace import Workspace

SIZE = 12
NAMES = ["lies", "stands", "cross"]
COUNTS = {"train": 300, "select": 60, "report": 120}
SETTINGS = Judge(samples=200, seed=0, resamples=40)
STANDARD = Standard(level=0.02, effect=0.1)
PARAMS = {
    "datasets": {
        name: {"source": {"kind": "folder"}, "size": SIZE, "channels": 1, "extractor": "bars", "feature_dim": 16}
        for name in ("bars", "negatives")
    },
    "models": {"any": {"family": "gan"}},
    "judge": SETTINGS.model_dump(),
}


def bars(count: int, seed: int) -> tuple[Pixels, np.ndarray]:
    """Images uint8 [count, SIZE, SIZE, 1] of a bar at any place, and which of NAMES they are."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 30, (count, SIZE, SIZE, 1)).astype(np.uint8)
    labels = np.arange(count) % 3
    for image, label, (row, column) in zip(pixels, labels, random.integers(2, SIZE - 4, (count, 2)), strict=True):
        if label in (0, 2):
            image[row : row + 2] = random.integers(180, 255)
        if label in (1, 2):
            image[:, column : column + 2] = random.integers(180, 255)
    return pixels, labels


def lesson(count: int, seed: int) -> teaching.Lesson:
    """Labelled bars."""
    return teaching.Lesson(*bars(count, seed))


def small_extractor(budget: int = 4000, seed: int = 0, labelled: bool = True) -> Extractor:
    """An extractor that knows bars, in about a second."""
    train, test = lesson(300, 0), lesson(100, 1)
    if not labelled:
        train, test = teaching.Lesson(train.pixels, None), teaching.Lesson(test.pixels, None)
    return teaching.train(
        train, test, NAMES, dimension=16, dataset="bars", data="0" * 64, seed=seed, budget=budget, say=lambda _: None
    )


def build(root: Path) -> tuple[Workspace, Params]:
    """A workspace with `bars` (one domain) and `negatives` (a: bars in negative, b: bars, pairs known), referenced."""
    workspace, params = Workspace(root), config.from_values(PARAMS)
    with files.fresh_folder(workspace.extractor("bars")) as folder:
        small_extractor().save(folder)
    _prepare(workspace.prepared("bars"), ["images"])
    _prepare(workspace.prepared("negatives"), ["a", "b"])
    for name in ("bars", "negatives"):
        reference(workspace, params, name)
    return workspace, params


def _prepare(target: Path, domains: list[str]) -> None:
    with files.fresh_folder(target) as folder:
        for number, split in enumerate(SPLITS):
            pixels, labels = bars(COUNTS[split], seed=10 + number)
            write_shards(folder / split / domains[-1], pixels, labels)
            if len(domains) == 2:
                sources = bars(COUNTS[split], seed=20 + number)[0]
                write_shards(folder / split / "a", 255 - sources)
                if split != "train":
                    write_shards(folder / split / "pairs", sources)
        counts = {split: dict.fromkeys(domains, COUNTS[split]) for split in SPLITS}
        files.write_json(
            folder / "profile.json",
            {"domains": domains, "size": SIZE, "channels": 1, "counts": counts} | {"labels": NAMES},
        )


def opened(workspace: Workspace, name: str) -> tuple[Prepared, Reference]:
    """The prepared dataset and its reference."""
    return Prepared(workspace.prepared(name)), Reference.load(workspace.reference(name), workspace.features(name))


def published(network: nn.Module, task: str = "sample", size: int = SIZE) -> Published:
    """As if loaded from a run folder."""
    return Published("probe", "gan", task, "bars", (1, size, size), network, "cpu")


class Replay(nn.Module):
    """A perfect generator: it shows fresh real images, with noise of a chosen strength on them."""

    noise_dim, choices = 1, 0

    def __init__(self, noise: float = 0.0, seed: int = 99, kinds: Sequence[int] = (0, 1, 2)) -> None:
        super().__init__()
        self.noise = nn.Parameter(torch.tensor(noise))
        pixels, labels = self.shown(seed)
        self.images = to_float(torch.from_numpy(pixels[np.isin(labels, kinds)]))

    def shown(self, seed: int) -> tuple[Pixels, np.ndarray]:
        """The images that it knows, and which of NAMES they are."""
        return bars(3000, seed)

    def sample(self, noise: Tensor) -> Tensor:
        """The image that the noise names by its rank."""
        chosen = (torch.special.ndtr(noise[:, 0]) * len(self.images)).long().clamp(max=len(self.images) - 1)
        images = self.images[chosen]
        # One fixed pattern: strength alone tells two replays apart.
        pattern = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(0))
        return (images + self.noise * pattern).clamp(-1, 1)


class Asked(Replay):
    """A perfect generator that knows NAMES: it shows the kind that its last number chooses, `turned` on to another."""

    noise_dim, choices = 2, 1
    classes = Classes(names=tuple(NAMES), shares=(0.25, 0.25, 0.5))

    def __init__(self, turned: int = 0) -> None:
        super().__init__()
        self.each = nn.ModuleList(Replay(kinds=[(kind + turned) % 3]) for kind in range(3))

    def sample(self, noise: Tensor) -> Tensor:
        """An image of that kind, named by the first number."""
        chosen = Choice.of(self.classes.shares)(noise[:, -1]).tolist()
        return torch.cat([self.each[kind].sample(row[None]) for kind, row in zip(chosen, noise, strict=True)])


class Copier(Replay):
    """It shows training images of `bars`, and nothing else, where its noise is 0."""

    def shown(self, seed: int) -> tuple[Pixels, np.ndarray]:
        """The split `train`; `seed` is left aside."""
        del seed
        return bars(COUNTS["train"], seed=10)


class HalfCopier(Replay):
    """One half of what it shows are training images."""

    def shown(self, seed: int) -> tuple[Pixels, np.ndarray]:
        """New images, as many of them as there are training images, and those."""
        sides = [bars(COUNTS["train"], seed=number) for number in (10, seed)]
        pixels, labels = (np.concatenate(parts) for parts in zip(*sides, strict=True))
        return pixels, labels


class Flat(Replay):
    """A collapsed generator: every image is the same."""

    def sample(self, noise: Tensor) -> Tensor:
        """The first image, whatever the noise."""
        return self.images[:1].expand(len(noise), -1, -1, -1)


class Memory(Replay):
    """An autoencoder whose every reconstruction is off by `error`, and whose bound is known."""

    latent_dim = 1
    likelihood = "gaussian"
    binarisation = "none"

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def reconstruct(self, images: Tensor) -> Tensor:
        """Off by `error`, towards grey."""
        return images - self.error * images.sign()

    def evidence(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """90 and 10 nats, and a little chance."""
        return 90 + 0.01 * noise[:, 0], torch.full((len(images),), 10.0)

    def codes(self, images: Tensor) -> Tensor:
        """The image's brightness."""
        return 10 * images.mean((1, 2, 3))[:, None]

    def log_weights(self, images: Tensor, noise: Tensor) -> Tensor:
        """-95 nats of each code, and a little chance."""
        return -95 + 0.01 * noise[:, :, 0] + 0 * images.mean((1, 2, 3))[:, None]


class Negative(nn.Module):
    """The true translation of `negatives`, or none at all."""

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.sign = sign

    def translate(self, images: Tensor) -> Tensor:
        """Each image turned to its negative with sign -1, left as it is with 1."""
        return self.sign * images

    def translate_back(self, images: Tensor) -> Tensor:
        """The same again."""
        return self.sign * images


class Forgetful(Negative):
    """It knows no way back."""

    def translate_back(self, images: Tensor) -> Tensor:
        """White."""
        return torch.ones_like(images)
