"""A look at a folder of images before anything is taken in: how many, how large, grey or not, of what layout."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gen.errors import BadParamsError
from gen.sources.base import Places
from gen.sources.decoding import Unusable, decode
from gen.sources.folder import FolderSource

LOOKED_AT = 200
"""Images that are opened, spread over all."""
FEWEST = 100
"""Images, in each domain, below which nothing could be measured."""

Layout = Literal["labels", "domains", "images"]


@dataclass(frozen=True)
class Look:
    """What a folder holds."""

    path: str
    """As params.yaml names it."""
    files: int
    """Some of them may turn out to be no images."""
    side: int
    """Median of the shorter sides, in pixels."""
    grey: bool
    """Whether all that was looked at has no colour."""
    layout: Layout
    """Sub-folders that are labels; trainA/ and trainB/; or images alone."""

    def __str__(self) -> str:
        """In words."""
        kinds = {"labels": "sub-folders are labels", "domains": "two domains", "images": "no labels"}
        colour = "grey" if self.grey else "in colour"
        return (
            f"{self.files:,} files, {kinds[self.layout]}, {colour}, half of them at least {self.side} px high and wide"
        )


def look(root: Path, folder: Path) -> Look:
    """Look at `folder`, for a workspace at `root`. Raises BadParamsError when there is too little to train on."""
    whole = folder.expanduser().resolve()
    path = str(whole.relative_to(root) if whole.is_relative_to(root) else whole)
    # What cannot be a source at all is told in its own words.
    FolderSource(kind="folder", path=path).open(_places(root))
    files = sorted(_files(whole))
    sample = [files[index] for index in np.unique(np.linspace(0, len(files) - 1, LOOKED_AT).astype(int))]
    images = [image for image in map(_decoded, sample) if image is not None]
    least = FEWEST * (2 if (whole / "trainA").is_dir() else 1)
    if not images or len(files) < least:
        raise BadParamsError(
            f"{folder} holds {len(files)} files, and {len(images)} of {len(sample)} that were looked at are images; "
            f"to train and to measure takes at least {least}. Bring more, or name another folder."
        )
    sides = [min(image.shape[:2]) for image in images]
    return Look(path, len(files), int(statistics.median(sides)), all(map(_is_grey, images)), _layout(whole))


def _places(root: Path) -> Places:
    return Places(root, None, root, lambda name: root / name)


def _files(folder: Path) -> Iterator[Path]:
    """As the source does: hidden ones are passed over."""
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _decoded(path: Path) -> np.ndarray | None:
    try:
        return decode(path)
    except Unusable:
        return None


def _is_grey(image: np.ndarray) -> bool:
    return image.shape[2] == 1 or bool((image == image[:, :, :1]).all())


def _layout(folder: Path) -> Layout:
    names = [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    if "trainA" in names and "trainB" in names:
        return "domains"
    return "labels" if len(names) > 1 else "images"
