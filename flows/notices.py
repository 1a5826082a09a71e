"""Telling somebody who is not looking. Off unless GENFLOWS_NOTIFY is set."""

import json
import os
import socket
import urllib.request

from flows import delivery
from flows.outcome import Outcome
from gen.workspace import Workspace

ADDRESS = "GENFLOWS_NOTIFY"
"""Environment variable: a webhook's URL, or a Prefect block such as `slack-webhook/NAME`.

Not a flow's parameter: a webhook's URL is a secret, and parameters are stored and shown by Prefect."""


def text(workspace: Workspace, outcome: Outcome, saved: str | None = None) -> str | None:
    """What to say of a retrain, with the table of all models; None where nobody needs to look.

    `saved` is the name of the experiment that it was saved as.
    """
    if outcome.stopped or not (outcome.failed or outcome.undecided or outcome.promoted):
        return None
    what = "failed" if outcome.failed else "is undecided" if outcome.undecided else "promoted a new champion"
    report = workspace.home / workspace.report.name if saved is None else workspace.private / workspace.report.name
    links = [f"Report: {report}"] if report.exists() else []
    links += [f"Experiment: {saved}"] if saved else []
    return "\n\n".join([_about(workspace, what, outcome.summary), delivery.table(workspace), *links])


def failure(workspace: Workspace, reason: str) -> str:
    """What to say of a retrain that could not even begin."""
    return _about(workspace, "failed", reason)


def crash(workspace: Workspace, times: int) -> str:
    """What to say when retrains were killed, by the next one."""
    often = "the one before" if times == 1 else f"the last {times}"
    return _about(workspace, "goes on", f"{often} crashed (was killed, or its machine was), and left its checkpoints.")


def _about(workspace: Workspace, what: str, why: str) -> str:
    return f"Retrain of {workspace.home.name} on {socket.gethostname()} {what}: {why}"


def address() -> str | None:
    """Whom to tell."""
    return os.environ.get(ADDRESS) or None


def post(url: str, message: str) -> None:
    """Send `{"text": message}` to a webhook, as Slack, Mattermost and most others read it. Raises OSError."""
    request = urllib.request.Request(  # noqa: S310
        url, data=json.dumps({"text": message}).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass
