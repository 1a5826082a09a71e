"""A training is shown in MLflow while it goes on: real stores, nothing lost or doubled, nothing waits."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows import following
from flows.delivery import conclude
from flows.outcome import Outcome
from flows.stages import Orchestration, Stage
from gen import files
from gen.steps.publish import publish
from gen.tracking import abandoned
from gen.tracking.groups import Group
from gen.tracking.live import Preview, previews
from gen.tracking.purging import purge
from gen.tracking.store import Store, connect
from gen.workspace import Workspace
from tests.conftest import ROOT
from tests.flows.toy import eventually
from tests.gen import fabricated

KEY = "0123456789abcdef"
TABLES = ("runs", "metrics", "params", "latest_metrics")
STAGE = Stage("train@vae", "true", (), ("runs/train/vae", "runs/provenance/vae.json"), frozenset(), Orchestration())


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def begin(workspace: Workspace, records: int = 0) -> files.Journal:
    """What a training leaves when it begins: who it is, and a journal."""
    folder = workspace.unfinished("vae", KEY)
    block = {"family": "vae", "dataset": "digits", "learning_rate": 0.001, "network": "convolutional"}
    files.write_json(folder / "run.json", {"key": KEY, "params": {"model": block}})
    journal = files.Journal(folder / "journal.jsonl")
    write(journal, range(records))
    return journal


def write(journal: files.Journal, numbers: range) -> None:
    for number in numbers:
        journal.append({"images": 16 * (number + 1), "losses": {"nll": 100.0 - number}})


def shown(store: Store) -> list[tuple[int, float]]:
    (run,) = previews(store, KEY)
    return [(point.step, point.value) for point in store.client.get_metric_history(run, "loss/nll")]


def expected(count: int) -> list[tuple[int, float]]:
    return [(16 * (number + 1), 100.0 - number) for number in range(count)]


def test_a_killed_follower_costs_no_point_and_doubles_none(workspace: Workspace) -> None:
    journal = begin(workspace, 40)
    sending = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom gen.tracking.live import Preview\n"
        "from gen.tracking.store import connect\nfrom gen.workspace import Workspace\n"
        "workspace = Workspace(Path(sys.argv[1]))\n"
        f"preview = Preview(connect(workspace), workspace.unfinished('vae', '{KEY}'), 'vae', workspace.train('vae'))\n"
        "preview.send()\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", sending, str(workspace.root)], cwd=ROOT, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    store = connect(workspace)
    assert shown(store) == expected(40)
    write(journal, range(40, 140))  # a hundred that nobody has sent
    journal.close()
    preview = Preview(store, workspace.unfinished("vae", KEY), "vae", workspace.train("vae"))
    assert preview.send() == 100
    assert preview.send() == 0
    assert shown(store) == expected(140)


def test_a_killed_training_that_nobody_goes_on_with_is_not_shown_as_running_for_ever(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    begin(workspace, 3).close()
    store = connect(workspace)
    assert abandoned.end(store) == []
    preview = Preview(store, workspace.unfinished("vae", KEY), "vae", workspace.train("vae"))
    preview.send()
    status = lambda: store.client.get_run(preview.run).info.status  # noqa: E731
    elsewhere = replace(store, private=tmp_path_factory.mktemp("elsewhere"))
    assert abandoned.end(elsewhere) == [], "a colleague's training that is shown on the same server is his"
    assert status() == "RUNNING"
    conclude(workspace, Group("retrain", "1", datetime.now(UTC)), Outcome((), ()), lambda _: None)
    assert status() == "KILLED"
    again = Preview(store, workspace.unfinished("vae", KEY), "vae", workspace.train("vae"))
    assert (again.run, status()) == (preview.run, "RUNNING")
    again.close("FINISHED")
    assert abandoned.end(store) == []
    assert shown(store) == expected(3)


def test_previews_that_were_taken_away_leave_the_database_and_nothing_else_does(workspace: Workspace) -> None:
    begin(workspace, 3).close()
    store = connect(workspace)
    preview = Preview(store, workspace.unfinished("vae", KEY), "vae", workspace.train("vae"))
    preview.close("FINISHED")
    assert purge(store, timedelta()) == 0, "it is shown"
    own = store.client.create_run(store.experiment).info.run_id
    for run in (own, preview.run):
        store.client.delete_run(run)
    assert purge(store, timedelta(days=7)) == 0, "it was shown today"
    assert purge(store, timedelta()) == 1
    with closing(sqlite3.connect(workspace.private / "mlflow.db")) as database:
        left = {table: database.execute(f"select distinct run_uuid from {table}").fetchall() for table in TABLES}  # noqa: S608
    assert left == {"runs": [(own,)], "metrics": [], "params": [], "latest_metrics": []}


def test_it_is_shown_soon_and_ends_as_the_stage_ends(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "INTERVAL", 0.1)
    store = connect(workspace)
    with following.followed(workspace, STAGE):
        journal = begin(workspace, 3)
        assert eventually(lambda: previews(store, KEY) and shown(store) == expected(3))
        assert store.client.get_run(previews(store, KEY)[0]).info.status == "RUNNING"
        write(journal, range(3, 5))
    journal.close()
    run = store.client.get_run(previews(store, KEY)[0])
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "0.001"
    assert shown(store) == expected(5)
    with pytest.raises(RuntimeError), following.followed(workspace, STAGE):
        begin(workspace).close()
        assert eventually(lambda: store.client.get_run(run.info.run_id).info.status == "RUNNING")
        raise RuntimeError
    assert store.client.get_run(run.info.run_id).info.status == "FAILED"


def test_the_last_points_come_from_the_finished_run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "INTERVAL", 0.1)
    store, other = connect(workspace), "fedcba9876543210"
    folder = workspace.unfinished("vae", KEY)
    files.write_json(workspace.unfinished("vae-wide", other) / "run.json", {"key": other, "params": {"model": {}}})
    with following.followed(workspace, STAGE):
        journal = begin(workspace, 2)
        assert eventually(lambda: previews(store, KEY) and shown(store) == expected(2))
        monkeypatch.setattr(following._Follower, "_show", lambda _: None)  # it looks no more until the end
        write(journal, range(2, 4))
        journal.close()
        files.write(workspace.train("vae") / "journal.jsonl", (folder / "journal.jsonl").read_bytes())
        shutil.rmtree(folder)
    assert shown(store) == expected(4)
    assert previews(store, other) == []


def test_a_store_that_does_not_answer_stops_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "INTERVAL", 0.05)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with following.followed(workspace, STAGE):
        begin(workspace, 3).close()
        time.sleep(0.5)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert not (workspace.private / "mlflow.db").exists()


def test_what_stays_is_written_from_the_files(workspace: Workspace) -> None:
    made, params = fabricated.workspace(workspace.root)
    fabricated.trained(made, params, "vae")
    fabricated.evaluated(made, "vae", 30.0)
    store, key = connect(made), files.read_json(made.train("vae") / "run.json")["key"]
    folder = made.unfinished("vae", key)
    files.write_json(folder / "run.json", files.read_json(made.train("vae") / "run.json"))
    files.write(folder / "journal.jsonl", (made.train("vae") / "journal.jsonl").read_bytes())
    Preview(store, folder, "vae", made.train("vae")).send()
    assert len(previews(store, key)) == 1
    run = publish(made, params, "vae", store)
    assert previews(store, key) == []
    # Trained again under the same key, its preview goes when it is published again.
    Preview(store, folder, "vae", made.train("vae")).send()
    assert publish(made, params, "vae", store) == run
    assert previews(store, key) == []
    kept = store.client.get_metric_history(run, "loss/nll")
    assert [point.step for point in kept] == [16, 32, 48, 64]
    assert len(store.client.search_runs([store.experiment])) == 1
