"""The real side of every comparison: what the stage reference@DATASET writes, opened for reading.

A reference folder holds `extractor/`, a copy of the extractor; for each split `SPLIT/mean.npy` [d] and
`SPLIT/covariance.npy` [d, d], float64, of the target domain's features; `report/features.npy` and
`select/features.npy`, float32 [N, d]; and `reference.json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gen import files
from gen.datasets import Prepared, Split
from gen.features import Extractor
from gen.metrics.distribution import Distance, Features, distances
from gen.metrics.frechet import Gaussian
from gen.metrics.halves import half_samples

REPORT: Split = "report"
"""The split that figures are measured on."""


@dataclass(frozen=True)
class Reference:
    """What generated images of one dataset are compared with."""

    extractor: Extractor
    data: str
    """Digest of the prepared dataset."""
    count: int
    """Generated images that a distance is measured with."""
    gaussian: Gaussian
    """Of the features of the real images."""
    features: Features
    """Of the real images, [N, d]."""
    floor: Mapping[str, float]
    """Each distance between real images of `train` and the real images, at the same counts."""
    baseline: Mapping[str, float]
    """Each distance between images of uniform noise and the real images, at the same counts."""

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> "Reference":
        """Verify and open a reference folder. Raises UserError when it is missing or changed."""
        files.verify(folder)
        facts: dict[str, Any] = files.read_json(folder / "reference.json")
        mean, covariance, features = (
            np.load(folder / REPORT / f"{name}.npy", allow_pickle=False) for name in ("mean", "covariance", "features")
        )
        return cls(
            extractor=Extractor.load(folder / "extractor", device),
            data=facts["data"],
            count=facts["count"],
            gaussian=Gaussian(mean, covariance),
            features=features,
            floor=facts["floor"],
            baseline=facts["baseline"],
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
    in_real = half_samples(len(features), resamples, torch.Generator().manual_seed(2 * seed))
    in_generated = half_samples(len(generated), resamples, torch.Generator().manual_seed(2 * seed + 1))
    return distances(gaussian, features, generated, in_real, in_generated)


def generated_count(prepared: Prepared, samples: int) -> int:
    """Generated images that a distance is measured with: the least of what there is on all sides.

    That is `judge.samples`; the images of `train`, because the floor is measured with as many of them; and for a
    translator the images of domain a in `report`, each of which is translated once.
    """
    counts: dict[str, dict[str, int]] = prepared.profile["counts"]
    sources = [counts[REPORT][domain] for domain in prepared.domains[:-1]]
    return min(samples, counts["train"][prepared.target], *sources)
