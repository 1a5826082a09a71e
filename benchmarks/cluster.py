"""A Dask cluster of real processes on loopback."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Cluster:
    """A scheduler, and those who work for it."""

    address: str
    environment: dict[str, str]
    processes: list["subprocess.Popen[bytes]"]
    """The scheduler, then its workers."""

    def listens(self) -> bool:
        """Whether its scheduler does."""
        host, port = self.address.removeprefix("tcp://").split(":")
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
            return True
        return False

    def start(self, *arguments: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Let a module run as one of its processes."""
        command = [sys.executable, "-m", *arguments]
        process = subprocess.Popen(
            command, env=self.environment | (environment or {}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.processes.append(process)
        return process

    def worker(self, environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """A worker of one thread, without a nanny that would start it anew."""
        options: Sequence[str] = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        return self.start("distributed.cli.dask_worker", self.address, *options, environment=environment)


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A scheduler on loopback with so many workers."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DASK_TEMPORARY_DIRECTORY": str(folder)}
    here = Cluster(f"tcp://127.0.0.1:{port}", environment, [])
    options = ("--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    try:
        here.start("distributed.cli.dask_scheduler", *options)
        for _ in range(workers):
            here.worker()
        yield here
    finally:
        for process in here.processes:
            process.kill()
            process.wait()
