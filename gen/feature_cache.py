"""Features of generated images, found again by all that they are a function of: `judge` measures what `evaluate` has.

An entry KEY/ holds features.npy [N, d] and its manifest. It is only ever a copy: one that is gone or damaged is made
anew, and one that cannot be written is done without.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gen import files
from gen.errors import UserError
from gen.features import Extractor
from gen.images import Pixels
from gen.metrics.distribution import Features
from gen.reference import Reference
from gen.runs import imported_code

FEATURES = "features.npy"
MOST = 1 << 30
"""Bytes that are kept; what was written first goes first."""
MAKERS = ("gen/features", "gen/extractors/", "gen/images")
"""How the paths of the code begin that turns images into features."""


def remembering(reference: Reference, folder: Path) -> Reference:
    """A reference that looks for features of generated images in `folder` before it computes them."""
    return replace(reference, features_of=remembered(reference.extractor, folder))


def remembered(extractor: Extractor, folder: Path, most: int = MOST) -> Callable[[Pixels], Features]:
    """`extractor.features`, whose results are kept in `folder` in at most so many bytes and found there again."""

    def features(pixels: Pixels) -> Features:
        entry = folder / key(extractor, pixels)
        found = _read(entry)
        if found is None:
            found = extractor.features(pixels)
            # A full disk ends whoever has to write; nobody has to write here.
            with contextlib.suppress(OSError):
                _keep(entry, found, most)
        return found

    return features


def key(extractor: Extractor, pixels: Pixels) -> str:
    """The digest of all that features are a function of, to the last bit: images, network, code and arithmetic."""
    device = extractor.device
    return files.digest(
        {
            "pixels": hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest(),
            "shape": list(pixels.shape),
            "extractor": extractor.digest,
            "code": {path: digest for path, digest in imported_code().items() if path.startswith(MAKERS)},
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "torch": torch.__version__,
        }
    )


def _read(entry: Path) -> Features | None:
    try:
        files.verify(entry)
        return np.asarray(np.load(entry / FEATURES, allow_pickle=False))
    except (UserError, OSError):
        # Never written, damaged, or taken away just now: all the same.
        return None


def _keep(entry: Path, features: Features, most: int) -> None:
    with files.lock(entry.parent / ".lock"):
        # Nobody else writes now, so what is half-written is nobody's any more.
        for half in entry.parent.glob(".*.*"):
            shutil.rmtree(half)
        with files.fresh_folder(entry) as fresh:
            np.save(fresh / FEATURES, features, allow_pickle=False)
        _make_room(entry.parent, most)


def _make_room(folder: Path, most: int) -> None:
    entries = sorted(folder.glob("[!.]*"), key=lambda entry: entry.stat().st_mtime_ns)
    sizes = [sum(file.stat().st_size for file in entry.iterdir()) for entry in entries]
    for place, entry in enumerate(entries):
        if sum(sizes[place:]) <= most:
            break
        shutil.rmtree(entry)
