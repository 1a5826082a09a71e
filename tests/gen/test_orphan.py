"""Processes that really lose the one that started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gen import orphan
from tests.conftest import ROOT, environment
from tests.flows.toy import eventually, make_toy, processes

STEP = """
import sys, time
from pathlib import Path
from gen import orphan

orphan.watch()
Path("begun").touch()
while not Path("quick").exists():
    time.sleep(0.1)
Path("out").write_text("done")
"""
GRAPH = """\
stages:
  step:
    cmd: {cmd}
    outs:
      - out
"""
DRIVER = """
import sys
from pathlib import Path
from flows import stages
from flows.children import Stop
from gen.workspace import Workspace

workspace = Workspace(Path(sys.argv[1]))
stages.reproduce(workspace, stages.graph(workspace)["step"], Stop())
"""


def start(root: Path, *command: str) -> "subprocess.Popen[bytes]":
    """Start a command that reproduces the toy's only stage, and wait until the step is at work."""
    process = subprocess.Popen(command, cwd=root, env=environment(ROOT), start_new_session=True)
    assert eventually((root / "begun").exists)
    return process


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def toy(root: Path, cmd: str = "python step.py") -> Path:
    make_toy(root, GRAPH.format(cmd=cmd))
    (root / "step.py").write_text(STEP)
    return root


# The shell puts itself away for a single command, and stays for two.
@pytest.mark.parametrize("cmd", ["python step.py", "true && python step.py && true"])
def test_a_step_ends_when_dvc_is_killed_and_the_next_dvc_goes_on(tmp_path: Path, cmd: str) -> None:
    root = toy(tmp_path / "toy", cmd)
    dvc = [sys.executable, "-m", "dvc", "repro", "step"]
    kill(start(root, *dvc))
    assert eventually(lambda: not processes(root), seconds=10)
    (root / "quick").touch()
    assert subprocess.run(dvc, cwd=root, env=environment(ROOT), capture_output=True).returncode == 0
    assert (root / "out").read_text() == "done"


def test_dvc_and_step_end_when_the_flow_is_killed(tmp_path: Path) -> None:
    root = toy(tmp_path / "toy")
    kill(start(root, sys.executable, "-c", DRIVER, str(root)))
    assert eventually(lambda: not processes(root), seconds=10)
    (root / "quick").touch()
    assert subprocess.run([sys.executable, "-c", DRIVER, str(root)], cwd=root, env=environment(ROOT)).returncode == 0


def test_a_flow_whose_number_was_given_out_again_is_gone() -> None:
    imposter = f"{os.getpid()}:1"
    command = "import time; from gen import orphan; orphan.watch(); time.sleep(60)"
    done = subprocess.run(
        [sys.executable, "-c", command],
        env=environment(ROOT) | {orphan.DRIVER: imposter}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGTERM
    assert done.stderr == "the flow is gone: this process ends with it. Run the same command again.\n"


def test_one_that_does_not_hear_sigterm_is_killed() -> None:
    command = (
        "import signal, time; from gen import orphan; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "orphan.PATIENCE = 0.2; orphan.watch(); time.sleep(60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", command],
        env=environment(ROOT) | {orphan.DRIVER: f"{os.getpid()}:1"},
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL


def test_a_step_from_a_terminal_is_not_watched() -> None:
    command = "import threading; from gen import orphan; orphan.watch(); print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", command], env=environment(ROOT), capture_output=True, text=True)
    assert done.stdout == "1\n"


def test_a_process_knows_when_it_began() -> None:
    pid, _, start = orphan.this_process().partition(":")
    assert int(pid) == os.getpid()
    if psutil.LINUX:
        began = psutil.boot_time() + int(start) / os.sysconf("SC_CLK_TCK")
        assert began == pytest.approx(psutil.Process().create_time(), abs=1)
