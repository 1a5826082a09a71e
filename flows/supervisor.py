"""Keeps processes running: looks at each again and again, and starts what died or went dumb anew."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from flows import logs, standing
from flows.children import BLINK, Stop
from flows.server import PATIENCE, stop
from flows.standing import Health, Part, Standing
from gen import orphan
from gen.workspace import Workspace

Process = subprocess.Popen[bytes]
Say = Callable[[str], None]

EVERY = 5.0
"""Seconds between two looks at what is healthy."""
SOON = 0.5
"""The same for what is not yet."""
MISSES = 6
"""So many looks in a row without an answer, and it is started anew: half a minute under load is no fault."""
LONGEST = 60.0
"""Seconds of the longest pause before a start."""
STEADY = 180.0
"""Seconds of health after which what failed before is forgotten."""
LOGS_EVERY = 60.0
"""Seconds between two looks at how large the logs are."""
REMEMBERED = 100
"""Restarts whose moments are kept."""


def pause(failures: int) -> float:
    """Seconds before the start that follows `failures` (one or more) failures: 1, 2, 4 ... 60."""
    return min(2.0 ** min(failures - 1, 10), LONGEST)


class Looked:
    """Something that has to answer, and was started elsewhere: it is looked at, and no more."""

    def __init__(self, name: str, url: str | None, answers: Callable[[], bool]) -> None:
        """`url` is fit to be shown."""
        self.name = name
        self.url = url
        self.answers = answers
        self.health: Health = "starting"
        self.since = standing.now()
        self.next_look = 0.0

    def turn(self, moment: float, say: Say) -> None:
        """Look at it, where it is time to; `moment` is a monotonic clock's."""
        if moment < self.next_look:
            return
        well = self.answers()
        self.next_look = moment + EVERY
        self.become("healthy" if well else "does not answer", say)

    def become(self, health: Health, say: Say, why: str = "") -> None:
        """Note how it is now, and say so where that is new or has a reason."""
        if health != self.health:
            self.since = standing.now()
        if health != self.health or why:
            say(f"{self.name}: {health}{why}")
        self.health = health

    def part(self) -> Part:
        """How it stands."""
        return Part(self.name, None, self.url, None, self.health, self.since)

    def end(self) -> None:
        """Nothing: who started it ends it."""


class Kept(Looked):
    """A process that is kept running."""

    def __init__(
        self,
        name: str,
        url: str | None,
        log: Path,
        launch: Callable[[BinaryIO], Process],
        answers: Callable[[Process], bool],
        patience: float = 10.0,
    ) -> None:
        """`launch` starts it, with what it says going into a file; `answers` asks it whether it is well.

        `patience` are the seconds that it has to end when it is asked to.
        """
        super().__init__(name, url, self._answers)
        self.health = "restarting"  # until its first turn
        self.log = log
        self.launch = launch
        self.asked = answers
        self.patience = patience
        self.process: Process | None = None
        self.begun = 0.0
        self.well_since = 0.0
        self.misses = 0
        self.failures = 0
        self.restarts: list[str] = []
        self.due = 0.0
        self.again: str | None = None
        log.unlink(missing_ok=True)  # what a former supervisor's said; from now on it is added to

    def turn(self, moment: float, say: Say) -> None:
        """Start it where it is due, look at it where it is time to."""
        if self.process is None:
            if moment >= self.due:
                self._start(moment, say)
        elif (code := self.process.poll()) is not None:
            self._fail(moment, say, f"it left with {code}")
        elif moment >= self.next_look:
            self._look(moment, say)

    def part(self) -> Part:
        """How it stands."""
        process = orphan.named(self.process.pid) if self.process else None
        restarts = tuple(self.restarts)
        return Part(self.name, process, self.url, str(self.log), self.health, self.since, restarts, self.again)

    def end(self) -> None:
        """End it, gently first."""
        if self.process and self.process.poll() is None:
            stop(self.process, self.patience)

    def _answers(self) -> bool:
        return self.process is not None and self.asked(self.process)

    def _start(self, moment: float, say: Say) -> None:
        self.begun, self.next_look, self.misses, self.again = moment, moment + SOON, 0, None
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as output:
                self.process = self.launch(output)
        except OSError as error:  # a full disk, too many processes: it may pass
            self._fail(moment, say, f"it could not be started ({error.strerror})")
        else:
            self.become("starting", say)

    def _look(self, moment: float, say: Say) -> None:
        if self.answers():
            if self.health != "healthy":
                self.well_since = moment
            elif moment - self.well_since >= STEADY:
                self.failures = 0
            self.misses = 0
            self.next_look = moment + EVERY
            self.become("healthy", say)
        elif self.health == "starting":
            self.next_look = moment + SOON
            if moment - self.begun > PATIENCE:
                self._replace(moment, say, f"it did not answer within {PATIENCE:g} s")
        else:
            self.misses += 1
            self.next_look = moment + EVERY
            self.become("does not answer", say)
            if self.misses >= MISSES:
                self._replace(moment, say, f"it did not answer {MISSES} times in a row")

    def _replace(self, moment: float, say: Say, why: str) -> None:
        self.end()
        self._fail(moment, say, why)

    def _fail(self, moment: float, say: Say, why: str) -> None:
        self.process = None
        self.failures += 1
        seconds = pause(self.failures)
        self.due = moment + seconds
        self.again = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
        self.restarts = [*self.restarts, standing.now()][-REMEMBERED:]
        self.become("restarting", say, f" in {seconds:g} s, for {why}: see {self.log}")


def supervise(
    workspace: Workspace, options: Mapping[str, str], api: str, parts: Sequence[Looked], until: Stop, say: Say
) -> None:
    """Keep the parts running, and write down how they stand, until it is asked to end. Ends the last one first.

    The caller holds `standing.lock`.
    """
    since, written, look = standing.now(), None, 0.0
    try:
        while not until.requested:
            for part in parts:
                part.turn(time.monotonic(), say)
            now = Standing(orphan.this_process(), since, options, api, tuple(part.part() for part in parts))
            if now != written:
                # A full disk keeps nobody from being looked after; the next turn writes it.
                with contextlib.suppress(OSError):
                    standing.write(workspace, now)
                    written = now
            if time.monotonic() >= look:
                look = time.monotonic() + LOGS_EVERY
                with contextlib.suppress(OSError):
                    logs.bound(workspace)
            time.sleep(BLINK)
    finally:
        for part in reversed(parts):
            part.end()
        standing.clear(workspace)
