"""The command in this process, and one Prefect server for all tests that drive a flow: both take long to start."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import cli
from flows.environment import prefect_environment
from flows.server import prefect_server
from gen.workspace import Workspace


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server, as PREFECT_API_URL wants it."""
    workspace = Workspace(tmp_path_factory.mktemp("prefect"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        prefect_environment(workspace)
        with prefect_server(workspace) as server:
            server.wait()
            yield server.url


@pytest.fixture
def prefect(prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """This test's flows, in this process and in those it starts, use that server."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    return prefect_url


class Here:
    """The command in this process: what it needs to import is imported once for all tests."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.patch = patch
        self.capture = capture

    def __call__(self, place: Workspace | Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run it in a workspace (or any folder)."""
        self.patch.chdir(place.root if isinstance(place, Workspace) else place)
        self.patch.setattr(sys, "argv", ["genflows", *arguments])
        self.patch.setenv("COLUMNS", "80")
        self.capture.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = self.capture.readouterr()
        return subprocess.CompletedProcess(arguments, int(left.value.code or 0), out, err)

    def done(self, place: Workspace | Path, *arguments: str) -> str:
        """Run it and return what it printed; it has to succeed."""
        ended = self(place, *arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(monkeypatch, capsys)
