"""What a schedule needs to run: the Prefect server, the MLflow server, and the process that serves the flow."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from flows import logs, notices, server, standing
from flows.answering import answers
from flows.environment import child_environment, prefect_environment
from flows.mlflow_ui import LOOPBACK
from flows.supervisor import Kept, Looked, Process
from flows.when import When
from gen import files, orphan
from gen.tracking.environment import without_secrets
from gen.workspace import Workspace

PREFECT = "Prefect server"
MLFLOW = "MLflow server"
SCHEDULE = "schedule"
"""The process that serves the flow."""
LEAVING = 60.0
"""Seconds that a retrain has to leave in, before its process is ended."""


@dataclass(frozen=True)
class Options:
    """What to bring up."""

    when: When
    prefect_port: int
    mlflow_port: int
    notify: str | None
    """A secret, often: it is handed on in the environment alone."""

    def shown(self) -> dict[str, str]:
        """What makes two calls the same, by the option or variable that says it; of a secret a digest."""
        ours = self.when.options
        ours |= _named("PREFECT_API_URL", prefect_elsewhere()) or {"--prefect-port": str(self.prefect_port)}
        ours |= _named("MLFLOW_TRACKING_URI", mlflow_elsewhere()) or {"--mlflow-port": str(self.mlflow_port)}
        return ours | ({"--notify": files.sha256(self.notify.encode())[:12]} if self.notify else {})


def build(workspace: Workspace, options: Options, sockets: contextlib.ExitStack) -> Sequence[Looked]:
    """What is to run, in the order in which it starts."""
    prefect_environment(workspace)
    if options.notify:
        os.environ[notices.ADDRESS] = options.notify
    api = prefect_elsewhere()
    if api:
        first = _elsewhere(PREFECT, api)
    else:
        # It stays open when the server dies: who asks meanwhile waits for the next one, instead of being refused.
        bound = sockets.enter_context(socket.create_server((LOOPBACK, options.prefect_port)))
        first = _prefect(workspace, bound)
        api = server.address(bound)
    return (first, _mlflow(workspace, options.mlflow_port), _schedule(workspace, options.when, api))


def _elsewhere(name: str, url: str) -> Looked:
    shown = without_secrets(url).rstrip("/").removesuffix("/api")
    return Looked(name, shown, lambda: answers(f"{url.rstrip('/')}/health"))


def _prefect(workspace: Workspace, bound: socket.socket) -> Looked:
    url = server.address(bound)

    def launch(output: BinaryIO) -> Process:
        return server.launch(workspace, bound, output, schedules=True)

    log = logs.folder(workspace) / "prefect-server.log"
    return Kept(PREFECT, url.removesuffix("/api"), log, launch, lambda _: answers(f"{url}/health"))


def _mlflow(workspace: Workspace, port: int) -> Looked:
    elsewhere = mlflow_elsewhere()
    if elsewhere:
        return _elsewhere(MLFLOW, elsewhere)
    url = f"http://{LOOPBACK}:{port}"

    def launch(output: BinaryIO) -> Process:
        return _command(workspace, output, {}, "ui", "--port", str(port))

    return Kept(MLFLOW, url, logs.folder(workspace) / "mlflow-server.log", launch, lambda _: answers(f"{url}/health"))


def _schedule(workspace: Workspace, when: When, api: str) -> Kept:
    said = workspace.private / standing.SCHEDULE

    def launch(output: BinaryIO) -> Process:
        return _command(workspace, output, {"PREFECT_API_URL": api}, "schedule", *when.arguments)

    def serves(process: Process) -> bool:
        """Whether Prefect knows the schedule by now; from then on it is well while it lives."""
        return said.exists() and said.read_text() == orphan.named(process.pid)

    return Kept(SCHEDULE, None, logs.folder(workspace) / "schedule.log", launch, serves, patience=LEAVING)


def _command(workspace: Workspace, output: BinaryIO, environment: dict[str, str], *arguments: str) -> Process:
    """Another command of this program; it watches this process, and ends with it."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=workspace.root,
        env=child_environment(workspace) | environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        process_group=0,  # Ctrl-C is the supervisor's to hear
    )


def prefect_elsewhere() -> str | None:
    """The server that PREFECT_API_URL names, if any."""
    return os.environ.get("PREFECT_API_URL") or None


def mlflow_elsewhere() -> str | None:
    """The server that MLFLOW_TRACKING_URI names; a database named so is served here."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return uri if uri.startswith(("http://", "https://")) else None


def _named(name: str, url: str | None) -> dict[str, str]:
    return {name: without_secrets(url)} if url else {}
