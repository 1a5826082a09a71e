"""What a schedule needs is kept running without a terminal, and is gone without a trace when it is asked to be."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest

from benchmarks.upped import ALL, GENFLOWS, NEVER, RETRAIN, Upped
from flows import standing
from flows.mlflow_ui import free
from flows.parts import Options
from flows.standing import Part, Standing
from flows.supervisor import EVERY, LONGEST, MISSES, STEADY, Kept, Looked, pause
from flows.up import difference
from flows.when import When
from gen import files, orphan
from gen.workspace import Workspace
from tests.conftest import ROOT, environment
from tests.flows.conftest import Here
from tests.flows.toy import commands, eventually, make_toy, processes

WAITING = """\
stages:
  waiting:
    cmd: python waiting.py
    outs:
      - done
    always_changed: true
"""
"""A retrain that lasts until there is a file `awake`."""
STEP = """\
import time
from pathlib import Path
from gen import orphan

orphan.watch()
with Path("begun").open("a") as begun:
    begun.write("1\\n")
while not Path("awake").exists():
    time.sleep(0.2)
Path("done").write_text("1")
"""
"""Its step, which leaves like all of ours when it has lost who started it."""


def quiet(_: str) -> None:
    """Who says something to nobody."""


class Kennel:
    """One kept process, driven by a clock of the test's own."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.well = True
        self.said: list[str] = []
        self.moment = 0.0

        def launch(output: BinaryIO) -> "subprocess.Popen[bytes]":
            return subprocess.Popen(command, stdout=output, stderr=output)

        self.kept = Kept("dog", None, folder / "dog.log", launch, lambda _: self.well)

    def after(self, seconds: float) -> Part:
        """So many seconds later, let it have a turn."""
        self.moment += seconds
        self.kept.turn(self.moment, self.said.append)
        return self.kept.part()

    def kill(self) -> None:
        assert self.kept.process
        self.kept.process.kill()
        self.kept.process.wait()


@pytest.fixture
def kennel(tmp_path: Path) -> Iterator[Kennel]:
    kennel = Kennel(tmp_path, ["sleep", "600"])
    yield kennel
    kennel.kept.end()


def test_pauses_grow_from_a_second_to_a_minute() -> None:
    assert [pause(failures) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause(100_000) == LONGEST


def test_what_dies_is_started_again_after_growing_pauses_until_it_was_well_for_long(kennel: Kennel) -> None:
    assert kennel.after(0).health == "starting"
    for failures in (1, 2, 3):
        assert kennel.after(EVERY).health == "healthy"
        kennel.kill()
        assert kennel.after(0.1).health == "restarting"
        assert len(kennel.kept.part().restarts) == failures
        assert kennel.after(0.9 * pause(failures)).health == "restarting"
        assert kennel.after(0.2 * pause(failures)).health == "starting"
    kennel.after(EVERY)
    assert kennel.after(STEADY + EVERY).health == "healthy"
    kennel.kill()
    kennel.after(0.1)
    assert kennel.after(1.1).health == "starting"
    assert len(kennel.kept.part().restarts) == 4


def test_what_does_not_answer_for_long_is_replaced(kennel: Kennel) -> None:
    kennel.after(0)
    first = kennel.after(EVERY).process
    kennel.well = False
    assert [kennel.after(EVERY).health for _ in range(MISSES)] == ["does not answer"] * (MISSES - 1) + ["restarting"]
    assert "did not answer 6 times in a row" in kennel.said[-1]
    assert first
    assert not orphan.runs(first)
    kennel.well = True
    kennel.after(1)
    assert kennel.after(EVERY).health == "healthy"


def test_one_answer_missed_is_no_reason_to_replace_it(kennel: Kennel) -> None:
    kennel.after(0)
    first = kennel.after(EVERY)
    for _ in range(2 * MISSES):
        kennel.well = not kennel.well
        kennel.after(EVERY)
    assert kennel.kept.part().process == first.process
    assert kennel.kept.part().restarts == ()


def test_what_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    kennel = Kennel(tmp_path, ["no-such-program"])
    assert kennel.after(0).health == "restarting"
    assert kennel.after(1).health == "restarting"
    assert len(kennel.kept.part().restarts) == 2


def test_what_was_started_elsewhere_is_only_looked_at() -> None:
    well = True
    looked = Looked("cat", "http://elsewhere", lambda: well)
    looked.turn(0.0, quiet)
    assert looked.part() == Part("cat", None, "http://elsewhere", None, "healthy", looked.since)
    well = False
    looked.turn(EVERY, quiet)
    assert looked.part().health == "does not answer"


@pytest.fixture
def there() -> Standing:
    part = Part("dog", orphan.this_process(), None, "dog.log", "healthy", standing.now(), (standing.now(),))
    options = Options(When("0 3 * * *"), 4200, 5000, "https://hooks.example/secret").shown()
    return Standing(orphan.this_process(), standing.now(), options, "http://127.0.0.1:4200/api", (part,))


def test_what_is_written_is_believed_only_while_its_writer_lives(tmp_path: Path, there: Standing) -> None:
    workspace = Workspace(tmp_path)
    assert standing.read(workspace) is None
    with files.lock(standing.lock(workspace)):
        standing.write(workspace, there)
        assert standing.read(workspace) == there
        assert standing.survivors(workspace) == ()
    assert standing.read(workspace) is None
    assert standing.survivors(workspace) == ("dog",)
    standing.clear(workspace)
    assert standing.survivors(workspace) == ()


def test_other_options_are_told_and_a_secret_is_not(there: Standing) -> None:
    same = Options(When("0 3 * * *"), 4200, 5000, "https://hooks.example/secret")
    assert difference(there, same) == []
    other = replace(same, when=When("0 4 * * *"), notify="https://hooks.example/another")
    assert difference(there, other) == ["--cron is 0 3 * * * there, 0 4 * * * here", "--notify is another"]
    assert "hooks.example" not in repr(there)


def test_a_server_elsewhere_counts_as_an_option_without_its_password(
    there: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example")
    found = difference(there, Options(When("0 3 * * *"), 4200, 5000, "https://hooks.example/secret"))
    assert found == [
        "--mlflow-port is 5000 there, not given here",
        "MLFLOW_TRACKING_URI is not given there, https://mlflow.example here",
    ]


def test_where_nothing_is_up(here: Here, tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy")
    ended = here(toy, "status")
    assert (ended.returncode, "Nothing is up" in ended.stdout) == (5, True)
    assert json.loads(here(toy, "status", "--json").stdout) == {"up": False}
    assert "Nothing is up" in here.done(toy, "down")


def test_what_cannot_work_is_told_before_anything_starts(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = make_toy(tmp_path / "toy")
    assert "no cron expression" in here(toy, "up", "--cron", "whenever").stderr
    assert here(toy, "up", "--cron", NEVER, "--mlflow-port", "4200").returncode == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = here(toy, "up", "--cron", NEVER, "--prefect-port", str(port))
    assert ended.returncode == 1
    assert f"`genflows up --prefect-port {port + 1}`" in ended.stderr
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "unset MLFLOW_TRACKING_URI" in here(toy, "up", "--cron", NEVER).stderr
    assert not standing.lock(toy).exists()


def gone(upped: Upped) -> bool:
    """Whether nothing is left, within seconds."""
    return eventually(lambda: not processes(upped.workspace.root) and all(map(free, upped.ports)), seconds=20)


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Upped]:
    """Nothing is up; whatever a test brings up is ended."""
    often = environment(ROOT) | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    idle = Upped(make_toy(tmp_path / "toy", WAITING), often)
    (idle.workspace.root / "waiting.py").write_text(STEP)
    yield idle
    idle("down")


@pytest.fixture
def upped(idle: Upped) -> Upped:
    """All is up, and the schedule does not fire."""
    came = idle.up()
    assert came.returncode == 0, came.stdout + came.stderr
    return idle


def test_up_then_down(upped: Upped) -> None:
    prefect, mlflow = upped.ports
    for url in (f"http://127.0.0.1:{prefect}/api/health", f"http://127.0.0.1:{mlflow}/health"):
        assert urllib.request.urlopen(url).status == 200
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{mlflow}", headers={"Host": "elsewhere.example"})
        )
    listening = [
        connection.laddr.ip
        for process in processes(upped.workspace.root)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}
    assert not [line for line in commands(upped.workspace.root) if "mlflow.server.jobs" in line]

    status = upped.status()
    assert status["healthy"] is True
    assert [part["restarts"] for part in status["parts"]] == [[], [], []]
    assert status["retrains"]["running"] is None
    assert upped("status").returncode == 0
    again = upped.up()
    assert (again.returncode, "already" in again.stdout) == (0, True)
    other = upped.up("0 4 * * *")
    assert (other.returncode, "`genflows down` first" in other.stderr) == (1, True)

    down = upped("down")
    assert (down.returncode, "Ended: Prefect server, MLflow server, schedule" in down.stdout) == (0, True)
    assert gone(upped)
    assert upped("status").returncode == 5


@pytest.mark.long
def test_each_part_comes_back_and_nothing_survives_the_supervisor(upped: Upped) -> None:
    for name in upped.parts():
        upped.kill(name)
    for name in upped.parts():
        assert eventually(lambda name=name: upped.restarted(name, 1), seconds=90), name
    found = standing.read(upped.workspace)
    assert found
    os.kill(int(found.supervisor.partition(":")[0]), signal.SIGKILL)
    assert gone(upped)
    assert upped("status").returncode == 5
    assert upped.up().returncode == 0
    assert upped.status()["healthy"] is True


@pytest.mark.long
def test_a_retrain_survives_the_server_that_recorded_it(idle: Upped) -> None:
    begun, awake = (idle.workspace.private / "worktree" / name for name in ("begun", "awake"))
    assert idle.up("* * * * *").returncode == 0
    assert eventually(begun.exists, seconds=120)
    runner = idle.parts()["schedule"]
    assert idle.status()["retrains"]["running"]
    idle.kill("Prefect server")
    assert eventually(lambda: idle.restarted("Prefect server", 1), seconds=90)
    awake.touch()
    assert eventually(lambda: _last(idle), seconds=120)
    assert _last(idle)["outcome"] == "Completed"
    assert (idle.parts()["schedule"].process, idle.parts()["schedule"].restarts) == (runner.process, ())


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("killed", [RETRAIN, "schedule", ALL])
def test_a_retrain_that_was_killed_is_marked_and_gone_on_with(upped: Upped, killed: str) -> None:
    begun, awake = (upped.workspace.private / "worktree" / name for name in ("begun", "awake"))
    assert eventually(upped.fire)
    assert eventually(begun.exists, seconds=180)
    upped.kill(killed)
    dead = time.monotonic()
    if killed == ALL:
        assert gone(upped)
        assert upped.up().returncode == 0
    assert eventually(lambda: "CRASHED" in [run["state_type"] for run in upped.runs()], seconds=240)
    print(f"marked {time.monotonic() - dead:.0f} s after {killed}")
    assert eventually(lambda: [run["state_type"] for run in upped.runs()] == ["CRASHED", "RUNNING"], seconds=120)
    assert eventually(lambda: len(begun.read_text().split()) == 2, seconds=60)
    print(f"gone on with {time.monotonic() - dead:.0f} s after {killed}")
    awake.touch()
    assert eventually(lambda: [run["state_type"] for run in upped.runs()] == ["CRASHED", "COMPLETED"], seconds=60)
    assert upped.runs()[1]["parameters"]["reason"] == "crash"


def _last(idle: Upped) -> dict[str, str]:
    """What became of the last retrain; empty where none has ended."""
    retrains = idle.status()["retrains"] or {}
    return retrains.get("last") or {}


@pytest.mark.long
def test_what_does_not_come_up_is_told_and_leaves_nothing(idle: Upped) -> None:
    (idle.workspace.private / "mlflow.db").write_text("no database " * 1000)
    came = idle.up()
    assert came.returncode == 1
    assert "MLflow server did not come up" in came.stderr
    assert "mlflow-server.log" in came.stderr
    assert gone(idle)


def test_sigterm_in_the_foreground_ends_cleanly(idle: Upped) -> None:
    command = [*GENFLOWS, "up", "--foreground", "--cron", NEVER, *idle.options]
    with subprocess.Popen(command, cwd=idle.workspace.root, env=environment(ROOT), stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert b"Prefect server: starting" in process.stdout.readline()
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert gone(idle)
