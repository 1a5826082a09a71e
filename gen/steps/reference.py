"""reference@DATASET: prepared images and an extractor in, the real side of every comparison out."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gen import files
from gen.config import Params
from gen.datasets import SPLITS, Prepared
from gen.features import Extractor
from gen.images import Pixels
from gen.metrics.distribution import Features
from gen.metrics.frechet import Gaussian, fit
from gen.metrics.halves import whole
from gen.metrics.manifold import manifold
from gen.metrics.memorisation import memorisation
from gen.reference import MOST, REPORT, distances_to, generated_count
from gen.workspace import Workspace


def reference(workspace: Workspace, params: Params, name: str) -> None:
    """Write data/features/NAME and data/reference/NAME (their layout stands in gen.reference).

    Raises UserError when the extractor is missing or takes other images, TooFewImagesError when a split has no more
    images than the extractor has features.
    """
    extractor_folder = workspace.extractor(params.dataset(name).extractor)
    extractor = Extractor.load(extractor_folder, params.machine.device)
    files.verify(workspace.prepared(name))
    prepared = Prepared(workspace.prepared(name))
    features = {split: extractor.features(prepared.images(split, prepared.target)) for split in SPLITS}
    kept = torch.randperm(len(features["train"]), generator=torch.Generator().manual_seed(0))[:MOST].sort().values
    gaussians = {split: fit(features[split]) for split in SPLITS}
    count = generated_count(prepared, params.judge.samples)
    chosen, noise = (torch.Generator().manual_seed(2 * params.judge.seed + stream) for stream in range(2))

    def values(generated: Features) -> dict[str, float]:
        judge = params.judge
        measured = distances_to(gaussians[REPORT], features[REPORT], generated, judge.seed, judge.resamples)
        shares = manifold(features[REPORT], generated, whole(len(features[REPORT])), whole(len(generated)))
        return {metric: distance.value for metric, distance in measured.items()} | {
            metric: float(value[0]) for metric, value in shares.items()
        }

    among_train = torch.randperm(len(features["train"]), generator=chosen)[:count].numpy()
    with files.fresh_folder(workspace.features(name)) as folder:
        shutil.copytree(extractor_folder, folder / "extractor")
        for split, gaussian in gaussians.items():
            _write_gaussian(folder / split, gaussian)
        for split in SPLITS:
            rows = kept.numpy() if split == "train" else slice(None)
            np.save(folder / split / "features.npy", features[split][rows], allow_pickle=False)
        facts: dict[str, Any] = {
            "format": 1,
            "dataset": name,
            "data": prepared.digest,
            "extractor": extractor.digest,
            "dimension": extractor.dimension,
            "counts": {split: len(features[split]) for split in SPLITS},
            "classes": {split: extractor.shares(features[split]) for split in SPLITS},
        }
        files.write_json(folder / "features.json", facts)
    with files.fresh_folder(workspace.reference(name)) as folder:
        measured: dict[str, Any] = {
            "format": 1,
            "features": files.manifest_digest(workspace.features(name)),
            "count": count,
            "floor": values(features["train"][among_train])
            | memorisation(features["select"], features["train"][kept.numpy()], features[REPORT]).values,
            "baseline": values(extractor.features(uniform_noise(count, prepared, noise))),
        }
        files.write_json(folder / "reference.json", measured)


def uniform_noise(count: int, prepared: Prepared, generator: torch.Generator) -> Pixels:
    """Images uint8 [count, H, W, C] of the dataset's shape whose every pixel is drawn alike."""
    channels, height, width = prepared.shape
    return torch.randint(256, (count, height, width, channels), generator=generator, dtype=torch.uint8).numpy()


def _write_gaussian(folder: Path, gaussian: Gaussian) -> None:
    folder.mkdir()
    np.save(folder / "mean.npy", gaussian.mean, allow_pickle=False)
    np.save(folder / "covariance.npy", gaussian.covariance, allow_pickle=False)
