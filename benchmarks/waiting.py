"""Waiting for something that another process does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(answer: Callable[[], T | None], seconds: float = 120) -> T:
    """What `answer` gives as soon as that is true. Raises TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := answer():
            return found
        time.sleep(0.1)
    raise TimeoutError(f"Nothing came of it within {seconds:.0f} s.")
