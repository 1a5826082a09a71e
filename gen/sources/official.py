"""Public datasets: looked for where they may lie, then downloaded from their official addresses and checked."""

import hashlib
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gen import files
from gen.errors import UserError
from gen.sources.base import Places

Found = TypeVar("Found")
TIMEOUT = 10.0
"""Seconds without an answer after which an address is given up."""
CHUNK = 2**20
MIRROR = "GENFLOWS_MIRROR"
"""The environment variable that names a folder with public datasets."""


@dataclass(frozen=True)
class Public:
    """A public dataset: its files and where they may be."""

    name: str
    sha256: Mapping[str, str]
    """The files at each address, with their SHA-256."""
    addresses: tuple[str, ...]
    """Folders on the web that hold those files."""
    packaged: Path | None = None
    """Where a package of the system puts them."""
    advice: str = ""
    """Another way to get it."""


def locate(public: Public, path: str | None, places: Places, find: Callable[[Path], Found | None]) -> tuple[Found, str]:
    """What `find` finds in the first place that has it, and that place in words.

    The places: `path`, the mirror, the system's package, the official addresses. Raises UserError that names all of
    them when none has it.
    """
    tried = []
    for what, folder in _folders(public, path, places):
        found = find(folder)
        if found is not None:
            return found, what
        tried.append(f"{what} ({folder})")
    if places.mirror is None:
        tried.append(f"the mirror ({MIRROR} is not set)")
    target = places.downloads / public.name
    for address in public.addresses:
        try:
            for name, sha256 in public.sha256.items():
                download(f"{address}/{name}", sha256, target / name)
        except OSError as error:
            tried.append(f"{address} ({error})")
            continue
        found = find(target)
        if found is not None:
            return found, address
    raise UserError(
        f"The images of `{public.name}` were not found. Tried: {'; '.join(tried)}. "
        f"Download {', '.join(public.sha256)} on a machine that reaches {public.addresses[0]}, put them into a folder "
        f"and name it as the source's `path`, or put that folder as `{public.name}` below the one that {MIRROR} names."
        + (f" {public.advice}" if public.advice else "")
    )


def _folders(public: Public, path: str | None, places: Places) -> Iterator[tuple[str, Path]]:
    if path is not None:
        yield "the dataset's `path`", places.root / Path(path).expanduser()
    if places.mirror is not None:
        yield "the mirror", places.mirror / public.name
    if public.packaged is not None:
        yield "the system's package", public.packaged


def download(address: str, sha256: str, target: Path) -> None:
    """Download one file, unless it is there already. Raises OSError when it cannot be had or has another SHA-256."""
    if target.is_file() and files.sha256_of_file(target) == sha256:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    digest = hashlib.sha256()
    try:
        # Addresses are constants of this package, and what comes is used only if it has the expected hash.
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer, partial.open("wb") as file:  # noqa: S310
            while chunk := answer.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != sha256:
            raise OSError(f"{target.name} has SHA-256 {digest.hexdigest()[:12]}..., expected {sha256[:12]}...")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
