"""The real side of every comparison: what the stage reference@DATASET writes, opened for reading.

It writes two folders. `data/features/NAME` is a function of images and extractor alone: `extractor/`, a copy of it;
for each split `SPLIT/mean.npy` [d] and `SPLIT/covariance.npy` [d, d], float64, of the target domain's features;
`SPLIT/features.npy`, float32 [N, d] of at most MOST of them; `report/root.npy`, float64 [d, d], the root of the
covariance that every Frechet distance needs; and `features.json`. `data/reference/NAME` holds `reference.json`: floor
and baseline, which also depend on how the judge measures. So a training, which selects its best step in the features,
does not run again when the judge's settings change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gen import files
from gen.datasets import Prepared, Split
from gen.errors import UserError
from gen.features import Extractor
from gen.images import Pixels
from gen.metrics.distribution import Distance, Features, distances
from gen.metrics.frechet import Gaussian
from gen.metrics.halves import Mask, half_samples

REPORT: Split = "report"
"""The split that figures are measured on."""
MOST = 50_000
"""Images of a split whose features are kept, drawn by chance where there are more."""


@dataclass(frozen=True)
class Space:
    """The features of a dataset's real images, and what makes features of generated ones."""

    extractor: Extractor
    data: str
    """Digest of the prepared dataset."""
    gaussian: Gaussian
    """Of the features of `report`."""
    report: Features
    """Of real images of `report`, at most MOST of them, [N, d]."""
    select: Features
    """Of real images of `select`, at most MOST of them, [N, d]."""

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> "Space":
        """Verify and open data/features/NAME. Raises UserError when it is missing or changed."""
        files.verify(folder)
        facts: dict[str, Any] = files.read_json(folder / "features.json")
        names = ("report/mean", "report/covariance", "report/root", "report/features", "select/features")
        mean, covariance, root, report, select = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in names)
        extractor = Extractor.load(folder / "extractor", device)
        return cls(extractor, facts["data"], Gaussian(mean, covariance, root), report, select)


@dataclass(frozen=True)
class Reference:
    """What generated images of one dataset are compared with."""

    extractor: Extractor
    data: str
    """Digest of the prepared dataset."""
    count: int
    """Generated images that a distance is measured with."""
    gaussian: Gaussian
    """Of the features of all real images."""
    features: Features
    """Of real images, at most MOST of them, [N, d]."""
    train: Features
    """Of training images, at most MOST of them, [T, d]."""
    floor: Mapping[str, float]
    """Each figure of real images in the place of generated ones: those of `train`, at the same counts.

    Figures of memorisation are those of the images of `select`, however many there are, for training images are copies.
    """
    baseline: Mapping[str, float]
    """Each figure of images of uniform noise, at the same counts; those of memorisation have none."""
    class_floor: Sequence[float | None]
    """The kernel distance inside each class of real images in the place of generated ones; empty without labels."""
    features_of: Callable[[Pixels], Features]
    """The extractor's features of generated images, uint8 [N, H, W, C] to [N, d]."""

    @classmethod
    def load(cls, folder: Path, features: Path, device: str | torch.device = "cpu") -> "Reference":
        """Verify and open data/reference/NAME with its data/features/NAME.

        Raises UserError when one is missing or changed, or they were not made together.
        """
        files.verify(folder)
        facts: dict[str, Any] = files.read_json(folder / "reference.json")
        space = Space.load(features, device)
        if facts["features"] != files.manifest_digest(features):
            raise UserError(f"{folder} and {features} were not made together. Run `dvc repro` to have both made anew.")
        return cls(
            extractor=space.extractor,
            data=space.data,
            count=facts["count"],
            gaussian=space.gaussian,
            features=space.report,
            train=np.load(features / "train" / "features.npy", allow_pickle=False),
            floor=facts["floor"],
            baseline=facts["baseline"],
            class_floor=facts["class_floor"],
            features_of=space.extractor.features,
        )

    def distances(self, generated: Features, seed: int, resamples: int) -> dict[str, Distance]:
        """Frechet and kernel distance of features [N, d] to the real ones, with their half-samples.

        Equal seeds and counts draw equal halves: two generators measured so are paired, image by image.
        """
        return distances_to(self.gaussian, self.features, generated, seed, resamples)


def distances_to(
    gaussian: Gaussian, features: Features, generated: Features, seed: int, resamples: int
) -> dict[str, Distance]:
    """As `Reference.distances`, before there is a reference: its floor and baseline are measured by the same code."""
    return distances(gaussian, features, generated, *subsets(len(features), len(generated), seed, resamples))


def subsets(real: int, generated: int, seed: int, resamples: int) -> tuple[Mask, Mask]:
    """The half-samples of so many real and generated images, drawn apart: masks [resamples, N] of either side."""
    first, second = (
        half_samples(count, resamples, torch.Generator().manual_seed(2 * seed + side))
        for side, count in enumerate((real, generated))
    )
    return first, second


def kept(count: int) -> NDArray[np.int64]:
    """Which of `count` training images copies are looked for among, in their order: [at most MOST]."""
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:MOST].sort().values
    return np.asarray(chosen.numpy())


def generated_count(prepared: Prepared, samples: int) -> int:
    """Generated images that a distance is measured with: the least of what there is on all sides.

    That is `judge.samples`; the images of `train`, because the floor is measured with as many of them; and for a
    translator the images of domain a in `report`, each of which is translated once.
    """
    counts: dict[str, dict[str, int]] = prepared.profile["counts"]
    sources = [counts[REPORT][domain] for domain in prepared.domains[:-1]]
    return min(samples, counts["train"][prepared.target], *sources)
