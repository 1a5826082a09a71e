"""What a schedule that nobody looks after takes away by itself, once a day: what nothing needs and nobody looks for.

Less than `genflows clean`, which asks: only what firings leave behind, and only when it has lain for a week.
"""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows import cleaning, logs, stored, worktree
from flows.cleaning import Heap
from flows.stages import Say
from flows.terminal import size
from gen import config, files
from gen.config import Params
from gen.errors import UserError
from gen.runs import git
from gen.workspace import Workspace

AGE = timedelta(days=7)
"""What was written later stays: somebody may go on with it, or bring it back."""
EVERY = timedelta(days=1)
BOOK = "tidied.json"
"""The file under .genflows/ that says when that was last."""


def tidy(workspace: Workspace, say: Say) -> None:
    """Take away what may go, where the last time is a day ago and params.yaml does not forbid it.

    The caller is alone in the workspace (`stages.exclusive`). What cannot be done now is done the next time.
    """
    book, params = workspace.private / BOOK, config.load(workspace.params_file)
    now = datetime.now(UTC)
    last = datetime.fromisoformat(files.read_json(book)["last"]) if book.exists() else None
    if not params.retrain.clean or (last and now - last < EVERY):
        return
    files.write_json(book, {"last": now.isoformat(timespec="seconds")})
    freed, tree = 0, worktree.tree_of(workspace)
    try:
        with stored.alone(workspace), stored.alone(tree):
            for heap in heaps(workspace, tree, params):
                heap.remove()
                freed += heap.bytes
            if stored.owns_cache(workspace):
                stored.forget_lost_runs(workspace)
    except (UserError, OSError) as error:
        say(f"Not all could be tidied up: {error}")
    logs.bound(workspace)  # where no supervisor does, as with `genflows schedule`
    git(workspace.root, "gc", "--auto", "--quiet")  # experiments come and go by commands after which git does not
    _purge(workspace, say)
    if freed:
        say(f"Tidied up: {size(freed)} that nothing needs any more.")


def heaps(workspace: Workspace, tree: Workspace, params: Params) -> list[Heap]:
    """What may go by itself."""
    before = time.time() - AGE.total_seconds()
    unused = cleaning.unused(workspace, params) if stored.owns_cache(workspace) else []
    found = {
        "checkpoints": [path for path in _checkpoints(workspace) if _newest(path) < before],
        "fetched versions": [path for path in (workspace.private / "models").glob("*/*") if _newest(path) < before],
        "left-overs": [*cleaning.leftovers(workspace), *cleaning.leftovers(tree)],
        "old versions": [path for path in unused if _newest(path) < before],
    }
    return [cleaning.heap(what, paths) for what, paths in found.items() if paths]


def _checkpoints(workspace: Workspace) -> Iterator[Path]:
    """Folders of trainings that are not over, and the locks of those that are."""
    for path in (workspace.private / "checkpoints").glob("*"):
        if path.suffix != ".lock" or not path.with_suffix("").exists():
            yield path


def _newest(path: Path) -> float:
    """When a file, or the newest below a folder, was written; now for what is gone meanwhile."""
    times = [path, *path.rglob("*")] if path.is_dir() else [path]
    with contextlib.suppress(FileNotFoundError):
        return max(each.lstat().st_mtime for each in times)
    return time.time()


def _purge(workspace: Workspace, say: Say) -> None:
    from gen.tracking.purging import purge
    from gen.tracking.store import TrackingUnavailable, connect

    try:
        purge(connect(workspace), AGE)
    except TrackingUnavailable as error:
        say(f"MLflow's database was not tidied up: {error}")
