"""`genflows migrate`: what the workspace's own databases hold, brought into those that the environment names."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from flows import copying, stages, standing
from flows.environment import check_prefect_database, child_environment, prefect_database, prefect_environment
from flows.stages import Say
from gen import databases
from gen.errors import BadParamsError, BusyError, UserError
from gen.tracking.environment import mlflow_environment, without_secrets
from gen.workspace import Workspace

MLFLOW = "MLFLOW_TRACKING_URI"
PREFECT = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
SERVED = "mlflow-artifacts:"
"""How MLflow names artifacts that go through its server."""


@dataclass(frozen=True)
class _Move:
    """One database to bring over."""

    name: str
    source: Path
    address: str
    """A secret: it may hold a password."""
    bring_up_to_date: Callable[[str], None]
    """Makes the program's own tables in a database, or changes them to what it wants now."""
    driver: str
    """The one for SQLite that the program uses."""
    change: copying.Change = str


def migrate(workspace: Workspace, *, served: bool = False, say: Say = print) -> None:
    """Copy MLflow's and Prefect's rows to PostgreSQL, each where a variable names one; the sources stay as they are.

    With `served` the addresses of MLflow's artifacts become those of its server. Done before, it says so. Raises
    UserError where a database cannot be used, or holds other rows, and BusyError while something works here.
    """
    prefect_environment(workspace)
    mlflow_environment()
    if standing.held(workspace):
        raise BusyError("The schedule and its servers are up here. End them with `genflows down`, then migrate.")
    standing.check_unscheduled(workspace)
    with stages.exclusive(workspace):
        for move in _moves(workspace, served=served):
            if move.source.exists():
                say(_carry_out(workspace, move))
            else:
                say(f"{move.name}: the workspace has no database of its own, so there is nothing to bring over.")


def _moves(workspace: Workspace, *, served: bool) -> list[_Move]:
    """What is asked for; all targets can be logged in to."""
    moves = []
    mlflow, prefect = os.environ.get(MLFLOW, ""), prefect_database()
    if databases.is_database(mlflow):
        databases.check(mlflow, MLFLOW)
        from gen.tracking.schema import bring_up_to_date, forget_the_unused

        def prepare(address: str) -> None:
            bring_up_to_date(address)
            if address == mlflow:
                forget_the_unused(address)

        change = _served(workspace) if served else str
        moves.append(_Move("MLflow", workspace.private / "mlflow.db", mlflow, prepare, "sqlite", change))
    if prefect and databases.is_database(prefect[1]):
        check_prefect_database()

        def upgrade(address: str) -> None:
            _upgrade_prefect(workspace, address)

        source = Path(os.environ["PREFECT_HOME"]) / "prefect.db"
        moves.append(_Move("Prefect", source, prefect[1], upgrade, "sqlite+aiosqlite"))
    if not moves:
        raise BadParamsError(
            f"No PostgreSQL database is named. Set {MLFLOW} (postgresql://USER:PASSWORD@HOST/DATABASE) or {PREFECT[1]} "
            f"({databases.ASYNCHRONOUS}://...) or both, and run the command again."
        )
    return moves


def _carry_out(workspace: Workspace, move: _Move) -> str:
    """Copy one database, and return what became of it in a line."""
    from sqlalchemy import NullPool, create_engine, make_url

    shown = databases.shown(move.address)
    # One driver for both: rows are sent as it takes them. It calls one option of Prefect's otherwise.
    url = make_url(move.address)
    options = {"sslmode" if name == "ssl" else name: value for name, value in url.query.items()}
    target = url.set(drivername="postgresql+psycopg2", query=options)
    databases.check(target.render_as_string(hide_password=False), MLFLOW if move.name == "MLflow" else PREFECT[1])
    with tempfile.TemporaryDirectory(dir=workspace.private) as place:
        snapshot = Path(place) / "snapshot.db"
        # Read only: another connection would write into it what Prefect has left in its log beside it.
        live_address = f"{move.source.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(live_address, uri=True)) as live, closing(sqlite3.connect(snapshot)) as copy:
            live.backup(copy)
        # Both by the same version of the program, so that the tables are the same.
        move.bring_up_to_date(f"{move.driver}:///{snapshot}")
        move.bring_up_to_date(move.address)
        try:
            copied = copying.copy(snapshot, create_engine(target, poolclass=NullPool), move.change)
        except UserError as error:
            raise UserError(f"{move.name} was not migrated to {shown}. {error}") from None
    what = f"{copied.rows:,} rows in {copied.tables} tables"
    if copied.before:
        return f"{move.name}: {shown} holds all {what} already."
    return f"{move.name}: {what} copied to {shown} and compared: equal. {move.source} stays as it was."


def _upgrade_prefect(workspace: Workspace, address: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env=child_environment(workspace) | dict.fromkeys(PREFECT, address),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise UserError(f"Prefect could not make its tables: {without_secrets(said[-1].strip())}")


def _served(workspace: Workspace) -> copying.Change:
    """Names what lies in the workspace's folder of artifacts as the server names it."""
    old = (workspace.private.resolve() / "artifacts").as_uri()

    def change(value: str) -> str:
        below = value == old or value.startswith(f"{old}/")
        return f"{SERVED}/{value.removeprefix(old).removeprefix('/')}" if below else value

    return change
