"""What the tools that drive the pipeline read from the environment: quiet, private, no telemetry."""

import os
import sys
from datetime import timedelta
from pathlib import Path

from gen import databases, orphan
from gen.errors import UserError
from gen.workspace import Workspace

RUNS_KEPT = timedelta(days=30)
"""How long Prefect knows a retrain after its end, with its tasks, logs and artifacts."""
EVENTS_KEPT = timedelta(days=3)
"""The same of what it was told of each step of theirs; automations look back a quarter of an hour."""


def prefect_environment(workspace: Workspace) -> None:
    """Set, before Prefect is imported, what it reads then. What the user has set wins.

    Its records go under .genflows/. The console shows the flow's own plain lines; Prefect's, tracebacks among them,
    go to its server alone (PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL=INFO shows them).
    """
    workspace.private.mkdir(parents=True, exist_ok=True)  # Prefect makes its own folder, and none above it
    for name, value in {
        "PREFECT_HOME": str(workspace.private / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "DO_NOT_TRACK": "true",
    }.items():
        os.environ.setdefault(name, value)


def vacuuming() -> dict[str, str]:
    """What keeps the database of a Prefect server from growing for ever. What the user has set wins.

    Of itself a server deletes events alone: flow runs, their tasks, logs and artifacts stay.
    """
    ours = {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # and with the latter what they leave behind
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": f"{RUNS_KEPT.total_seconds():.0f}",
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{EVENTS_KEPT.days}D",  # of seconds it takes a number alone
    }
    return {name: os.environ.get(name, value) for name, value in ours.items()}


def prefect_database() -> tuple[str, str] | None:
    """The variable that names the database of Prefect's servers, and what it says; None for the workspace's own."""
    for variable in ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL"):
        if address := os.environ.get(variable):
            return variable, address
    return None


def check_prefect_database() -> None:
    """Raise UserError where a server that is started here could not use the database that is named for it."""
    named = prefect_database()
    if named is None or not databases.is_database(named[1]):
        return
    variable, address = named
    if not address.startswith(f"{databases.ASYNCHRONOUS}:"):
        raise UserError(f"{variable} has to begin with {databases.ASYNCHRONOUS}://, for Prefect uses no other driver.")
    databases.check(address, variable)


def child_environment(workspace: Workspace) -> dict[str, str]:
    """The environment of `dvc` and of the steps: this interpreter first, no telemetry, and who their driver is."""
    return {
        **os.environ,
        # Not resolved: in a virtual environment the interpreter is a link, and `python` is to be the one beside it.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "SHELL": "/bin/sh",
        "PYTHONUNBUFFERED": "1",
        "DO_NOT_TRACK": "true",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(site_cache(workspace)),
        orphan.DRIVER: orphan.this_process(),
    }


def site_cache(workspace: Workspace) -> Path:
    """Where DVC keeps what it could compute again; its own default is shared by all users of the machine."""
    return workspace.private / "dvc"
