"""What `genflows status` tells beside the processes: when the schedule fires next, and what became of retrains."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flows.answering import ask
from flows.standing import Standing
from gen.workspace import Workspace

OVER = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
"""Types of the states in which Prefect leaves a flow."""

REFUSED = "Refused"
"""The name of the state in which a retrain leaves that was to go on with a crashed one, and had no reason to."""


@dataclass(frozen=True)
class Last:
    """The scheduled retrain that ended last."""

    outcome: str
    """Prefect's word: Completed, Failed, Cancelled, Crashed."""
    ended: str
    """In UTC (ISO 8601)."""
    summary: str
    """What the retrain said of itself."""


@dataclass(frozen=True)
class Retrains:
    """What Prefect knows of the scheduled retrains of a workspace."""

    next: str | None
    """When the next is due, in UTC (ISO 8601); None where none is planned yet."""
    running: str | None
    """Since when one runs, in UTC (ISO 8601); None where none does."""
    last: Last | None
    """None where none has ended yet."""


def retrains(workspace: Workspace, standing: Standing) -> Retrains | None:
    """Ask Prefect; None where it does not answer, or not without a password."""
    name = workspace.root.name
    try:
        planned = _run(standing.api, name, ("SCHEDULED",), "EXPECTED_START_TIME_ASC")
        running = _run(standing.api, name, ("RUNNING",), "START_TIME_DESC")
        ended = _run(standing.api, name, OVER, "END_TIME_DESC")
    except (OSError, ValueError):
        return None
    return Retrains(
        planned and planned["expected_start_time"],
        # One that was killed under a former supervisor is called running for ever.
        running["start_time"] if running and _moment(running["start_time"]) >= _moment(standing.since) else None,
        ended and Last(ended["state_name"], ended["end_time"] or ended["updated"], ended["state"]["message"] or ""),
    )


def _run(api: str, deployment: str, states: tuple[str, ...], sort: str) -> Any:
    """The first flow run in one of these states, but for those that were refused; None where there is none."""
    query = {
        "flows": {"name": {"any_": ["retrain"]}},
        "deployments": {"name": {"any_": [deployment]}},
        "flow_runs": {"state": {"type": {"any_": states}, "name": {"not_any_": [REFUSED]}}},
        "sort": sort,
        "limit": 1,
    }
    found = ask(f"{api}/flow_runs/filter", query)
    return found[0] if found else None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
