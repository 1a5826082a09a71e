"""Pieces of files: of a folder of this machine, or at any address that fsspec knows (s3://, gs://, http://, memory://)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gen.errors import UserError

MOST = 1 << 30
"""Bytes of one read; not every system takes more than twice that."""


class Piece(NamedTuple):
    """Bytes that are wanted, and where they go."""

    name: str
    offset: int
    target: memoryview


class Folder(Protocol):
    """A folder, wherever it lies."""

    def names(self) -> list[str]:
        """Its files, by their names. Raises UserError, as all of these, where it is elsewhere and cannot be read."""

    def content(self, name: str) -> bytes:
        """A whole file."""

    def read(self, wanted: Sequence[Piece]) -> None:
        """Fill all targets. Raises UserError where a file ends before."""


def folder(place: Path | str) -> Folder:
    """A path is of this machine, text an address. Raises UserError for an address of a kind that is not known here."""
    return _Here(place) if isinstance(place, Path) else _Elsewhere(place)


class _Here:
    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.glob("*"))

    def content(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def read(self, wanted: Sequence[Piece]) -> None:
        files: dict[str, int] = {}
        try:
            for piece in wanted:
                if piece.name not in files:
                    files[piece.name] = os.open(self.path / piece.name, os.O_RDONLY)
                self._fill(files[piece.name], piece)
        finally:
            for file in files.values():
                os.close(file)

    def _fill(self, file: int, piece: Piece) -> None:
        name, offset, target = piece
        while len(target):
            count = os.preadv(file, [target[:MOST]], offset)
            if not count:
                raise UserError(
                    f"{self.path / name} is shorter than it says. Run `dvc checkout`, or `dvc repro` to have it made "
                    "again."
                )
            target, offset = target[count:], offset + count


class _Elsewhere:
    def __init__(self, address: str) -> None:
        from fsspec.core import url_to_fs

        self.address = address.rstrip("/")
        try:
            self._system, self._root = url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise UserError(
                f"{address} cannot be read from here: {error}. Install what reads such addresses "
                "(`pip install 'genflows[s3]'` for s3://), or name another."
            ) from None

    def names(self) -> list[str]:
        with self._answering():
            try:
                found: list[Any] = self._system.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rpartition("/")[2] for path in found)

    def content(self, name: str) -> bytes:
        with self._answering():
            return bytes(self._system.cat_file(f"{self._root}/{name}"))

    def read(self, wanted: Sequence[Piece]) -> None:
        # In one call: what answers by network is asked for all of them at once.
        paths = [f"{self._root}/{piece.name}" for piece in wanted]
        ends = [piece.offset + len(piece.target) for piece in wanted]
        with self._answering():
            found = self._system.cat_ranges(paths, [piece.offset for piece in wanted], ends, on_error="raise")
        for piece, content in zip(wanted, found, strict=True):
            if len(content) != len(piece.target):
                raise UserError(
                    f"{self.address}/{piece.name} is shorter than it says. Copy the prepared dataset there once more."
                )
            piece.target[:] = content

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Raises UserError for what each kind of place has errors of its own for."""
        try:
            yield
        except Exception as error:
            raise UserError(
                f"{self.address} could not be read ({type(error).__name__}: {' '.join(str(error).split())[:300]}). "
                "Check the address, the network and your access to it, and run the same command again."
            ) from error
