"""`genflows clean`: what may go, and how much it is. All of it can be made or fetched again; data and registry stay."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows import logs, standing, stored, versions, worktree
from gen.config import Params
from gen.workspace import Workspace

PARTIAL = re.compile(r"\..+\.(?P<process>\d+)\.(?:partial|old)")
"""What gen.files calls a file or folder that is being written."""


@dataclass(frozen=True)
class Heap:
    """Files that may go together."""

    what: str
    paths: tuple[Path, ...]
    bytes: int

    def remove(self) -> None:
        """Delete it all. What is gone already is no error."""
        for path in self.paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def heaps(workspace: Workspace, params: Params) -> list[Heap]:
    """All that may go from a workspace, in heaps that are not empty."""
    private = workspace.private
    places = {
        "caches: fetched models, logs, what tools keep for themselves": [
            private / name for name in ("models", "published", "dvc")
        ]
        # What is up has them open: it would write on into files that nobody finds, and that grow unseen.
        + ([] if standing.held(workspace) else [logs.folder(workspace)]),
        "downloads: public datasets, fetched again when needed": [private / "downloads"],
        "features: of generated images, computed again when needed": [workspace.feature_cache],
        "checkpoints: of trainings that were broken off": [private / "checkpoints"],
        "trials: models that were trained beside the pipeline": [private / "trials"],
        "left-overs: of processes that died while they wrote": list(leftovers(workspace)),
        "old runs: of models and datasets that params.yaml no longer names": list(_old(workspace, params)),
        "old versions: in DVC's cache, of what nothing names any more": unused(workspace, params),
    }
    made = (heap(what, [path for path in paths if path.exists()]) for what, paths in places.items())
    return [found for found in made if found.paths]


def unused(workspace: Workspace, params: Params) -> list[Path]:
    """What DVC's cache holds that neither a tree, a commit, an experiment nor `genflows data` can ask for."""
    return stored.unused(workspace, _versions(workspace, params) | worktree.used(workspace))


def _versions(workspace: Workspace, params: Params) -> set[str]:
    """Every version of the data: what `genflows data` can restore stays."""
    return {version.digest for name in params.datasets for version in versions.versions(workspace, name)}


def heap(what: str, paths: Sequence[Path]) -> Heap:
    """Paths that may go, and how much they are."""
    return Heap(what, tuple(paths), sum(_size(path) for path in paths))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links count as themselves."""
    if path.is_dir() and not path.is_symlink():
        return sum(file.lstat().st_size for file in path.rglob("*") if file.is_symlink() or not file.is_dir())
    return path.lstat().st_size


def leftovers(workspace: Workspace) -> Iterator[Path]:
    """Half-written files and folders whose process is no more."""
    root = workspace.root
    for folder in (root, *root.glob("data/*"), root / "runs", *root.glob("runs/*"), workspace.private):
        for path in folder.glob(".*"):
            match = PARTIAL.fullmatch(path.name)
            if match and not _is_alive(int(match["process"])):
                yield path


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _old(workspace: Workspace, params: Params) -> Iterator[Path]:
    """What stages made for names that are no longer there. DVC's cache and MLflow still hold it."""
    made = ((workspace.train, workspace.evaluate, workspace.provenance), params.blocks)
    prepared = ((workspace.prepared, workspace.reference, workspace.features), params.datasets)
    for places, names in (made, prepared):
        for place in places:
            kept = {place(name) for name in names}
            yield from (path for path in place("_").parent.glob("[!.]*") if path not in kept)
