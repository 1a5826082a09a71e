"""A small workspace with real trainings on drawn images, and evaluations whose figures a test chooses."""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gen import artifact, config, files, images, teaching
from gen.config import Params
from gen.datasets import SPLITS
from gen.features import Extractor
from gen.runs import Identity
from gen.shards import write_shards
from gen.steps.reference import reference
from gen.steps.train import train
from gen.workspace import Workspace

SIZE = 16
PARAMS = """\
machine: {device: cpu, threads: 1}
datasets:
  digits: {source: {kind: mnist-5k}, size: 16, channels: 1, extractor: digits, feature_dim: 16}
  edges2digits: {source: {kind: derived, of: digits, drawing: edges}, size: 16, channels: 1, extractor: digits}
models:
  dcgan: {family: gan, dataset: digits, network: dcgan, init: random, latent_dim: 8, width: 4,
          images: 64, batch: 16, learning_rate: 0.0002, log_every: 16, checkpoint_every: 32}
  vae: {family: vae, dataset: digits, network: convolutional, init: random, latent_dim: 4, width: 4,
        images: 64, batch: 16, learning_rate: 0.001, log_every: 16, checkpoint_every: 32}
  edges2digits: {family: cyclegan, dataset: edges2digits, network: translator, init: random, width: 4,
                 blocks: 1, halvings: 1, images: 16, batch: 4, learning_rate: 0.0004, log_every: 4, checkpoint_every: 8}
judge: {samples: 64, seed: 0, resamples: 10}
"""


def drawn(count: int, seed: int) -> NDArray[np.uint8]:
    """Bright boxes on black: uint8 [count, SIZE, SIZE, 1]."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((count, SIZE, SIZE, 1), np.uint8)
    for image in pixels:
        top, left, height, width = random.integers(1, SIZE // 2, size=4)
        image[top : top + height, left : left + width] = random.integers(120, 256)
    return pixels


def workspace(root: Path) -> tuple[Workspace, Params]:
    """Two prepared datasets with their references, and params for three models; nothing is trained."""
    shutil.copytree(_first(), root, dirs_exist_ok=True)
    return Workspace(root), config.load(root / "params.yaml")


@cache
def _first() -> Path:
    """The one that others are copies of."""
    root = Path(tempfile.mkdtemp(prefix="genflows-"))
    atexit.register(shutil.rmtree, root)
    files.write(root / "params.yaml", PARAMS)
    files.write(root / "dvc.yaml", "stages: {}\n")
    files.write(root / "dvc.lock", "schema: '2.0'\n")
    files.write(root / "data" / "raw" / "digits.dvc", "outs:\n- md5: 0123.dir\n  path: digits\n")
    made = Workspace(root)
    files.write(made.start("random"), "weights drawn from the seed\n")
    for dataset, domains in (("digits", ["images"]), ("edges2digits", ["a", "b"])):
        with files.fresh_folder(made.prepared(dataset)) as folder:
            for number, split in enumerate(SPLITS):
                for domain in domains:
                    write_shards(folder / split / domain, drawn(64, number), np.arange(64) % 10)
            images.write_png(folder / "mean.png", drawn(1, 0)[0])
            files.write_json(folder / "profile.json", profile(domains))
    params = config.load(made.params_file)
    with files.fresh_folder(made.extractor("digits")) as folder:
        _extractor().save(folder)
    for dataset in params.datasets:
        reference(made, params, dataset)
    return root


def _extractor() -> Extractor:
    """It has seen a few boxes."""
    lesson = teaching.Lesson(drawn(64, 7), np.arange(64) % 10)
    names = [str(digit) for digit in range(10)]
    settings = {"dimension": 16, "dataset": "digits", "data": "0" * 64, "budget": 256}
    return teaching.train(lesson, lesson, names, say=lambda _: None, **settings)


def profile(domains: list[str]) -> dict[str, Any]:
    """As prepare@DATASET writes it."""
    size = {"min": SIZE, "median": float(SIZE), "max": SIZE}
    source = {
        "description": "drawn boxes",
        "height": size,
        "width": size,
        "grey": 64,
        "duplicates": 3,
        "quarantined": 0,
    }
    return {
        "domains": domains,
        "size": SIZE,
        "channels": 1,
        "counts": {split: dict.fromkeys(domains, 64) for split in SPLITS},
        "labels": [str(digit) for digit in range(10)],
        "label_counts": [19] * 10,
        "source": source,
    }


def trained(made: Workspace, params: Params, model: str) -> None:
    """Train for real."""
    train(made, params, model, code={"gen/steps/train.py": "0" * 64}, say=lambda _: None)


def evaluated(
    made: Workspace, model: str, value: float, *, spread: float = 0.5, card: Mapping[str, Any] | None = None
) -> None:
    """Write an evaluation with a chosen figure, measured as `card` says. The grids are real."""
    published = artifact.load(made.train(model))
    rank_by = "frechet" if published.task == "sample" else "pair_error"
    eval_id = files.digest(card) if card else "e" * 64
    card = card or {"metric": rank_by, "split": "report", "counts": {"real": 64}, "extractor": "1" * 64, "seed": 0}
    ranked = {"name": rank_by, "value": value, "unit": "", "lower_is_better": True, "floor": 0.25, "baseline": 400.0}
    other = {"name": "kernel", "value": value / 100, "unit": "", "lower_is_better": True, "floor": None}
    figures = [
        {**ranked, "spread": spread, "card": card, "eval_id": eval_id},
        {**other, "baseline": None, "spread": None, "card": {**card, "metric": "kernel"}, "eval_id": "f" * 64},
    ]
    facts = {"model": model, "family": published.family, "task": published.task, "dataset": published.dataset}
    classes = {"labels": ["box", "cup"], "shares": [0.75, 0.25], "real": [0.5, 0.5], "kernel": [0.125, None]}
    facts |= {"classes": classes | {"floor": [0.01, None]}}
    facts |= {"closest": {space: {"distances": [0.5, 0.75], "usual": 2.0} for space in ("features", "pixels")}}
    with files.fresh_folder(made.evaluate(model)) as folder:
        files.write_json(folder / "metrics.json", {**facts, "rank_by": rank_by, "figures": figures})
        for space in ("features", "pixels"):
            images.write_png(folder / f"closest-{space}.png", images.grid(drawn(24, 3), columns=12))
        if published.task == "sample":
            images.write_png(folder / "samples.png", images.grid(published.generate(16, seed=0)))
        else:
            inputs = drawn(8, 5)
            sheet = images.side_by_side(inputs, published.translate(inputs), inputs)
            images.write_png(folder / "translations.png", sheet)
        inputs_of = {f"runs/train/{model}": files.manifest_digest(made.train(model))}
        Identity(f"python -m gen evaluate {model}", {"value": value}, inputs_of, {}).write(folder)
