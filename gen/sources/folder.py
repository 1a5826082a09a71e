"""The user's own images: a folder whose sub-folders are labels, or `trainA/ trainB/ testA/ testB` for two domains."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gen import workers
from gen.errors import UserError
from gen.files import legible
from gen.snapshot import Picture, canonical
from gen.sources.base import Places, Rejected, Source, Stream
from gen.sources.decoding import DAMAGED, Unusable, decode
from gen.workers import Hire

DOMAINS = {"trainA": ("a", False), "trainB": ("b", False), "testA": ("a", True), "testB": ("b", True)}
LINK = "a link to a folder, or to a file elsewhere"
NO_DOMAIN = f"lies outside {', '.join(DOMAINS)}"
NO_LABEL = "lies beside the folders that name labels"
CARDS = ("card.json", "card.md", "manifest.json")
"""What a synthetic dataset says of itself, beside its labels' folders: neither images nor strays."""
PIECE_FILES = 32
PIECE_BYTES = 16 * 2**20
"""Files go to those who decode them by so many, or by as many as hold so many bytes."""
LARGEST_SENT = 64 * 2**20
"""A larger file is decoded here, from disk: it may be anything, and is not to fill the memory."""


@dataclass(frozen=True)
class Found:
    """A file that may be an image, and what its place says of it."""

    path: Path
    name: str
    """Relative to the source."""
    label: str
    domain: str
    official: bool


Held = Picture | Rejected | tuple[Found, bytes]
"""What is known of a file already, or what it holds."""


class FolderSource(Source):
    """`kind: folder`. Hidden files and cards are passed over, folders inside a label's folder belong to it."""

    kind: Literal["folder"]
    path: str
    """The folder; relative paths begin at the workspace."""

    def open(self, places: Places) -> Stream:
        """Images of any size, grey or RGB. Raises UserError when the folder is missing or empty."""
        root = places.root / Path(self.path).expanduser()
        if not root.is_dir():
            what = "is a file; unpack it and name the folder" if root.exists() else "does not exist; check the path"
            raise UserError(f"`path: {self.path}` names no folder of images: {root} {what}.")
        labels = [entry.name for entry in _visible(root) if _is_folder(entry)]
        if "trainA" in labels and "trainB" in labels:
            return Stream("a folder with two domains", _decoded(_two_domains(root), places.hire))
        if "trainA" in labels or "trainB" in labels:
            raise UserError(f"{root} holds only one of trainA and trainB; a translator needs both. Add the other.")
        # One sub-folder alone tells nothing apart.
        if len(labels) > 1:
            return Stream(f"a folder with {len(labels)} labels", _decoded(_labelled(root), places.hire))
        if not any(_visible(root)):
            raise UserError(
                f"`path: {self.path}` is empty: {root} holds no files. Put images into it, or name another."
            )
        return Stream("a folder without labels", _decoded(_found(root, root), places.hire))


def _two_domains(root: Path) -> Iterator[Found | Rejected]:
    for entry in _visible(root):
        if entry.name not in DOMAINS or not _is_folder(entry):
            yield Rejected(legible(entry.relative_to(root)), NO_DOMAIN)
            continue
        domain, official = DOMAINS[entry.name]
        yield from _found(entry, root, domain=domain, official=official)


def _labelled(root: Path) -> Iterator[Found | Rejected]:
    for entry in _visible(root):
        if _is_folder(entry):
            yield from _found(entry, root, label=legible(entry.relative_to(root)))
        elif entry.name not in CARDS:
            yield Rejected(legible(entry.relative_to(root)), NO_LABEL)


def _found(
    folder: Path, root: Path, label: str = "", domain: str = "images", official: bool = False
) -> Iterator[Found | Rejected]:
    """All files below `folder`; names are relative to `root`, and no link is followed out of it."""
    for path in _files(folder):
        name = legible(path.relative_to(root))
        if path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(root.resolve())):
            yield Rejected(name, LINK)
        else:
            yield Found(path, name, label, domain, official)


def _decoded(found: Iterable[Found | Rejected], hire: Hire | None) -> Iterator[Picture | Rejected]:
    """The images in files, in their order."""
    for pictures in workers.each(_pictures, _pieces(found), hire):
        yield from pictures


def _pieces(found: Iterable[Found | Rejected]) -> Iterator[Sequence[Held]]:
    """Files as they are handed on: with what they hold, so that whoever decodes them needs no access to the source."""
    piece: list[Held] = []
    size = 0
    for each in found:
        held = each if isinstance(each, Rejected) else _held(each)
        piece.append(held)
        size += len(held[1]) if isinstance(held, tuple) else 0
        if len(piece) >= PIECE_FILES or size >= PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _held(found: Found) -> Held:
    try:
        if found.path.stat().st_size > LARGEST_SENT:
            return _picture(found, found.path)
        return found, found.path.read_bytes()
    except OSError as error:
        return Rejected(found.name, DAMAGED, f"{type(error).__name__}: {error.strerror}")


def _pictures(piece: Sequence[Held]) -> list[Picture | Rejected]:
    return [_picture(*held) if isinstance(held, tuple) else held for held in piece]


def _picture(found: Found, content: Path | bytes) -> Picture | Rejected:
    try:
        return Picture(canonical(decode(content)), found.label, found.domain, found.official)
    except Unusable as fault:
        return Rejected(found.name, fault.reason, fault.detail)


def _files(folder: Path) -> Iterator[Path]:
    """Files below `folder` in the order of their names, and links to folders, unfollowed."""
    for entry in _visible(folder):
        if _is_folder(entry):
            yield from _files(entry)
        else:
            yield entry


def _is_folder(entry: Path) -> bool:
    """Whether it is a folder of its own: followed links could lead anywhere, and in circles."""
    return entry.is_dir() and not entry.is_symlink()


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
