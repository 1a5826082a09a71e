import json
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest

from flows.server import prefect_server
from gen.errors import UserError
from gen.workspace import Workspace
from tests.conftest import ROOT, environment, run
from tests.flows.toy import commands, eventually, make_toy, processes, tree_of

SERVE = """
import sys
from pathlib import Path
from flows.environment import prefect_environment
from gen.workspace import Workspace

if __name__ == "__main__":
    workspace = Workspace(Path(sys.argv[1]))
    prefect_environment(workspace)
    from prefect.schedules import Interval
    from flows.deployments import serve
    serve(workspace, Interval(3))
"""
ENDED = """
SELECT run_count, state_name, state.message FROM flow_run JOIN flow_run_state AS state ON state.id = flow_run.state_id
"""
SLEEPY = """\
stages:
  sleepy:
    cmd: echo 1 >> begun; test -e awake || python -c 'import time; time.sleep(600)' && echo 1 > sleepy
    outs:
      - sleepy
    always_changed: true
"""


def ask(url: str, path: str, **query: Any) -> Any:
    request = Request(f"{url}/{path}", json.dumps(query).encode() if query else None)
    request.add_header("Content-Type", "application/json")
    return json.load(urlopen(request))


def test_a_server_starts_answers_and_ends(prefect_url: str) -> None:
    assert ask(prefect_url, "admin/version") == version("prefect")
    assert ask(prefect_url, "flows/filter", limit=1) is not None


def test_a_server_that_cannot_start_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "nonsense://")
    with prefect_server(workspace) as server, pytest.raises(UserError, match=r"prefect-server\.log"):
        server.wait()


def test_a_server_that_is_not_there_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.server.PATIENCE", 0.5)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with prefect_server(Workspace(tmp_path)) as server, pytest.raises(UserError, match="unset PREFECT_API_URL"):
        server.wait()


def test_a_server_ends_when_its_process_is_killed(tmp_path: Path) -> None:
    command = (
        "from pathlib import Path; import time; from flows.server import prefect_server; from gen.workspace import *\n"
        f"with prefect_server(Workspace(Path({str(tmp_path)!r}))) as server: print(server.process.pid); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-uc", command], env=environment(ROOT), stdout=subprocess.PIPE) as process:
        assert process.stdout
        server = psutil.Process(int(process.stdout.readline()))
        process.kill()
    assert server.wait(timeout=10) is None or not server.is_running()


def test_a_schedule_fires_in_a_tree_of_its_own_and_is_not_paused_when_it_ends(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy", SLEEPY)
    begun, awake = toy.private / "worktree" / "begun", toy.root / "awake"
    awake.touch()
    (toy.root / "dirty").write_text("the user is at work")
    before = tree_of(toy)
    often = environment(ROOT) | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(toy.root)], cwd=toy.root, env=often)
    try:
        assert eventually(lambda: begun.exists() and len(begun.read_text().split()) >= 2, seconds=240)
        assert tree_of(toy) == before
        awake.unlink()
        assert eventually(lambda: "time.sleep(600)" in "".join(commands(toy.root)), seconds=120)
    finally:
        process.terminate()
    assert process.wait(timeout=60) == 0
    # A retrain whose process was only just started ends by itself, once it looks for who started it.
    assert eventually(lambda: not processes(toy.root), seconds=20)
    with sqlite3.connect(toy.private / "prefect" / "prefect.db") as database:
        assert database.execute("SELECT paused FROM deployment").fetchall() == [(0,)]
        assert database.execute("SELECT active FROM deployment_schedule").fetchall() == [(1,)]
        ended = database.execute(ENDED).fetchall()
    tried = [name for count, name, _ in ended if count]
    assert tried.count("Completed") >= 2
    assert tried.count("Cancelled") == 1
    assert "Running" not in tried
    # It fires faster than a retrain ends: what was due meanwhile is made up for by one, and not by each.
    missed = [message for count, name, message in ended if name == "Cancelled" and not count]
    assert missed
    assert all(message.endswith("stands for it.") for message in missed)
    # Nothing but a log was written the second time, so only the first left something to be saved.
    assert len(run(toy.root, "git", "for-each-ref", "refs/exps/*/*/retrain-*").stdout.splitlines()) == 1
