"""A Prefect server on loopback that lives as long as the process that needs it.

Prefect's own ephemeral server runs no schedules, and outlives a process that is killed.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flows import logs
from flows.answering import answers
from flows.environment import check_prefect_database, child_environment, vacuuming
from gen.errors import UserError
from gen.workspace import Workspace

PATIENCE = 120.0
"""Seconds that a server may take to start: a new database takes ten, on a slow disk a minute."""


@dataclass(frozen=True)
class Server:
    """A server that has been started, or the one that PREFECT_API_URL names."""

    url: str
    log: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None

    def wait(self) -> None:
        """Return when it answers. Raises UserError when it does not."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not self.dead:
            if answers(f"{self.url}/health"):
                return
            time.sleep(0.1)
        raise UserError(f"The Prefect server at {self.url} does not answer. {self._advice()}")

    @property
    def dead(self) -> bool:
        """Whether it is ours and has ended."""
        return self.process is not None and self.process.poll() is not None

    def _advice(self) -> str:
        if self.log:
            return f"See why in {self.log}, and check the machine with `genflows doctor`."
        return "Start it, or unset PREFECT_API_URL to have one started here."


@contextlib.contextmanager
def prefect_server(workspace: Workspace, *, schedules: bool = False) -> Iterator[Server]:
    """A server for as long as the block lasts: PREFECT_API_URL's, or one of our own; `wait` before using it.

    It starts while the block goes on. Only with `schedules` does it run the services that start scheduled flows.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        yield Server(url)
        return
    check_prefect_database()
    log = logs.folder(workspace) / "prefect-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    logs.bound(workspace)
    # The server inherits the bound socket: between choosing a port and taking it nobody can come first.
    with socket.create_server(("127.0.0.1", 0)) as bound, log.open("ab") as output:
        process = launch(workspace, bound, output, schedules=schedules)
        url = address(bound)
    with process:
        try:
            yield Server(url, log, process)
        finally:
            stop(process)


def launch(
    workspace: Workspace, bound: socket.socket, output: BinaryIO, *, schedules: bool
) -> "subprocess.Popen[bytes]":
    """Start a server on a socket that listens already; it ends when this process does."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "flows.server", str(bound.fileno())],
        cwd=Path(__file__).parent.parent,
        env=_server_environment(workspace, address(bound), schedules),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=[bound.fileno()],
        process_group=0,  # Ctrl-C is ours to hear: the flow's last words still need the server
    )


def address(bound: socket.socket) -> str:
    """What PREFECT_API_URL is for a server on this socket."""
    return f"http://127.0.0.1:{bound.getsockname()[1]}/api"


def stop(process: "subprocess.Popen[bytes]", patience: float = 10.0) -> None:
    """End a process: SIGTERM, and SIGKILL when it runs on for `patience` seconds."""
    process.terminate()
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _server_environment(workspace: Workspace, url: str, schedules: bool) -> dict[str, str]:
    ephemeral = {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT_UI_ENABLED": "false"}
    # One that lives as long as a retrain has no time to look through the database.
    mode = {"PREFECT_UI_API_URL": url, **vacuuming()} if schedules else ephemeral
    return {**child_environment(workspace), "PREFECT__SERVER_FINAL": "1", **mode}


def main(descriptor: int) -> None:
    """Serve on a socket that was inherited, until SIGTERM or until the process that started this one is gone."""
    from gen import orphan

    orphan.watch()
    import uvicorn

    uvicorn.run("prefect.server.api.server:create_app", factory=True, fd=descriptor, log_level="error", lifespan="on")


if __name__ == "__main__":
    main(int(sys.argv[1]))
