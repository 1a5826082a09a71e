"""reference@DATASET: prepared images and an extractor in, the real side of every comparison out."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gen import files
from gen.config import Params
from gen.datasets import SPLITS, Prepared
from gen.features import Extractor
from gen.figures.pixels import points
from gen.figures.values import values
from gen.images import uniform
from gen.metrics.frechet import Gaussian
from gen.metrics.memorisation import copies, memorisation
from gen.reference import REPORT, generated_count, kept
from gen.survey import survey
from gen.workers import Hire
from gen.workspace import Workspace


def reference(workspace: Workspace, params: Params, name: str, hire: Hire | None = None) -> None:
    """Write data/features/NAME and data/reference/NAME (their layout stands in gen.reference).

    Features of many images are measured by those whom `hire` brings, or by this process alone.
    Raises UserError when the extractor is missing or takes other images, TooFewImagesError when a split has no more
    images than the extractor has features.
    """
    extractor_folder = workspace.extractor(params.dataset(name).extractor)
    extractor = Extractor.load(extractor_folder, params.machine.device)
    files.verify(workspace.prepared(name))
    prepared = Prepared(workspace.prepared(name))
    images = {split: prepared.images(split, prepared.target) for split in SPLITS}
    looked_at = {split: kept(len(images[split])) for split in SPLITS}
    count = generated_count(prepared, params.judge.samples)
    chosen, noise = (torch.Generator().manual_seed(2 * params.judge.seed + stream) for stream in range(2))
    among_train = _some(len(images["train"]), count, chosen)
    wanted = {**looked_at, "train": np.union1d(looked_at["train"], among_train)}
    surveys = {split: survey(extractor, images[split], wanted[split], hire) for split in SPLITS}
    features = {split: surveys[split].at(looked_at[split]) for split in SPLITS}
    with files.fresh_folder(workspace.features(name)) as folder:
        shutil.copytree(extractor_folder, folder / "extractor")
        for split in SPLITS:
            _write_gaussian(folder / split, surveys[split].gaussian)
            np.save(folder / split / "features.npy", features[split], allow_pickle=False)
        np.save(folder / REPORT / "root.npy", surveys[REPORT].gaussian.root, allow_pickle=False)
        facts: dict[str, Any] = {
            "format": 1,
            "dataset": name,
            "data": prepared.digest,
            "extractor": extractor.digest,
            "dimension": extractor.dimension,
            "counts": {split: surveys[split].count for split in SPLITS},
            "classes": {split: surveys[split].shares for split in SPLITS},
        }
        files.write_json(folder / "features.json", facts)
    floor, baseline = (
        values(extractor, surveys[REPORT].gaussian, features[REPORT], side, params.judge)
        for side in (surveys["train"].at(among_train), extractor.features(uniform(count, prepared.shape, noise)))
    )
    pixels = {split: points(images[split], looked_at[split]) for split in SPLITS}
    with files.fresh_folder(workspace.reference(name)) as folder:
        measured: dict[str, Any] = {
            "format": 1,
            "features": files.manifest_digest(workspace.features(name)),
            "count": count,
            "floor": floor.named
            | memorisation(features["select"], features["train"], features[REPORT]).values
            | copies(pixels["select"], pixels["train"], pixels[REPORT]).in_pixels,
            "baseline": baseline.named,
            "class_floor": floor.by_class,
        }
        files.write_json(folder / "reference.json", measured)


def _some(images: int, most: int, generator: torch.Generator) -> NDArray[np.int64]:
    """Which of so many images to take where at most `most` are wanted, drawn by chance."""
    return np.asarray(torch.randperm(images, generator=generator)[:most].numpy())


def _write_gaussian(folder: Path, gaussian: Gaussian) -> None:
    folder.mkdir()
    np.save(folder / "mean.npy", gaussian.mean, allow_pickle=False)
    np.save(folder / "covariance.npy", gaussian.covariance, allow_pickle=False)
