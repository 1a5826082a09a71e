"""Reading what a stranger may have written: everything is bounded, nothing is run, no tensor is allocated.

It imports neither torch nor mlflow.
"""

import json
import math
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gen.errors import UserError

MOST_FILES = 5000
MOST_BYTES = 8 * 2**30
"""Of all files of a folder together."""
LARGEST_JSON = 2**20
LARGEST_HEADER = 4 * 2**20
MOST_TENSORS = 10_000
BYTES_OF = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "I64": 8, "F64": 8,
}  # fmt: skip
"""Bytes of one value of each type that a published tensor may have, as safetensors calls it."""


@dataclass(frozen=True)
class Tensor:
    """What the header of a safetensors file says of one tensor."""

    kind: str
    """Its type: a key of BYTES_OF."""
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Its values."""
        return math.prod(self.shape)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below `folder`, by its relative path.

    Raises UserError for a link, for what is neither a file nor a folder, and for too much of anything.
    """
    found: dict[str, int] = {}
    for path in _walk(folder):
        found[path.relative_to(folder).as_posix()] = path.lstat().st_size
        if len(found) > MOST_FILES or sum(found.values()) > MOST_BYTES:
            raise refused(folder, f"it holds more than {MOST_FILES:,} files or {MOST_BYTES / 2**30:.0f} GiB")
    return found


def json_object(path: Path, largest: int = LARGEST_JSON) -> dict[str, Any]:
    """The JSON object in a file of at most `largest` bytes. Raises UserError, also for a key twice and for NaN."""
    if path.stat().st_size > largest:
        raise refused(path, f"it has more than {largest:,} bytes")
    return _parsed(path, path.read_bytes())


def tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name, from its header alone.

    Raises UserError unless the header is sound and its tensors fill the rest of the file without a gap.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise refused(path, "its header has an impossible length: it is no safetensors file")
        header = _parsed(path, file.read(length))
    facts = header.pop("__metadata__", {})
    if not (isinstance(facts, dict) and all(isinstance(text, str) for text in facts.values())):
        raise refused(path, "what its header says beside the tensors is not text")
    if len(header) > MOST_TENSORS:
        raise refused(path, f"it holds more than {MOST_TENSORS:,} tensors")
    found, pieces = {}, []
    for name, entry in header.items():
        found[name], piece = _tensor(path, entry)
        pieces.append(piece)
    end = 0
    for first, last in sorted(pieces):
        if first != end:
            raise refused(path, "its tensors overlap or leave gaps")
        end = last
    if end != size - 8 - length:
        raise refused(path, "it is longer or shorter than its tensors")
    return found


def refused(path: Path, why: str) -> UserError:
    """The error that says why a file or folder is not used."""
    return UserError(
        f"{path} cannot be loaded: {why}. Do not use it: fetch the version again, or train it anew with `dvc repro`."
    )


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise refused(path, "it is a link, and a published model holds plain files only")
        if stat.S_ISDIR(mode):
            yield from _walk(path)
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise refused(path, "it is neither a file nor a folder")


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_without_doubles, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise refused(path, f"it is no sound JSON ({str(error)[:100]})") from None
    if not isinstance(value, dict):
        raise refused(path, "it is no JSON object")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _tensor(path: Path, entry: Any) -> tuple[Tensor, tuple[int, int]]:
    """One tensor, and where its bytes begin and end."""
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [first, last], **others}:
            numbers = [*shape, first, last]
            sound = kind in BYTES_OF and not others and all(type(number) is int and number >= 0 for number in numbers)
            # Long products of long numbers take time of their own.
            if sound and len(shape) <= 8 and max(numbers, default=0) < 2**48:
                tensor = Tensor(kind, tuple(shape))
                if tensor.count * BYTES_OF[kind] == last - first:
                    return tensor, (first, last)
    raise refused(path, "its header describes an impossible tensor")
