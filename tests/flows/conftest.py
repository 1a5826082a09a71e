"""One Prefect server for all tests that drive a flow: it takes longer to start than they take to run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
