"""Checkpoints of one training: folders that are whole or absent, and are never believed before they verify."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from gen import files
from gen.errors import UserError
from gen.tensors import write_tensors

TENSORS = "tensors.safetensors"
FACTS = "facts.json"
KEPT = 2
"""Of each kind: one to go on from, and one for when that is damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """What was known after some images."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one training, in one folder.

    Those at fixed counts of images are milestones. What a training does may depend on milestones alone: when the
    others were written depends on the clock.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """`say` is told of each checkpoint that does not verify."""
        self.folder = folder
        self.say = say

    def save(
        self,
        images: int,
        tensors: Mapping[str, Tensor],
        facts: Mapping[str, Any],
        *,
        milestone: bool,
        best: int | None = None,
    ) -> None:
        """Keep what is known after `images`, and go on keeping the milestone after `best` images.

        When it cannot be written (OSError), the older ones are as they were.
        """
        with files.fresh_folder(self._path(images, milestone)) as folder:
            write_tensors(folder / TENSORS, tensors)
            files.write_json(folder / FACTS, facts)
        self._prune(best)

    def newest(self, *, milestone: bool = False) -> Checkpoint | None:
        """The newest one that verifies, or the newest such milestone; None when there is none."""
        for folder in self._found(milestone):
            try:
                return _read(folder)
            except (UserError, SafetensorError, OSError) as error:
                self.say(f"A checkpoint is damaged, so the one before it is used. {error}")
        return None

    def at(self, images: int) -> Checkpoint | None:
        """The milestone after `images`; None when it is not there or does not verify."""
        try:
            return _read(self._path(images, milestone=True))
        except (UserError, SafetensorError, OSError):
            return None

    def forget_after(self, images: int) -> None:
        """Remove those that lie after `images`: the training went back."""
        for folder in self._found():
            if _images(folder) > images:
                shutil.rmtree(folder)

    def _path(self, images: int, milestone: bool) -> Path:
        return self.folder / f"{images:012d}{'' if milestone else '-between'}"

    def _found(self, milestone: bool = False) -> list[Path]:
        """The newest first."""
        found = self.folder.glob("[0-9]*")
        return sorted((folder for folder in found if not milestone or _is_milestone(folder)), reverse=True)

    def _prune(self, best: int | None) -> None:
        kept = {*self._found()[:KEPT], *self._found(milestone=True)[:KEPT]}
        if best is not None:
            kept.add(self._path(best, milestone=True))
        for folder in self._found():
            if folder not in kept:
                shutil.rmtree(folder)


def _read(folder: Path) -> Checkpoint:
    files.verify(folder)
    return Checkpoint(safetensors.torch.load_file(folder / TENSORS), files.read_json(folder / FACTS))


def _images(folder: Path) -> int:
    return int(folder.name.partition("-")[0])


def _is_milestone(folder: Path) -> bool:
    return folder.name.isdecimal()
