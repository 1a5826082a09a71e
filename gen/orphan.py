"""A step that has lost the process that started it ends: a killed `dvc` or flow leaves nothing that trains on.

It asks once a second, for no signal tells a process that an ancestor is gone: prctl's PR_SET_PDEATHSIG knows the
parent alone, which is often only the shell that DVC put between, and Linux alone.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

DRIVER = "GENFLOWS_DRIVER"
"""Environment variable that names the flow's process, as `this_process` writes it."""

INTERVAL = 1.0
"""Seconds between two looks."""
PATIENCE = 10.0
"""Seconds that a step has, after SIGTERM, to save what it has and leave."""
SHELLS = ("sh", "dash", "bash", "zsh", "ksh", "fish", "busybox")

Gone = Callable[[], bool]


def watch() -> None:
    """From now on, end this process when whoever started it is gone: the `dvc` above it, and the flow above that.

    To be called once, first of all, by what may be started so. What is typed into a terminal is not watched.
    """
    guardians = _guardians()
    if guardians:
        threading.Thread(target=_wait, args=(guardians,), name="orphan", daemon=True).start()


def this_process() -> str:
    """`PID:START` of this process: it names no other one when the number is given out again."""
    return named(os.getpid())


def named(pid: int) -> str:
    """`PID:START` of a process that runs."""
    return f"{pid}:{_start(pid) or ''}"


def runs(name: str) -> bool:
    """Whether the process `PID:START` still runs."""
    pid, _, start = name.partition(":")
    return _runs(int(pid), start)


def lost() -> bool:
    """Whether the flow that started this process, or the schedule that started this flow, is gone."""
    return DRIVER in os.environ and not runs(os.environ[DRIVER])


def _guardians() -> dict[str, Gone]:
    """How to ask whether each process that this one depends on is gone, by what to call it."""
    guardians: dict[str, Gone] = {}
    if "DVC_STAGE" in os.environ:
        guardians |= _dvc()
    if DRIVER in os.environ:
        driver = os.environ[DRIVER]
        guardians["the flow"] = lambda: not runs(driver)
    return guardians


def _dvc() -> dict[str, Gone]:
    """DVC is the parent, or the grandparent where its shell did not replace itself by the command."""
    parent = os.getppid()
    guardians: dict[str, Gone] = {"its parent": lambda: os.getppid() != parent}
    stat = _stat(parent)
    if stat and stat.name in SHELLS:
        above, start = stat.parent, _start(stat.parent)
        guardians["dvc"] = lambda: not _runs(above, start or "")
    return guardians


def _wait(guardians: dict[str, Gone]) -> None:
    while True:
        for name, gone in guardians.items():
            if gone():
                _leave(name)
        time.sleep(INTERVAL)


def _leave(name: str) -> None:
    """End this process: SIGTERM first, so that a training can save what it has; SIGKILL when that is not heard."""
    # Whoever read it may be gone too; leaving is what matters.
    with contextlib.suppress(OSError):
        print(f"{name} is gone: this process ends with it. Run the same command again.", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)


class _Stat:
    """What Linux tells of a process in /proc/PID/stat."""

    def __init__(self, text: str) -> None:
        # The name stands in brackets and may hold anything, brackets and blanks too.
        head, _, tail = text.rpartition(")")
        fields = tail.split()
        self.name = head.partition("(")[2]
        self.state = fields[0]
        self.parent = int(fields[1])
        self.start = fields[19]  # ticks after boot


def _stat(pid: int) -> _Stat | None:
    """None where the process is not there, or the system has no /proc."""
    try:
        return _Stat(Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return None


def _start(pid: int) -> str | None:
    stat = _stat(pid)
    return stat.start if stat else None


def _runs(pid: int, start: str) -> bool:
    """Whether the process `pid` that began at `start` still runs. A killed one that nobody has reaped does not."""
    if start:
        stat = _stat(pid)
        return stat is not None and stat.start == start and stat.state not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
