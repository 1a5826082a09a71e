"""MLflow's own pages, served to this machine alone."""

import contextlib
import os
import runpy
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from gen import orphan
from gen.errors import UserError
from gen.workspace import Workspace

LOOPBACK = "127.0.0.1"
PATIENCE = 5
"""Seconds that the server has to answer what it has begun."""


def serve(workspace: Workspace, port: int) -> None:
    """Serve the workspace's MLflow until Ctrl-C. Raises UserError when the port is taken or MLflow does not start."""
    orphan.watch()
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from gen.tracking.store import ARTIFACTS, connect

    store = connect(workspace)
    uri = store.uri
    if uri.startswith(("http://", "https://")):
        print(f"MLFLOW_TRACKING_URI names a server, which has pages of its own: {store.place}")
        return
    if not free(port):
        raise UserError(f"Port {port} is in use. Try another: `genflows ui --port {port + 1}`.")
    print(f"MLflow: http://{LOOPBACK}:{port} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "flows.mlflow_ui", "server"]
    command += ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    artifacts = (workspace.private.resolve() / "artifacts").as_uri()
    command += ["--artifacts-destination", os.environ.get(ARTIFACTS) or artifacts]
    # Pages of other origins must not reach it through the browser (DNS rebinding).
    command += ["--allowed-hosts", f"{LOOPBACK}:{port},localhost:{port}"]
    # Asked to end by whatever means, it ends its server too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with subprocess.Popen(command, env=_environment(uri), process_group=0) as server:  # noqa: S603
        try:
            code = server.wait()
        except KeyboardInterrupt:
            print("\nEnded.")
            return
        finally:
            _end(server)
    raise UserError(f"MLflow left with {code}; what it said stands above. `genflows doctor` checks its database.")


def _environment(uri: str) -> dict[str, str]:
    """This one's, in which MLflow's process finds this code and its database, and knows whom to leave with."""
    code = [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {
        "MLFLOW_UVICORN_OPTS": "--no-access-log",  # `genflows up` asks every few seconds, for months
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven processes that look for jobs, of which none is made here
    }
    # Not among the arguments, which every user of the machine can read: the address may hold a password.
    named = {"MLFLOW_BACKEND_STORE_URI": uri, "PYTHONPATH": os.pathsep.join(code)}
    return {**quiet, **os.environ, **named, orphan.DRIVER: orphan.this_process()}


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End the server with its workers: they are one process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=PATIENCE)


def free(port: int) -> bool:
    """Whether nothing listens on this port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def main() -> None:
    """MLflow's own command, whose server and workers leave with whoever started it, however that ended."""

    def leave(*_: Any) -> None:
        # The group is its own: `serve` starts it so.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
        signal.alarm(PATIENCE)
        os.killpg(0, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            os.wait()
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    orphan.watch()
    runpy.run_module("mlflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
