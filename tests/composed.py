"""compose.yaml as Docker Compose reads it, and its services run without Docker: one network, names of loopback."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from tests.conftest import ROOT
from tests.containers import Image

PATIENCE = 240.0
"""Seconds that a service may take to be well."""


def services(given: Mapping[str, str]) -> dict[str, Any]:
    """What compose.yaml says of each service, with variables put in as Compose does."""
    return dict(yaml.safe_load(interpolated((ROOT / "compose.yaml").read_text(), given))["services"])


def interpolated(text: str, given: Mapping[str, str]) -> str:
    """`${NAME:-default}` and `${NAME:?why}` replaced; KeyError for one of the latter that is not given."""
    return re.sub(
        r"\$\{(\w+)(?::([-?])([^}]*))?\}",
        lambda found: given.get(found[1], found[3]) if found[2] == "-" else given[found[1]],
        text,
    )


class Composed:
    """Services of compose.yaml in one network that leads nowhere."""

    def __init__(self, image: Image, network: int, given: Mapping[str, str], volumes: Mapping[str, Path]) -> None:
        self.image, self.network, self.services, self.volumes = image, network, services(given), volumes

    @contextmanager
    def up(self, name: str) -> "Iterator[subprocess.Popen[str]]":
        """The service, well, for as long as the block lasts."""
        # Into a file: who writes into a pipe that nobody empties stands still after 64 KiB.
        with self.log(name).open("w") as output:
            process = self.start(name, output=output)
        try:
            self._wait(name, process)
            yield process
        finally:
            process.kill()  # unshare, which lets nothing else through to what it runs, and takes that along
            process.wait()

    def log(self, name: str) -> Path:
        """The file that holds what a service says."""
        return self.image.engine.folder / f"{name}.log"

    def start(self, name: str, *command: str, output: "int | IO[str]" = subprocess.PIPE) -> "subprocess.Popen[str]":
        """The service's command, or another one in its place."""
        service = self.services[name]
        mounted = dict(volume.split(":")[:2] for volume in service.get("volumes", ()))
        return self.image.start(
            self.network,
            {self.volumes[volume]: where for volume, where in mounted.items()},
            list(command) or service["command"],
            {key: str(value) for key, value in service["environment"].items() if value is not None},
            service.get("working_dir"),
            output,
        )

    def _wait(self, name: str, process: "subprocess.Popen[str]") -> None:
        """Ask as its health check does. Raises AssertionError when it ends, or is not well in time."""
        deadline = time.monotonic() + PATIENCE
        check = self.services[name]["healthcheck"]["test"][1:]
        while time.monotonic() < deadline and process.poll() is None:
            asked = self.image.start(self.network, {}, check)
            asked.communicate()
            if asked.returncode == 0:
                return
            time.sleep(1)
        process.terminate()
        raise AssertionError(f"{name} is not well: {self.log(name).read_text()[-4000:]}")


def programs() -> Path | None:
    """The folder of PostgreSQL's programs: Debian keeps them off the path, one folder a version."""
    return next(
        (path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)), None
    )


@contextmanager
def postgresql(network: int, folder: Path, password: str) -> Iterator[None]:
    """The service `database`, by Debian's programs: the user and the databases that compose.yaml speaks of."""
    binaries = programs()
    assert binaries
    folder.mkdir()
    (folder / "password").write_text(password)
    subprocess.run(["chown", "-R", "postgres", folder], check=True)
    data = folder / "data"
    there = ["nsenter", f"--net=/proc/{network}/ns/net", "setpriv", "--reuid=postgres", "--clear-groups", "env"]
    there += ["-C", str(folder), f"PGPASSWORD={password}"]
    made = ["--username=genflows", f"--pwfile={folder / 'password'}", "--auth=scram-sha-256"]
    subprocess.run([*there, binaries / "initdb", *made, data], check=True, stdout=subprocess.DEVNULL)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*there, binaries / "postgres", "-D", data, "-k", folder], stdout=log, stderr=log)
    client = [*there, binaries / "psql", "--host=127.0.0.1", "--username=genflows", "--quiet"]
    try:
        while subprocess.run(
            [*there, binaries / "pg_isready", "-h", "127.0.0.1", "-U", "genflows", "-d", "postgres"],
            stdout=subprocess.DEVNULL,
        ).returncode:
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.2)
        subprocess.run([*client, "postgres", "--command=CREATE DATABASE prefect"], check=True)
        with (ROOT / "deploy" / "databases.sql").open() as statements:
            subprocess.run([*client, "prefect"], stdin=statements, check=True)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for whoever is still connected
        server.wait()
