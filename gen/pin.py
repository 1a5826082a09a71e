"""A pinned champion: the published model that trainings begin from while their images stay what they are.

A folder data/starts/champion-of-DATASET holds `start.json`, `model/` (a published model as it was registered) and its
manifest. Where there was no champion when it was pinned, there is no `model/`.
"""

import shutil
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from gen import artifact, files
from gen.errors import UserError
from gen.strict import Strict

START = "start.json"
MODEL = "model"


class Pin(Strict):
    """What start.json holds."""

    format: Literal[1] = 1
    images: str
    """SHA-256 of the index of the snapshot that it was pinned for: of its images, and not of where they came from."""
    name: str | None = None
    """The registered model, DATASET-TASK; None where it had no champion."""
    version: int | None = None
    key: str | None = None
    digest: str | None = None
    """Of the published model's manifest."""

    @property
    def champion(self) -> str | None:
        """`digits-sample/3`; None where there was none."""
        return None if self.name is None else f"{self.name}/{self.version}"


def read(folder: Path) -> Pin:
    """The pin in `folder`, after all of it was verified. Raises UserError where it is not what was written."""
    files.verify(folder)
    try:
        pin = Pin.model_validate_json((folder / START).read_bytes())
    except (OSError, ValidationError):
        raise UserError(
            f"{folder} holds no {START} of the format that this version reads. Pin the champion anew with "
            f"`genflows start {folder.name}`."
        ) from None
    if pin.champion:
        artifact.verify(folder / MODEL)
    return pin


def write(folder: Path, pin: Pin, model: Path | None = None) -> None:
    """Make `folder` hold `pin`, and the published model in `model` that it names; what was there is replaced."""
    with files.fresh_folder(folder) as fresh:
        if model:
            shutil.copytree(model, fresh / MODEL)
        files.write_json(fresh / START, pin.model_dump())


def images_digest(snapshot: Path) -> str:
    """What a pin is made for: the images of a snapshot. Raises UserError where there is no snapshot."""
    try:
        return files.sha256_of_file(snapshot / "index.csv")
    except FileNotFoundError:
        raise UserError(
            f"The images of dataset `{snapshot.name}` are not here yet, so no champion can be pinned for them. "
            f"Run `genflows ingest {snapshot.name}` (or `dvc pull`) and try again."
        ) from None
