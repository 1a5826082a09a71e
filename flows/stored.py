"""Versioned files as DVC keeps them: pointers in the tree, bytes in its cache."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flows.repository import repository
from gen import files
from gen.errors import UserError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from dvc.repo import Repo


def add(workspace: Workspace, path: Path) -> str:
    """Version a file or folder (`dvc add`); returns the digest that DVC gave it."""
    with repository(workspace) as opened:
        (stage,) = opened.add(str(path))
        return str(stage.outs[0].hash_info.value)


def checkout(workspace: Workspace, path: Path) -> None:
    """Bring `path` back to what its pointer says. Raises UserError when DVC's cache does not hold it."""
    with repository(workspace) as opened:
        opened.checkout([str(path)], force=True)


def checkout_all(workspace: Workspace) -> None:
    """Bring all that DVC knows of to what dvc.lock and the pointers say; what its cache does not hold is left out."""
    with repository(workspace) as opened:
        opened.checkout(force=True, allow_missing=True)


def share_cache(workspace: Workspace, other: Workspace) -> None:
    """Let the DVC of `other` use the cache of `workspace`, and the remotes that only this machine knows."""
    local = Path(".dvc") / "config.local"
    if (workspace.root / local).exists():
        files.write(other.root / local, (workspace.root / local).read_bytes())
    with repository(workspace) as opened:
        cache = opened.cache.local_cache_dir
    with repository(other) as opened, opened.config.edit("local") as settings:
        settings["cache"]["dir"] = cache


def pointer(path: Path) -> Path:
    """The small file that stands in git for what `dvc add` versions at `path`."""
    return path.with_name(f"{path.name}.dvc")


def digest_in(text: str) -> str | None:
    """The digest that a pointer's text names; None where it is no pointer."""
    try:
        return str(YAML(typ="safe").load(text)["outs"][0]["md5"])
    except (YAMLError, TypeError, LookupError):
        return None


def restore(workspace: Workspace, path: Path, digest: str) -> None:
    """Make `path` hold the version `digest` again, its pointer included.

    Raises UserError when DVC's cache does not hold that version; nothing is changed then.
    """
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta

    with repository(workspace) as opened:
        # First of all: DVC's checkout removes what is there before it finds out that the cache holds nothing else.
        for name in _tree(opened, digest).values():
            if not opened.cache.local.exists(name):
                raise _lost(digest)
        stage = opened.stage.load_one(str(pointer(path)))
        # Sizes are put right by `add` below; standing there, they keep the order of the pointer's lines.
        stage.outs[0].hash_info, stage.outs[0].meta = HashInfo("md5", digest), Meta(isdir=True, size=0, nfiles=0)
        stage.dump()
    checkout(workspace, path)
    add(workspace, path)


def cached(workspace: Workspace, digest: str, name: str) -> Path:
    """Where DVC's cache holds one file of a versioned folder. To be read only. Raises UserError when it does not."""
    with repository(workspace) as opened:
        path = Path(opened.cache.local.oid_to_path(_tree(opened, digest)[name]))
    if not path.exists():
        raise _lost(digest)
    return path


def used(workspace: Workspace, *, history: bool = True) -> set[str]:
    """The digests of all files and folders that what is here names and, with `history`, any commit or experiment."""
    with repository(workspace) as opened:
        infos = set().union(*opened.used_objs(all_commits=history, all_experiments=history).values())
        return {str(info.value) for info in infos}


def unused(workspace: Workspace, keep: Collection[str]) -> list[Path]:
    """Files of DVC's cache that nothing here, no commit and no experiment names, nor anything in `keep`."""
    kept = used(workspace) | set(keep)
    with repository(workspace) as opened:
        for folder in [name for name in kept if name.endswith(".dir")]:
            with contextlib.suppress(UserError):
                kept |= set(_tree(opened, folder).values())
        cache = opened.cache.local
        return [Path(cache.oid_to_path(name)) for name in sorted(cache.all()) if name not in kept]


@contextlib.contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """Inside the block no other DVC is at work in this workspace. Raises BusyError where one is already."""
    with repository(workspace) as opened, opened.lock:
        yield


def owns_cache(workspace: Workspace) -> bool:
    """Whether the cache lies in the workspace. One elsewhere may be shared with other clones."""
    with repository(workspace) as opened:
        return Path(opened.cache.local_cache_dir).resolve().is_relative_to(workspace.root.resolve())


def forget_lost_runs(workspace: Workspace) -> None:
    """Remove from DVC's run cache the runs whose outputs its cache holds no more: they cannot be brought back."""
    yaml = YAML(typ="safe")
    with repository(workspace) as opened:
        cache = opened.cache.local
        held = set(cache.all())
        for run in Path(opened.cache.local_cache_dir, "runs").glob("*/*/*"):
            if run.suffix == ".tmp" or not {out.get("md5") for out in yaml.load(run)["outs"]} <= held:
                run.unlink()
                with contextlib.suppress(OSError):
                    run.parent.rmdir()


def _tree(opened: "Repo", digest: str) -> dict[str, str]:
    """The digests of the files of a versioned folder, by their relative path."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    try:
        tree = Tree.load(opened.cache.local, HashInfo("md5", digest))
    except FileNotFoundError:
        raise _lost(digest) from None
    return {"/".join(key): str(info.value) for key, _, info in tree}


def _lost(digest: str) -> UserError:
    return UserError(
        f"DVC's cache does not hold all of the version {digest}. Bring it back with `dvc fetch` from the remote that "
        "has it; without one the version is gone. Nothing was changed."
    )
