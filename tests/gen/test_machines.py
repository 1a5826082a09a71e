"""Two machines, which here are two folders with loopback between them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gen import files
from gen.errors import BadParamsError, LeftError, UserError
from gen.machines import Machines, lead
from gen.workspace import Workspace
from tests.conftest import ROOT
from tests.gen import test_parallel

START = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> START:
    """Starts a step as one of two machines."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = str(bound.getsockname()[1])
    met = {"PET_NNODES": "2", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}

    def started(this: int, *step: str, folder: Path = tmp_path) -> "subprocess.Popen[str]":
        environment = os.environ | met | {"PET_NODE_RANK": str(this), "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, "-m", "gen", *step],
            cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return started


@pytest.mark.long
def test_they_train_what_processes_of_one_machine_do(start: START, tmp_path: Path) -> None:
    alone, together = (test_parallel.workspace(tmp_path / name) for name in ("alone", "together"))
    test_parallel.finished(alone.root)
    # It waits for somebody who leads, twice, and is told where and what.
    helper = start(1, "join")
    for _ in range(2):
        leader = start(0, "train", "vae", folder=together.root)
        said, _ = leader.communicate()
        assert leader.returncode == 0, said
        assert made(together) == made(alone)
        (together.train("vae") / "model.safetensors").unlink()
    helper.send_signal(signal.SIGTERM)
    said, _ = helper.communicate()
    assert helper.returncode == 0
    assert said.splitlines() == ["train vae: joins in", "train vae: ended with 0"] * 2


def made(workspace: Workspace) -> dict[str, Any]:
    return files.contents(workspace.train("vae"))


@pytest.mark.long
def test_one_that_leaves_makes_the_other_keep_what_there_is(start: START, tmp_path: Path) -> None:
    workspace = test_parallel.workspace(tmp_path / "long", test_parallel.LONG)
    helper, leader = start(1, "join"), start(0, "train", "vae", folder=workspace.root)
    while len(kept := checkpoints(workspace)) < 2:
        assert leader.poll() is None, leader.communicate()[0]
        time.sleep(0.1)
    helper.send_signal(signal.SIGTERM)
    said, _ = leader.communicate()
    assert leader.returncode == LeftError.exit_code, said
    assert helper.communicate()[0].splitlines()[0] == "train vae: joins in"
    assert helper.returncode == 0
    assert checkpoints(workspace)[-1] > kept[-1], "it has kept more since"


def checkpoints(workspace: Workspace) -> list[str]:
    """Those that are kept; their names begin with how many images had been seen."""
    found = (workspace.private / "checkpoints").glob("vae-*/[0-9]*/manifest.json")
    return sorted(path.parent.name for path in found)


WHOLE = {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": "1"}


@pytest.mark.parametrize(
    "change", [{"PET_NNODES": "1:2"}, {"PET_NODE_RANK": "2"}, {"PET_MASTER_ADDR": ""}, {"PET_MASTER_PORT": ""}]
)
def test_what_does_not_name_machines_is_told(change: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (WHOLE | change).items():
        monkeypatch.setenv(name, value)
    ((name, value),) = change.items()
    with pytest.raises(BadParamsError, match=f"{name}={value}.*Set all four, on each machine"):
        Machines.told()


def test_what_cannot_be_shared_out_or_led_is_told() -> None:
    with pytest.raises(BadParamsError, match="3 processes cannot be shared out among 2 machines"):
        lead(Machines(2, 0, "127.0.0.1", 1), ["train", "vae"], 3, lambda: False)
    with pytest.raises(UserError, match="does not lead"):
        lead(Machines(2, 1, "127.0.0.1", 1), ["train", "vae"], 4, lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="cannot be listened at"):
        lead(Machines(2, 0, "127.0.0.1", taken.getsockname()[1]), ["train", "vae"], 4, lambda: False)
