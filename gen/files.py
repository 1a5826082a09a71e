"""Files that are whole or absent: atomic writes, SHA-256 manifests, locks, the append-only journal."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from gen.errors import UserError

MANIFEST = "manifest.json"


def sha256(data: bytes) -> str:
    """SHA-256 of `data`, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys: equal values give equal text. NaN is refused (ValueError)."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def legible(path: PurePath) -> str:
    """A path as text that any file and terminal takes, whatever bytes its name is made of."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON: what names a stage's key and an `eval_id`."""
    return sha256(canonical_json(value).encode())


def write(path: Path, data: bytes | str) -> None:
    """Write a file so that a crash or a full disk leaves the old content or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target: a rename is atomic only inside one file system.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with _naming(path), partial.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync(path.parent)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in an error of the system's: that of a write to an open file names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path: Path, value: Any) -> None:
    """Write canonical JSON, atomically."""
    write(path, canonical_json(value))


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises UserError when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing. Run `dvc repro` (or `dvc pull`) to have it made.") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}). Delete it and run again.") from None


def _sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """Fill a new folder beside `target`; when the block ends well, it gets its manifest and takes the place.

    When the block raises, `target` is as it was and the half-written folder is gone.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        for path in partial.rglob("*"):
            _sync(path)
        write_manifest(partial)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def contents(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file below `folder` but the manifest, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() != MANIFEST
    }


def write_manifest(folder: Path) -> None:
    """Write `manifest.json`: the size and SHA-256 of every other file in `folder`."""
    write_json(folder / MANIFEST, {"files": contents(folder)})


def manifest_digest(folder: Path) -> str:
    """One digest for a whole folder: that of its manifest. Cheap, and as strong as the manifest is true."""
    return sha256_of_file(folder / MANIFEST)


def verify(folder: Path) -> Mapping[str, Any]:
    """Check that `folder` holds exactly what its manifest says, and return the manifest's files.

    Raises UserError that names the first file that is missing, changed, a link, or not listed.
    """
    manifest = read_json(folder / MANIFEST)
    if (folder / MANIFEST).read_text(encoding="utf-8") != canonical_json(manifest):
        raise UserError(f"{folder / MANIFEST} was changed. Restore the folder with `dvc checkout --force`.")
    listed = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(listed, dict):
        raise UserError(
            f"{folder / MANIFEST} is no manifest: it lists no files. Restore it with `dvc checkout --force`."
        )
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise UserError(
                f"{path} is a link; a verified folder holds plain files only. Restore it from DVC or MLflow."
            )
    found = contents(folder)
    for name in sorted(listed.keys() | found.keys()):
        if listed.get(name) != found.get(name):
            why = (
                "is missing" if name not in found else "is not in the manifest" if name not in listed else "was changed"
            )
            raise UserError(
                f"{folder / name} {why}: the folder is not what was written. "
                "Restore it with `dvc checkout --force` (or fetch the version from the registry again)."
            )
    return listed


@contextlib.contextmanager
def lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file. The kernel drops it with the process, so a crash leaves none behind.

    Raises BlockingIOError when `wait` is false and another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


class Journal:
    """An append-only file of JSON lines: the truth about a training, read by whoever shows it."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending; it is created when missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab")

    @property
    def length(self) -> int:
        """Its length in bytes."""
        return self._file.tell()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one record and hand it to the operating system."""
        line = json.dumps(record, sort_keys=True, allow_nan=False).encode() + b"\n"
        with _naming(self.path):
            self._file.write(line)
            self._file.flush()

    def cut(self, length: int) -> None:
        """Forget what was appended after the first `length` bytes, of at least as many."""
        self._file.truncate(length)
        self._file.seek(length)

    def sync(self) -> None:
        """Make what was appended survive a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """The same, and close. To close again does nothing."""
        if not self._file.closed:
            self.sync()
            self._file.close()

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """All whole records of a journal; a last line cut short by a crash is left out."""
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]
