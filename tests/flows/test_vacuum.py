"""What `up` starts forgets old retrains: a real Prefect server, and a database with a past."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flows import answering
from flows.environment import EVENTS_KEPT, RUNS_KEPT, prefect_environment, vacuuming
from flows.server import prefect_server
from gen.workspace import Workspace
from tests.flows.toy import eventually

NOW, HOUR = datetime.now(UTC), timedelta(hours=1)
OLD, YOUNG = NOW - RUNS_KEPT - HOUR, NOW - RUNS_KEPT + HOUR
STORED = "%Y-%m-%d %H:%M:%S.%f"
"""How Prefect writes a moment into SQLite."""
TABLES = (
    "flow_run",
    "flow_run_state",
    "task_run",
    "task_run_state",
    "log",
    "artifact",
    "artifact_collection",
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """Without what an earlier test of this process has set."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    workspace = Workspace(tmp_path / "workspace")
    prefect_environment(workspace)
    yield workspace
    os.environ.clear()
    os.environ.update(before)


def ask(url: str, query: Any) -> Any:
    """What it answers; a server that is only just up says 503 at times."""
    answer: list[Any] = []

    def asked() -> bool:
        with suppress(OSError):
            answer.append(answering.ask(url, query))
        return bool(answer)

    assert eventually(asked), url
    return answer[0]


def recorded(api: str, name: str, *, began: bool = True) -> None:
    """A retrain that has ended, with a task, a log and an artifact; or one that another stood for."""
    flow = ask(f"{api}/flows/", {"name": "retrain"})["id"]
    run = ask(f"{api}/flow_runs/", {"flow_id": flow, "name": name, "state": {"type": "SCHEDULED"}})["id"]
    if began:
        ask(f"{api}/flow_runs/{run}/set_state", {"state": {"type": "RUNNING"}, "force": True})
        task = {"flow_run_id": run, "task_key": "t", "dynamic_key": name, "state": {"type": "COMPLETED"}}
        made = ask(f"{api}/task_runs/", task)["id"]
        ask(f"{api}/artifacts/", {"key": name, "data": "x", "flow_run_id": run, "task_run_id": made})
        said = {"name": "l", "level": 20, "message": "m", "timestamp": NOW.isoformat(), "flow_run_id": run}
        ask(f"{api}/logs/", [said])
    ended = {"type": "COMPLETED" if began else "CANCELLED"}
    ask(f"{api}/flow_runs/{run}/set_state", {"state": ended, "force": True})


def happened(api: str, name: str, moment: datetime) -> None:
    """An event of then."""
    event = {"id": str(uuid4()), "event": name, "occurred": moment.isoformat(), "related": []}
    ask(f"{api}/events", [event | {"resource": {"prefect.resource.id": "genflows.workspace.toy"}}])


@contextmanager
def opened(workspace: Workspace) -> Iterator[sqlite3.Connection]:
    """The server's database."""
    path = workspace.private / "prefect" / "prefect.db"
    with closing(sqlite3.connect(path, timeout=60)) as database, database:
        yield database


def rows(workspace: Workspace) -> dict[str, int]:
    """How many each table holds."""
    with opened(workspace) as database:
        return {table: database.execute(f"select count(*) from {table}").fetchone()[0] for table in TABLES}  # noqa: S608


def found(workspace: Workspace, query: str) -> set[str]:
    """The names that it gives."""
    with opened(workspace) as database:
        return {name for (name,) in database.execute(query)}


@pytest.mark.long
def test_what_is_old_goes_and_all_that_belonged_to_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    # What remains of artifacts is looked for once a day, and before the first runs have gone.
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_ORPHAN_CLEANUP_LOOP_SECONDS", "5")
    events = "select event from events where event like 'genflows.%'"
    with prefect_server(workspace) as server:  # one that does not look back
        server.wait()
        happened(server.url, "genflows.old", NOW - EVENTS_KEPT - HOUR)
        happened(server.url, "genflows.young", NOW - EVENTS_KEPT + HOUR)
        recorded(server.url, "young")
        young = rows(workspace)
        recorded(server.url, "old")
        recorded(server.url, "stood-for", began=False)
        assert eventually(lambda: found(workspace, events) == {"genflows.old", "genflows.young"})
    assert young["task_run"] == young["log"] == young["artifact"] == young["artifact_collection"] == 1
    with opened(workspace) as database:
        for name, ended in (("young", YOUNG), ("old", OLD), ("stood-for", OLD)):
            changed = database.execute("update flow_run set end_time = ? where name = ?", (f"{ended:{STORED}}", name))
            assert changed.rowcount == 1
    with prefect_server(workspace, schedules=True) as server:
        server.wait()
        assert eventually(lambda: rows(workspace) == young), (rows(workspace), young)
        assert found(workspace, "select name from flow_run") == {"young"}
        assert eventually(lambda: found(workspace, events) == {"genflows.young"})


def test_what_the_user_has_set_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "P7D")
    kept = vacuuming()
    assert kept["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] == "P7D"
    assert kept["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == str(30 * 24 * 3600)
