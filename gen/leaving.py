"""A process that is asked to end finishes the step it is in, keeps what it has, and leaves."""

import signal
import time
from types import FrameType

GRACE = 10.0
"""Seconds in which more signals ask for nothing more: a stop of a whole group reaches a process more than once."""


class Leave:
    """Whether this process was asked to end, by SIGINT (Ctrl-C) or SIGTERM."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self.asked = False
        self._asked_at = 0.0
        self._listening = False

    def listen(self) -> None:
        """From now on such a signal only asks. One that comes GRACE seconds later does what it always did."""
        self._listening = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def wanted(self) -> bool:
        """Whether it was asked; from the first such question on it listens."""
        if not self._listening:
            self.listen()
        return self.asked

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if not self.asked:
            self.asked, self._asked_at = True, time.monotonic()
        elif time.monotonic() - self._asked_at > GRACE:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
