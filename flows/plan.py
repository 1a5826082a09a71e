"""What a retrain would run, and about how long it would take: `genflows retrain --dry-run`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows import stages
from gen import files
from gen.workspace import Workspace


@dataclass(frozen=True)
class Planned:
    """One stage of a retrain that has not begun."""

    address: str
    runs: bool
    """False where nothing changed: the stage would be Cached."""
    seconds: float | None
    """What it took the last time it ran here; None where it never did."""


def plan(workspace: Workspace) -> list[Planned]:
    """All stages in their order. New images are found by `ingest` alone, so they are not foreseen here."""
    graph = stages.graph(workspace)
    stale = stages.stale(graph, stages.changed(workspace))
    took = _durations(workspace)
    return [Planned(address, address in stale, took.get(address)) for address in graph]


def remember(workspace: Workspace, seconds: Mapping[str, float]) -> None:
    """Keep how long stages took, for the plans to come."""
    files.write_json(_file(workspace), _durations(workspace) | {name: round(took, 1) for name, took in seconds.items()})


def _durations(workspace: Workspace) -> dict[str, float]:
    return dict(files.read_json(_file(workspace))) if _file(workspace).exists() else {}


def _file(workspace: Workspace) -> Path:
    return workspace.private / "durations.json"
