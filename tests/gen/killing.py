"""A training that dies by SIGKILL at a named point, or when it is killed, in a process of its own."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from gen import checkpoints, config, files, unfinished
from gen.steps import train as step
from gen.training import Training
from gen.workspace import Workspace

START = multiprocessing.get_context("forkserver")
# The server loads torch once; each child is forked from it.
START.set_forkserver_preload(["tests.gen.killing"])


def die() -> None:
    """As by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


def _call(
    owner: Any, name: str, nth: int, before: Callable[..., None] | None, after: Callable[..., None] | None
) -> None:
    """Let the `nth` call of `owner.name` be the last: `before` it runs, or `after`."""
    real, calls = getattr(owner, name), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and before:
            before(*arguments)
        result = real(*arguments, **named)
        if calls == nth and after:
            after(*arguments)
        return result

    setattr(owner, name, counted)


def _die(*_: Any) -> None:
    die()


def _halve(path: Path, tensors: Any) -> None:  # noqa: ARG001
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    die()


def _half_a_line(journal: files.Journal, record: Any) -> None:  # noqa: ARG001
    journal._file.write(b'{"images": 4')
    journal._file.flush()
    die()


def _die_removing(which: Callable[[str], bool]) -> None:
    """Die with half of a folder removed."""
    real = shutil.rmtree

    def remove(folder: Path, **named: Any) -> None:
        if which(folder.name) and folder.exists():
            next(folder.rglob(checkpoints.TENSORS)).unlink()
            die()
        real(folder, **named)

    shutil.rmtree = remove  # type: ignore[assignment]


# Checkpoints are: 1 before the first step, then one every milestone; each is a fresh folder with a manifest.
POINTS: dict[str, Callable[[], None]] = {
    "before the first step": lambda: _call(Training, "step", 1, _die, None),
    "between two networks' updates": lambda: _call(torch.optim.Adam, "step", 6, _die, None),
    "after a step": lambda: _call(Training, "step", 7, None, _die),
    "in the middle of a line of the journal": lambda: _call(files.Journal, "append", 3, _half_a_line, None),
    "while a sample grid is drawn": lambda: _call(unfinished.Unfinished, "show", 3, _die, None),
    "with a sample grid half-written": lambda: _call(Path, "replace", 6, _die, None),
    "before a checkpoint": lambda: _call(checkpoints.Checkpoints, "save", 3, _die, None),
    "with half of a checkpoint's tensors": lambda: _call(checkpoints, "write_tensors", 3, None, _halve),
    "before a checkpoint's manifest": lambda: _call(files, "write_manifest", 3, _die, None),
    "before a checkpoint takes its place": lambda: _call(Path, "rename", 3, _die, None),
    "while an old checkpoint is removed": lambda: _die_removing(str.isdecimal),
    "while the model is published": lambda: _call(step, "write_tensors", 1, None, _halve),
    "when all is published": lambda: _call(step, "write_provenance", 1, _die, None),
}
"""By name, what makes a process die there."""
OVER = "while what is over is removed"
POINTS_AFTER = {OVER: lambda: _die_removing(lambda name: name.endswith(".old") and not name.endswith(".partial"))}
"""When there is nothing more to go on from."""
EAGER = "nowhere by itself, but it keeps what it has many times a second"
POINTS_NOWHERE = {EAGER: lambda: setattr(unfinished, "INTERVAL", 0.02)}


def run(root: Path, model: str, point: str | None, seconds: float | None = None) -> tuple[int | None, list[str]]:
    """Train in a child process, to its death or to the end: the exit code, and what was said.

    It is killed after `seconds`, counted from its fork, if it is not over by then.
    """
    lines = root / "said.txt"
    lines.unlink(missing_ok=True)
    child: BaseProcess = START.Process(target=_train, args=(root, model, point, lines))
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
    return child.exitcode, lines.read_text().splitlines() if lines.exists() else []


def _train(root: Path, model: str, point: str | None, lines: Path) -> None:
    torch.set_num_threads(1)
    if point is not None:
        (POINTS | POINTS_AFTER | POINTS_NOWHERE)[point]()
    workspace = Workspace(root)
    with lines.open("w") as file:

        def say(line: str) -> None:
            file.write(line + "\n")
            file.flush()

        step.train(workspace, config.load(workspace.params_file), model, code={}, say=say)
