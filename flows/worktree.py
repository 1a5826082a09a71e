"""The schedule's own tree: a git worktree that follows the user's tree, and never writes into it.

It lies in .genflows/worktree, shares .genflows and DVC's cache with the user's tree, and stays from one retrain to the
next: what a retrain left (dvc.lock, the pointers under data/) is where the next one begins.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from flows import stored
from gen import config, files
from gen.errors import UserError
from gen.runs import git
from gen.workspace import Workspace

TREE = "worktree"
"""Its folder under .genflows/."""
BOOK = "worktree.json"
"""The file under .genflows/ that remembers what was copied: digests by path."""


def follow(workspace: Workspace) -> Workspace:
    """Bring the schedule's tree to what the user's is at this moment, what is not committed included.

    A file is copied when it changed in the user's tree since it was copied last: code and params.yaml are the user's
    at each time, while dvc.lock and pointers stay as the last retrain left them until the user changes his own.
    The caller is alone in the workspace (`stages.exclusive`).
    Raises UserError where git has no commit to stand on.
    """
    check(workspace)
    top = Path(_told(workspace.root, "rev-parse", "--show-toplevel"))
    commit = _told(workspace.root, "rev-parse", "HEAD")
    tree = workspace.private / TREE
    own = Workspace(tree / workspace.root.relative_to(top))
    if git(tree, "rev-parse", "--show-toplevel") != str(tree):
        _create(workspace, top, tree, commit)
    # Of what git tracks it then says that it differs just where the user's tree does.
    _told(tree, "reset", "--mixed", "--quiet", commit)
    _copy(top, tree, set(_names(workspace, top)), workspace.private / BOOK)
    _connect(workspace, own)
    stored.checkout_all(own)
    return own


def check(workspace: Workspace) -> None:
    """Raise UserError where git has no commit that a tree of its own could stand on."""
    if git(workspace.root, "rev-parse", "--verify", "HEAD") is None:
        raise UserError(
            f"A schedule retrains in a git worktree of its own, and {workspace.root} has no commit that one could "
            "begin from. Make one: `git init`, `git add --all`, `git commit`."
        )


def _untracked(root: Path) -> list[str]:
    """Files that git neither tracks nor ignores, relative to `root`; of a folder below the repository's, its own."""
    found = git(root, "ls-files", "-z", "--others", "--exclude-standard") or ""
    return [name for name in found.split("\0") if name and ".genflows" not in PurePosixPath(name).parts]


def used(workspace: Workspace) -> set[str]:
    """The digests of what the schedule's tree holds, by DVC; nothing where no retrain was scheduled yet.

    Commits and experiments aside, which it shares with the user's.
    """
    tree = tree_of(workspace)
    return stored.used(tree, history=False) if tree.params_file.exists() else set()


def tree_of(workspace: Workspace) -> Workspace:
    """The schedule's tree, whether it is there or not."""
    within = git(workspace.root, "rev-parse", "--show-prefix") or ""
    return Workspace(workspace.private / TREE / within)


def _create(workspace: Workspace, top: Path, tree: Path, commit: str) -> None:
    """A worktree without files, in the place of whatever was left of a former one."""
    (workspace.private / BOOK).unlink(missing_ok=True)
    if tree.exists():
        shutil.rmtree(tree)
    _told(top, "worktree", "prune")
    _told(top, "worktree", "add", "--quiet", "--detach", "--no-checkout", "--force", str(tree), commit)


def _names(workspace: Workspace, top: Path) -> Iterator[str]:
    """What belongs to the user's tree, relative to the repository: all but what git ignores and folders of images."""
    tracked = _told(top, "ls-files", "-z").split("\0")
    yield from (name for name in tracked if name and os.path.lexists(top / name) and not (top / name).is_dir())
    sources = [workspace.root / path for path in _source_paths(workspace)]
    for name in _untracked(top):
        if not any((top / name).is_relative_to(source) for source in sources):
            yield name


def _source_paths(workspace: Workspace) -> Iterator[str]:
    """Where datasets come from: those are read where they lie (`Workspace.home`)."""
    for dataset in config.load(workspace.params_file).datasets.values():
        if path := dataset.source.get("path"):
            yield str(path)


def _copy(top: Path, tree: Path, names: set[str], book: Path) -> None:
    copied: dict[str, str] = files.read_json(book) if book.exists() else {}
    found = {name: _digest(top / name) for name in sorted(names)}
    for name in copied.keys() - found.keys():
        (tree / name).unlink(missing_ok=True)
    for name, digest in found.items():
        if copied.get(name) != digest:
            (tree / name).unlink(missing_ok=True)
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(top / name, tree / name, follow_symlinks=False)
    files.write_json(book, found)


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return f"{files.sha256_of_file(path)}{' executable' if os.access(path, os.X_OK) else ''}"


def _connect(workspace: Workspace, own: Workspace) -> None:
    """Checkpoints, databases and locks, DVC's cache and what it knows of remotes: the user's."""
    link = own.root / workspace.private.name
    if not link.is_symlink():
        link.symlink_to(workspace.private)
    stored.share_cache(workspace, own)


def _told(folder: Path, *arguments: str) -> str:
    """What git says. Raises UserError where it cannot do what is asked."""
    said = git(folder, *arguments)
    if said is None:
        raise UserError(
            f"`git {' '.join(arguments)}` failed in {folder}, so that the schedule has no tree to work in. Run it "
            "there to see why. Nothing of yours was changed."
        )
    return said
