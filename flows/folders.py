"""A folder of images to a folder of images, one at a time: of any size, and to go on with when it was stopped.

What an output holds depends on its input alone, so one image goes through the network at a time: the arithmetic of a
batch may differ in the last bit with who else is in it, and a run that was stopped would not end with the same bytes.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gen import files
from gen.errors import BadParamsError, BusyError, UserError

if TYPE_CHECKING:
    from gen.images import Pixels

MADE_BY = ".made-by.json"
LOCK = ".lock"
TOLD = 5
"""Files without use that the last paragraph names; each has a line of its own before."""


@dataclass
class Tally:
    """What became of the images of a folder."""

    made: int = 0
    kept: int = 0
    """Those that were there already."""
    unusable: int = 0
    examples: list[str] = field(default_factory=list)
    """The first that could not be used, with the reason."""

    @property
    def seen(self) -> int:
        """All files that were looked at."""
        return self.made + self.kept + self.unusable


@dataclass(frozen=True)
class Conversion:
    """What is done with each image."""

    shape: tuple[int, int, int]
    """Channels, height, width that `convert` takes: images are cropped to their central square and resized."""
    convert: "Callable[[Pixels], Pixels]"
    """uint8 [1, H, W, C] to the same."""
    made_by: Mapping[str, Any]
    """All that the outputs depend on besides their inputs."""
    say: Callable[[str], None] = print


def convert_folder(source: Path, target: Path, conversion: Conversion) -> Tally:
    """Convert every image below `source` into a PNG of the same relative path below `target`.

    In memory are one image and the names in one folder, whatever there is to do. An output that is there, and no older
    than its input, is not made again; each is whole or absent. Raises BadParamsError before anything is made when two
    inputs would become one output, or one folder lies where the other is; UserError when `target` holds something else;
    BusyError when another process fills it.
    """
    if target.resolve() == source.resolve():
        raise BadParamsError(f"{source} is the folder of the originals as well. Name another for what is made of them.")
    if not sum(1 for _ in _pairs(source, target, avoid=target.resolve())):
        raise UserError(f"{source} holds no files. Name a folder of images.")
    tally = Tally()
    with _filling(target, conversion.made_by):
        for path, wanted in _pairs(source, target, avoid=target.resolve(), tidy=True):
            if wanted.is_file() and wanted.stat().st_mtime_ns >= path.stat().st_mtime_ns:
                tally.kept += 1
            elif reason := convert_file(path, wanted, conversion):
                tally.unusable += 1
                conversion.say(f"skipped: {files.legible(path)} ({reason})")
                if len(tally.examples) < TOLD:
                    tally.examples.append(f"{files.legible(path)} ({reason})")
            else:
                tally.made += 1
    return tally


def convert_file(path: Path, wanted: Path, conversion: Conversion) -> str | None:
    """Convert one image, or say why it cannot be used."""
    import numpy as np

    from gen.images import write_png
    from gen.sources.decoding import Unusable, decode
    from gen.steps.prepare import square

    channels, size, _ = conversion.shape
    try:
        pixels = square(decode(path), size, channels)
    except Unusable as fault:
        return fault.reason
    # A copy: Pillow's memory is read only, and torch wants none of that.
    write_png(wanted, conversion.convert(np.array(pixels)[None])[0])
    return None


@contextmanager
def _filling(target: Path, made_by: Mapping[str, Any]) -> Iterator[None]:
    """Have `target` to oneself. Raises BusyError when another has it, UserError when it holds something else."""
    target.mkdir(parents=True, exist_ok=True)
    try:
        with files.lock(target / LOCK, wait=False):
            book = target / MADE_BY
            if book.exists() and files.read_json(book) != made_by:
                raise UserError(
                    f"{target} holds what another model, or the same one the other way round, made: {book} says which. "
                    "Name another folder, or remove that one."
                )
            if not book.exists() and any(not entry.name.startswith(".") for entry in target.iterdir()):
                raise UserError(
                    f"{target} is not empty, and nothing says that this command began it, so what is there is left "
                    "alone. Name an empty folder, or one that is not there yet."
                )
            files.write_json(book, made_by)
            yield
    except BlockingIOError:
        raise BusyError(f"Another command is filling {target}. Wait for it, or name another folder.") from None


def _pairs(source: Path, target: Path, *, avoid: Path, tidy: bool = False) -> Iterator[tuple[Path, Path]]:
    """Each file below `source` and where its output goes, folder by folder in the order of their names.

    Hidden files, links to folders and the folder `avoid` are passed over. With `tidy` what a killed run has left
    half-written is removed from each folder before it is filled. Raises BadParamsError when two would become one.
    """
    if tidy and target.is_dir():
        for partial in target.glob(".*.png.*.partial"):
            partial.unlink()
    taken: dict[str, str] = {}
    for name, is_folder in _entries(source):
        becomes = name if is_folder else f"{Path(name).stem}.png"
        if becomes in taken:
            one, other = files.legible(source / name), files.legible(source / taken[becomes])
            raise BadParamsError(f"{one} and {other} would both become one file. Rename one of them.")
        taken[becomes] = name
        if not is_folder:
            yield source / name, target / becomes
        elif (source / name).resolve() != avoid:
            yield from _pairs(source / name, target / name, avoid=avoid, tidy=tidy)


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """The names of the files (False) and folders (True) in a folder, in their order."""
    with os.scandir(folder) as found:
        return sorted(
            (entry.name, entry.is_dir())
            for entry in found
            if not entry.name.startswith(".") and (entry.is_dir(follow_symlinks=False) or entry.is_file())
        )
