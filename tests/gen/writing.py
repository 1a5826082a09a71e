"""What many writers do at once: each has a workspace of its own, and all share one MLflow."""

from datetime import UTC, datetime
from pathlib import Path

from gen.tracking.groups import Group
from gen.tracking.points import Point
from gen.tracking.runs import Attempt, show
from gen.tracking.store import connect
from gen.workspace import Workspace

POINTS = 1000


def value(writer: int, step: int) -> float:
    """Another number for each point of all writers."""
    return writer + step / 7


def write(root: Path, writer: int) -> None:
    """Publish one run with a curve of so many points."""
    store = connect(Workspace(root / f"writer-{writer}"))
    points = [Point("loss/total", value(writer, step), step, 1_700_000_000_000 + step) for step in range(POINTS)]
    attempt = Attempt(f"writer {writer}", {"writer": str(writer)}, {"writer": str(writer)}, points, "FINISHED")
    show(store, [attempt], Group("crowd", f"crowd-{writer}", datetime.now(UTC)))
