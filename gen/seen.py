"""What a model was trained on: features of some of its images, which travel with it.

By them new images can be held against those of then, also where those of then are gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from gen.datasets import Prepared
from gen.features import Extractor, Features
from gen.tensors import write_tensors

MOST = 1000
"""Images of a domain that stand for all of them."""
EXTRACTOR = "extractor"


@dataclass(frozen=True)
class Seen:
    """Some of the images that a model was trained on, as an extractor sees them."""

    features: Mapping[str, Features]
    """By domain, float32 [n, d]."""
    extractor: str
    """Digest of the extractor."""


def count(images: int) -> int:
    """How many of so many images stand for all of them, when those of then and those of now are compared.

    No more than half: images lie in the order of their hashes, so the first of then and the last of now are random
    samples, and not the same images.
    """
    return min(MOST, images // 2)


def look(prepared: Prepared, features: Path, extractor: Extractor) -> Seen:
    """The first images of the split `train`; `features` is the dataset's data/features/NAME, made by `extractor`."""
    found = {}
    for domain in prepared.domains:
        images = prepared.images("train", domain)
        wanted = count(len(images))
        if domain == prepared.target:
            # They were computed for the reference; of a large split every so many, which is as good.
            known = np.load(features / "train" / "features.npy", mmap_mode="r", allow_pickle=False)
            found[domain] = np.array(known[:wanted])
        else:
            found[domain] = extractor.features(images[:wanted])
    return Seen(found, extractor.digest)


def write(path: Path, seen: Seen) -> None:
    """Write it, atomically."""
    tensors = {domain: torch.from_numpy(features) for domain, features in seen.features.items()}
    write_tensors(path, tensors, {EXTRACTOR: seen.extractor})


def read(path: Path) -> Seen | None:
    """What a verified model says of its images; None for one that was published before they were kept."""
    if not path.exists():
        return None
    with safe_open(path, framework="numpy") as tensors:
        features = {domain: tensors.get_tensor(domain) for domain in tensors.keys()}  # noqa: SIM118
        return Seen(features, tensors.metadata()[EXTRACTOR])
