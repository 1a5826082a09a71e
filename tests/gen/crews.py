"""Work for processes."""

import contextlib
import os
import signal
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def square(number: int) -> int:
    return number * number


def process(_: int) -> int:
    return os.getpid()


def refused(number: int) -> int:
    raise ValueError(f"{number} is refused")


@dataclass(frozen=True)
class Deadly:
    """Squares that kill their process, so often as there are files in a folder."""

    bullets: Path
    at: int

    def __call__(self, number: int) -> int:
        if number == self.at:
            with contextlib.suppress(StopIteration):
                next(self.bullets.iterdir()).unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return square(number)


class Breaking(ThreadPoolExecutor):
    """Breaks when it is handed a piece, after so many."""

    def __init__(self, after: int) -> None:
        super().__init__(2)
        self.left = after

    def submit(self, *arguments: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise BrokenExecutor
        return super().submit(*arguments, **options)
