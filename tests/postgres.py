"""A PostgreSQL server of a test's own: from Debian's package, on the loopback, gone with the test."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

OWNER = "genflows"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs: Debian keeps them off the path, one folder a version."""
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    return next(
        (path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)), None
    )


@dataclass
class Postgres:
    """A server, and how to reach it."""

    folder: Path
    port: int
    password: str
    user: str | None
    """Who runs it: it refuses to be root."""
    process: "subprocess.Popen[bytes] | None" = None

    def url(self, database: str, driver: str = "postgresql", password: str | None = None) -> str:
        """The address of a database, with its password."""
        secret = quote(self.password if password is None else password, safe="")
        return f"{driver}://{OWNER}:{secret}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> None:
        """A new, empty database."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {database}"))
        engine.dispose()

    def engine(self, database: str) -> Engine:
        """A connection for the test itself."""
        return create_engine(self.url(database), poolclass=NullPool)

    def start(self) -> None:
        """Let it run, and return when it answers."""
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [_program("postgres"), "-D", self.folder / "data", *options],
                stdout=log, stderr=log, user=self.user, cwd=self.folder,
            )  # fmt: skip
        engine = self.engine("postgres")
        for _ in range(300):
            with suppress(OperationalError), engine.connect():
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """End it at once, with all who are connected: nobody needs it again."""
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(timeout=60)
            self.process = None


@contextmanager
def running() -> Iterator[Postgres]:
    """A server that has just been set up. Skips the test where PostgreSQL is not installed."""
    if programs() is None:
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    user = _who()
    # Not below pytest's own folder: nobody else may enter that.
    folder = Path(tempfile.mkdtemp(prefix="genflows-postgres-"))
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            server = Postgres(folder, free.getsockname()[1], f"{secrets.token_hex(8)}/:%", user)
        secret = folder / "password"
        secret.write_text(server.password)
        if user:
            for path in (folder, secret):
                shutil.chown(path, user)
        subprocess.run(
            [_program("initdb"), "-D", folder / "data", "-U", OWNER, "--auth=scram-sha-256",
             f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--no-sync"],
            user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> Path:
    folder = programs()
    assert folder
    return folder / name


def _who() -> str | None:
    """Another user, where this one is root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
