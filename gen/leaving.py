"""A process that is asked to end finishes the step it is in, keeps what it has, and leaves."""

import signal
from types import FrameType


class Leave:
    """Whether this process was asked to end, by SIGINT (Ctrl-C) or SIGTERM."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self.asked = False

    def listen(self) -> None:
        """From now on the first such signal only asks. The second does what it always did."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
