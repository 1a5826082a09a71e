"""What the tools that drive the pipeline read from the environment: quiet, private, no telemetry."""

import os
import sys
from pathlib import Path

from gen import orphan
from gen.workspace import Workspace


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
