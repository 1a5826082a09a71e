"""Telling somebody who is not looking. Off unless GENFLOWS_NOTIFY is set."""

import json
import os
import socket
import urllib.request

from flows.outcome import Outcome
from gen.workspace import Workspace

ADDRESS = "GENFLOWS_NOTIFY"
"""Environment variable: a webhook's URL, or a Prefect block such as `slack-webhook/NAME`.

Not a flow's parameter: a webhook's URL is a secret, and parameters are stored and shown by Prefect."""


def text(workspace: Workspace, outcome: Outcome) -> str | None:
    """What to say of a retrain; None where nobody needs to look."""
    if outcome.stopped or not (outcome.failed or outcome.undecided):
        return None
    return _about(workspace, "failed" if outcome.failed else "is undecided", outcome.summary)


def failure(workspace: Workspace, reason: str) -> str:
    """What to say of a retrain that could not even begin."""
    return _about(workspace, "failed", reason)


def _about(workspace: Workspace, what: str, why: str) -> str:
    return f"Retrain of {workspace.root.name} on {socket.gethostname()} {what}: {why}"


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
