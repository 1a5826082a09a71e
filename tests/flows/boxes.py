"""A dataset of the user's own images: a folder to which drawn boxes are added."""

import numpy as np

from gen.images import write_png
from gen.workspace import Workspace

PARAMS = """\
machine: {device: cpu, threads: 1}
datasets:
  boxes: {source: {kind: folder, path: images}, size: 16, channels: 1, extractor: boxes, feature_dim: 16,
          extractor_images: 640}
judge: {samples: 64, seed: 0, resamples: 10}
"""
"""All but the models, which each test adds."""


def add_images(made: Workspace, pixels: np.ndarray, name: str) -> None:
    """Put images [N, H, W, C] into the folder, as NAME-NUMBER.png."""
    for number, image in enumerate(pixels):
        write_png(made.root / "images" / f"{name}-{number}.png", image)


def quiet(_: str) -> None:
    """Say nothing."""
