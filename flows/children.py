"""The processes that a retrain starts: what they say is passed on line by line, and none outlives it."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

from gen.errors import UserError

LADDER = ((signal.SIGINT, 15.0), (signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
"""What a process that has to end is sent, and how many seconds it then has. `dvc` waits for its step on SIGINT."""
BLINK = 0.2
"""Seconds between two looks at whether to stop."""


class StoppedError(UserError):
    """The retrain was asked to stop."""

    exit_code = 130

    def __init__(self) -> None:
        """It has one thing to say."""
        super().__init__("Stopped as asked. What was finished is kept: run the same command to go on from there.")


class Stop:
    """Asks all that run for one retrain to end. It only sets a flag, so a signal handler may ask."""

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self.requested = False

    def request(self) -> None:
        """Ask. What runs ends within some seconds; what has not begun never does."""
        self.requested = True

    def check(self) -> None:
        """Raise StoppedError when it has been asked."""
        if self.requested:
            raise StoppedError

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Until the block ends, let Ctrl-C, SIGTERM and a closed terminal ask. The second time they do as ever."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

        def ask(number: int, _: object) -> None:
            self.request()
            signal.signal(number, before[signal.Signals(number)])

        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def lines(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    stop: Stop,
    timeout: float | None = None,
) -> Generator[str, None, None]:
    """Run `command` and yield each line it prints, both streams as one; returns when all its processes have ended.

    Raises subprocess.CalledProcessError when it fails, subprocess.TimeoutExpired after `timeout` seconds,
    StoppedError when `stop` asks; whatever ends the loop early ends the processes first.
    """
    child = subprocess.Popen(  # noqa: S603
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A group of its own: a signal reaches the command's shell and step too, and Ctrl-C only what we send.
        process_group=0,
    )
    with child:
        try:
            yield from _read(child, stop, timeout)
        except BaseException:
            _end(child)
            raise
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, list(command))


def _read(child: "subprocess.Popen[bytes]", stop: Stop, timeout: float | None) -> Iterator[str]:
    assert child.stdout
    deadline = None if timeout is None else time.monotonic() + timeout
    rest = b""
    while True:
        stop.check()
        if deadline is not None and time.monotonic() > deadline:
            raise subprocess.TimeoutExpired(child.args, timeout or 0)
        if not select.select([child.stdout], [], [], BLINK)[0]:
            continue
        piece = os.read(child.stdout.fileno(), 1 << 16)
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
        if not piece:
            break
    if rest:
        yield rest.decode(errors="replace")


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End a child and all of its group, gently first."""
    for number, patience in LADDER:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            child.poll()
            if not _group_runs(child.pid):
                return
            time.sleep(BLINK)


def _group_runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # macOS refuses where only the dead are left
        return False
    return True
