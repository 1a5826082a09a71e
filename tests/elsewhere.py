"""Servers of a test's own, on the loopback, where files lie: OpenSSH's, and one that speaks S3."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fsspec

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
ACCESS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "of-a-test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Store:
    """A place for files, and how to reach it."""

    url: str
    system: Any
    """fsspec's view of it."""
    root: str
    """Where it begins there."""
    remote: Mapping[str, str] = field(default_factory=dict)
    """Settings of a DVC remote there."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def named(self, content: bytes) -> str:
        """The one file with this content."""
        (found,) = [name for name in self.system.find(self.root) if self.system.cat_file(name) == content]
        return str(found)


def missing(kind: str) -> str | None:
    """What it takes that is not here; None where all is."""
    programs = {"ssh": [("OpenSSH's server", SSHD), ("the extra `ssh`", find_spec("dvc_ssh"))]}
    programs["s3"] = [("the extra `s3`", find_spec("dvc_s3")), ("the package moto[server]", find_spec("moto"))]
    return next((f"needs {what}" for what, found in programs[kind] if not found), None)


@contextmanager
def store(kind: str, folder: Path) -> Iterator[Store]:
    """A server for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    command, made = (_ssh if kind == "ssh" else _s3)(folder, port)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while not _answers(port):
                assert process.poll() is None
                time.sleep(0.1)
            if kind == "s3":
                made.system.mkdir(made.root.partition("/")[0])
            yield made
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def _ssh(folder: Path, port: int) -> tuple[list[str], Store]:
    """Keys of its own, nobody's password, and files alone."""
    assert SSHD
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "key.pub",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "Subsystem": "sftp internal-sftp",
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    root = folder / "store"
    root.mkdir()
    remote = {"port": str(port), "user": getpass.getuser(), "keyfile": str(folder / "key")}
    made = Store(f"ssh://127.0.0.1{root}", fsspec.filesystem("file"), str(root), remote)
    return [SSHD, "-D", "-e", "-f", str(folder / "config")], made


def _s3(_: Path, port: int) -> tuple[list[str], Store]:
    url = f"http://127.0.0.1:{port}"
    access = {"key": ACCESS["AWS_ACCESS_KEY_ID"], "secret": ACCESS["AWS_SECRET_ACCESS_KEY"], "endpoint_url": url}
    system = fsspec.filesystem("s3", **access, skip_instance_cache=True, use_listings_cache=False)
    environment = ACCESS | {"AWS_ENDPOINT_URL": url, "MLFLOW_S3_ENDPOINT_URL": url}
    made = Store("s3://bucket/store", system, "bucket/store", {"endpointurl": url}, environment)
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], made
