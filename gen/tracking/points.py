"""What a training's journal and clock say, as points of MLflow's curves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from gen import clock
from gen.clock import Reading


@dataclass(frozen=True)
class Point:
    """One value of one curve."""

    name: str
    value: float
    step: int
    """Images seen."""
    time: int
    """Milliseconds since 1970."""


def span(provenance: Mapping[str, Any]) -> tuple[int, int]:
    """When a training began and ended, in milliseconds since 1970."""
    start = int(datetime.fromisoformat(provenance["started"]).timestamp() * 1000)
    return start, start + int(provenance["seconds"] * 1000)


def of_training(journal: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any]) -> Iterator[Point]:
    """Losses and measurements on `select`, what the published step was chosen by, and what the machine gave."""
    start, end = span(provenance)
    yield from _curves(journal, provenance, start)
    for name, value in chosen_by(journal, provenance).items():
        yield Point(f"best/{name}", value, provenance["published_after"], end)
    yield from _system(provenance, start)


def chosen_by(journal: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any]) -> dict[str, float]:
    """The measurement on `select` of the step that was published; nothing where none was measured."""
    after = provenance["published_after"]
    measured = [record["select"] for record in journal if "select" in record and record["images"] == after]
    return dict(measured[-1]) if measured else {}


def _curves(journal: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any], start: int) -> Iterator[Point]:
    """Losses and `select/...` over images seen, and over the time that the provenance's clock tells."""
    seconds = clock.seconds_at(provenance, [record["images"] for record in journal])
    for record, passed in zip(journal, seconds, strict=True):
        time = start + int(1000 * passed)
        for group, values in (("loss", record["losses"]), ("select", record.get("select", {}))):
            for name, value in values.items():
                yield Point(f"{group}/{name}", value, record["images"], time)


def _system(provenance: Mapping[str, Any], start: int) -> Iterator[Point]:
    """What the training took of the machine, under the names that MLflow shows as system metrics."""
    readings = [Reading(*reading) for reading in provenance["clock"]]
    for before, now in pairwise([Reading(0, 0.0, 0.0, 0, 0), *readings]):
        passed = max(now.seconds - before.seconds, 1e-3)
        values = {
            "images_per_second": (now.images - before.images) / passed,
            "processor_percent": 100 * (now.processor_seconds - before.processor_seconds) / passed,
            "memory_megabytes": now.memory_bytes / 1e6,
        }
        if now.accelerator_bytes:
            values["accelerator_megabytes"] = now.accelerator_bytes / 1e6
        for name, value in values.items():
            yield Point(f"system/{name}", value, now.images, start + int(1000 * now.seconds))
