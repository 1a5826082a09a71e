"""The clock of a training: what time and memory it took, read at every record of the journal.

It differs by nature between equal runs, so it stands in the provenance and no result depends on it.
"""

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Reading(NamedTuple):
    """How a training stood after some images."""

    images: int
    """Seen since the start."""
    seconds: float
    """Spent, by all processes that went on with it one after another."""
    processor_seconds: float
    """The same, of the processor: twice the seconds where two cores were busy all the time."""
    memory_bytes: int
    """Resident in this process."""
    accelerator_bytes: int
    """Held by torch on the accelerator."""


class Clock:
    """Reads the time of one training that several processes may go on with, one after another."""

    def __init__(self, readings: Sequence[Sequence[Any]] = (), seconds: float = 0.0) -> None:
        """Go on from what an earlier process had read, when it had spent so many `seconds`."""
        self.readings = [Reading(*reading) for reading in readings]
        self._earlier = seconds
        self._earlier_processor = self.readings[-1].processor_seconds if self.readings else 0.0
        self._started, self._processor_started = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        """Spent so far, by all processes that took part."""
        return self._earlier + time.monotonic() - self._started

    def read(self, images: int) -> None:
        """Remember how it stands after so many images."""
        import torch  # whoever only looks at a clock does not wait for it

        processor = self._earlier_processor + time.process_time() - self._processor_started
        accelerator = torch.cuda.memory_reserved() if torch.cuda.is_available() else 0
        reading = Reading(images, round(self.seconds, 3), round(processor, 3), resident(), accelerator)
        self.readings.append(reading)

    def forget_after(self, images: int) -> None:
        """Drop what was read after so many images: the training went back to them."""
        self.readings = [reading for reading in self.readings if reading.images <= images]


def seconds_at(made: Mapping[str, Any], images: Sequence[float]) -> list[float]:
    """The seconds after which a training had seen each number of images, by its provenance `made`."""
    readings = [Reading(*reading) for reading in made["clock"]]
    seen, seconds = [0, *(each.images for each in readings)], [0.0, *(each.seconds for each in readings)]
    return [float(second) for second in np.interp(images, seen, seconds)]


def resident() -> int:
    """Bytes of memory that this process holds now; where the system does not say, the most it ever held."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return peak()


def peak() -> int:
    """The most bytes of memory that this process has held."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
