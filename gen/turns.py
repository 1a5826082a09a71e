"""Whose turn it is to train: one process at a time on an accelerator, and one at a time on the same training."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gen import files
from gen.errors import BusyError, LeftError


@contextlib.contextmanager
def accelerator(device: str, leaving: Callable[[], bool]) -> Iterator[None]:
    """Inside the block nobody else trains on `device`; on the CPU others may. Waits until it is free.

    Raises LeftError when asked to leave before.
    """
    with contextlib.ExitStack() as stack:
        # One lock for all workspaces: a second training would only take memory from the first.
        path = Path(tempfile.gettempdir()) / f"genflows-{os.getuid()}-{device}.lock"
        while device != "cpu" and not _locked(stack, path):
            if leaving():
                raise LeftError(f"Stopped as asked, before {device} was free. The same command goes on.")
            time.sleep(0.2)
        yield


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """Be the only process that trains what is kept in the folder `place`. Raises BusyError where another one does."""
    with contextlib.ExitStack() as stack:
        if not _locked(stack, place.with_suffix(".lock")):
            raise BusyError(
                f"Another process trains the same right now (its files are in {place}). Wait for it, or end it and "
                "run this command again: it goes on from where that one was."
            )
        yield


def _locked(stack: contextlib.ExitStack, path: Path) -> bool:
    """Whether the lock could be taken at once; `stack` gives it back."""
    try:
        stack.enter_context(files.lock(path, wait=False))
    except BlockingIOError:
        return False
    return True
