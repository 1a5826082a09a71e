"""The user's own images: a folder whose sub-folders are labels, or `trainA/ trainB/ testA/ testB` for two domains."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from gen.errors import UserError
from gen.files import legible
from gen.snapshot import Picture
from gen.sources.base import Places, Rejected, Source, Stream
from gen.sources.decoding import Unusable, decode

DOMAINS = {"trainA": ("a", False), "trainB": ("b", False), "testA": ("a", True), "testB": ("b", True)}
LINK = "a link to a folder, or to a file elsewhere"
NO_DOMAIN = f"lies outside {', '.join(DOMAINS)}"
NO_LABEL = "lies beside the folders that name labels"
CARDS = ("card.json", "card.md", "manifest.json")
"""What a synthetic dataset says of itself, beside its labels' folders: neither images nor strays."""


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
            return Stream("a folder with two domains", _two_domains(root))
        if "trainA" in labels or "trainB" in labels:
            raise UserError(f"{root} holds only one of trainA and trainB; a translator needs both. Add the other.")
        # One sub-folder alone tells nothing apart.
        if len(labels) > 1:
            return Stream(f"a folder with {len(labels)} labels", _labelled(root))
        if not any(_visible(root)):
            raise UserError(
                f"`path: {self.path}` is empty: {root} holds no files. Put images into it, or name another."
            )
        return Stream("a folder without labels", _decoded(root, root))


def _two_domains(root: Path) -> Iterator[Picture | Rejected]:
    for entry in _visible(root):
        if entry.name not in DOMAINS or not _is_folder(entry):
            yield Rejected(legible(entry.relative_to(root)), NO_DOMAIN)
            continue
        domain, official = DOMAINS[entry.name]
        yield from _decoded(entry, root, domain=domain, official=official)


def _labelled(root: Path) -> Iterator[Picture | Rejected]:
    for entry in _visible(root):
        if _is_folder(entry):
            yield from _decoded(entry, root, label=legible(entry.relative_to(root)))
        elif entry.name not in CARDS:
            yield Rejected(legible(entry.relative_to(root)), NO_LABEL)


def _decoded(
    folder: Path, root: Path, label: str = "", domain: str = "images", official: bool = False
) -> Iterator[Picture | Rejected]:
    """All images below `folder`; names are relative to `root`, and no link is followed out of it."""
    for path in _files(folder):
        if path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(root.resolve())):
            yield Rejected(legible(path.relative_to(root)), LINK)
            continue
        try:
            yield Picture(decode(path), label=label, domain=domain, official=official)
        except Unusable as fault:
            yield Rejected(legible(path.relative_to(root)), fault.reason, fault.detail)


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
