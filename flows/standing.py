"""What `genflows up` keeps running in a workspace, as its supervisor writes it down for all who ask."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from gen import files, orphan
from gen.errors import BusyError, UserError
from gen.workspace import Workspace

Health = Literal["healthy", "starting", "does not answer", "restarting"]
SCHEDULE = "schedule.process"
"""The file under .genflows/ in which the process that serves the flow says that it does: `PID:START`."""


@dataclass(frozen=True)
class Part:
    """One thing that has to run."""

    name: str
    process: str | None
    """`PID:START` (gen.orphan); None where it was started elsewhere, or does not run just now."""
    url: str | None
    """Where it answers, fit to be shown; None for what listens nowhere."""
    log: str | None
    """The file that holds what it says; None where it was started elsewhere."""
    health: Health
    since: str
    """When it became so, in UTC (ISO 8601)."""
    restarts: tuple[str, ...] = ()
    """When it was found dead or dumb, each time, in UTC (ISO 8601); at most the last hundred."""
    again: str | None = None
    """When it is started again, where it waits for that, in UTC (ISO 8601)."""

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return int(self.process.partition(":")[0]) if self.process else None


@dataclass(frozen=True)
class Standing:
    """All that one supervisor looks after."""

    supervisor: str
    """`PID:START` of the supervisor."""
    since: str
    """When it began, in UTC (ISO 8601)."""
    options: Mapping[str, str]
    """What it was started with, by option or environment variable. No secrets: digests of them."""
    api: str
    """What PREFECT_API_URL is for the process that serves the flow, fit to be shown."""
    parts: tuple[Part, ...]

    @property
    def healthy(self) -> bool:
        """Whether every part is."""
        return all(part.health == "healthy" for part in self.parts)


def lock(workspace: Workspace) -> Path:
    """The file that the supervisor holds a lock on for as long as it lives: there is one in a workspace."""
    return workspace.private / "up.lock"


def write(workspace: Workspace, standing: Standing) -> None:
    """Write it down, whole or not at all."""
    files.write_json(_file(workspace), asdict(standing))


def read(workspace: Workspace) -> Standing | None:
    """How things stand; None where no supervisor lives, whatever a dead one has left behind."""
    found = _written(workspace) if held(workspace) else None
    if found is None:
        return None
    try:
        parts = tuple(Part(**{**part, "restarts": tuple(part["restarts"])}) for part in found.pop("parts"))
        return Standing(**found, parts=parts)
    except (TypeError, KeyError, AttributeError):
        raise UserError(
            f"{_file(workspace)} was written by another version of Genflows, whose supervisor still runs. "
            "End that one with its own `genflows down`, or by SIGTERM."
        ) from None


def held(workspace: Workspace) -> bool:
    """Whether a supervisor lives here. The kernel drops its lock with it, so no crash leaves a false one."""
    if not lock(workspace).exists():
        return False
    try:
        with files.lock(lock(workspace), wait=False):
            return False
    except BlockingIOError:
        return True


def survivors(workspace: Workspace) -> tuple[str, ...]:
    """The parts that a supervisor which was killed has left behind: they are leaving, and need some seconds."""
    found = None if held(workspace) else _written(workspace)
    parts = found["parts"] if found else ()
    return tuple(part["name"] for part in parts if part["process"] and orphan.runs(part["process"]))


def check_unscheduled(workspace: Workspace) -> None:
    """Raise BusyError where another process serves the flow of this workspace."""
    said = workspace.private / SCHEDULE
    process = said.read_text() if said.exists() else ""
    if process and process != orphan.this_process() and orphan.runs(process):
        raise BusyError(
            f"A schedule is at work in this workspace already: process {process.partition(':')[0]}. End it first, "
            "with `genflows down` where it was brought up, with Ctrl-C where `genflows schedule` runs in a terminal."
        )


def clear(workspace: Workspace) -> None:
    """Forget what a former supervisor wrote; for who holds the lock."""
    _file(workspace).unlink(missing_ok=True)


def now() -> str:
    """This moment in UTC (ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _written(workspace: Workspace) -> dict[str, Any] | None:
    """What the supervisor has written; it takes that away when it ends."""
    try:
        return dict(json.loads(_file(workspace).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _file(workspace: Workspace) -> Path:
    return workspace.private / "up.json"
