import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from flows import plan, stages
from flows.outcome import Outcome
from flows.retraining import retrain
from gen import files
from gen.errors import BusyError, UserError
from gen.tracking.store import connect
from gen.workspace import Workspace
from tests.conftest import ROOT, environment
from tests.flows.toy import GRAPH, allow, eventually, make_toy, processes

pytestmark = [
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),  # DVC's own use of pygtrie
    pytest.mark.usefixtures("prefect"),
]

FLAKY = """\
stages:
  flaky:
    cmd: test -e once || { touch once; exit 1; }; echo 1 > flaky
    outs:
      - flaky
    meta:
      prefect:
        retries: 1
        retry_delay_seconds: 0
"""
SLOW = """\
stages:
  quick:
    cmd: echo 1 > quick
    outs:
      - quick
  slow:
    cmd: touch begun; test -e allowed || sleep 600; cp quick slow
    deps:
      - quick
    outs:
      - slow
"""
WATCHED = "import time; from gen import orphan; orphan.watch(); time.sleep(600)"
RETRAIN = """
import sys
from pathlib import Path
from flows.retraining import retrain
from gen.tracking.store import connect
from gen.workspace import Workspace

if __name__ == "__main__":
    sys.exit(retrain(Workspace(Path(sys.argv[1])), ingest=False).exit_code)
"""


def quiet(_: str) -> None:
    """Say nothing."""


def states(outcome: Outcome) -> dict[str, str]:
    return {run.name: run.state for run in outcome.runs if run.name != "report"}


def outputs(workspace: Workspace) -> dict[str, Any]:
    """Digests of all that steps write, but for provenance, which differs by nature."""
    folders = [*workspace.root.glob("data/*/*/"), *workspace.root.glob("runs/*/*/"), workspace.compare]
    return {path.relative_to(workspace.root).as_posix(): files.contents(path) for path in folders}


def shown(server: str) -> dict[str, list[str]]:
    """What Prefect shows of the last flow: its tasks' names by state, and `flow` by its own."""

    def ask(kind: str, **query: Any) -> Any:
        body = json.dumps(query | {"sort": "EXPECTED_START_TIME_DESC"}).encode()
        return json.load(urlopen(Request(f"{server}/{kind}/filter", body, {"Content-Type": "application/json"})))

    run = ask("flow_runs", limit=1)[0]
    found: dict[str, list[str]] = {run["state_name"]: ["flow"]}
    for task in ask("task_runs", flow_runs={"id": {"any_": [run["id"]]}}):
        found.setdefault(task["state_name"], []).append(task["name"])
    return found


@pytest.fixture
def toy(tmp_path: Path) -> Workspace:
    return make_toy(tmp_path / "toy")


def test_a_failure_holds_up_its_dependents_alone_and_the_next_run_goes_on(toy: Workspace, prefect: str) -> None:
    said: list[str] = []
    outcome = retrain(toy, ingest=False, say=said.append)
    assert states(outcome) == {
        "first": "ran", "second@x": "ran", "second@y": "ran", "third": "failed", "fourth": "not ready",
    }  # fmt: skip
    assert outcome.exit_code == 1
    assert [run.reason for run in outcome.failed] == [said[-1]]
    assert said[-1].startswith("third failed: third is not allowed.")
    assert eventually(lambda: shown(prefect).get("NotReady") == ["fourth"])
    assert {"flow", "third"} == set(shown(prefect)["Failed"])

    allow(toy)
    outcome = retrain(toy, ingest=False, say=said.append)
    assert states(outcome) == {
        "first": "cached", "second@x": "cached", "second@y": "cached", "third": "ran", "fourth": "ran",
    }  # fmt: skip
    assert outcome.exit_code == 0

    logs = {log: log.stat().st_mtime_ns for log in (toy.private / "logs").iterdir()}
    outcome = retrain(toy, ingest=False, say=said.append)
    assert set(states(outcome).values()) == {"cached"}
    assert outcome.trained == ()
    assert outcome.summary == "nothing had changed, nothing was trained."
    assert logs == {log: log.stat().st_mtime_ns for log in (toy.private / "logs").iterdir()}, "a subprocess was started"
    assert eventually(lambda: set(shown(prefect).get("Cached", [])) == set(states(outcome)))


def test_stages_that_train_have_the_accelerator_to_themselves(toy: Workspace) -> None:
    toy.params_file.write_text(toy.params_file.read_text().replace("device: cpu", "device: cuda"))
    retrain(toy, ingest=False)
    lines = [line.split() for line in (toy.root / "order").read_text().splitlines()]
    assert [what for _, what in lines] == ["begins", "ends", "begins", "ends"]
    assert lines[0][0] == lines[1][0] != lines[2][0] == lines[3][0]


def test_a_stage_is_tried_again_as_often_as_it_says(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy", FLAKY)
    assert states(retrain(toy, ingest=False)) == {"flaky": "ran"}


def test_a_plan_says_what_runs_and_how_long_it_took(toy: Workspace) -> None:
    allow(toy)
    assert [(planned.stage.address, planned.runs, planned.seconds) for planned in plan.plan(toy).stages] == [
        (name, True, None) for name in stages.graph(toy)
    ]
    retrain(toy, ingest=False)
    (toy.root / "y").write_text("by hand\n")
    planned = {planned.stage.address: planned for planned in plan.plan(toy).stages}
    assert [name for name, stage in planned.items() if stage.runs] == ["second@y", "third", "fourth"]
    assert planned["second@x"].seconds
    assert planned["second@x"].seconds >= 0.5


def test_a_second_retrain_leaves_at_once(toy: Workspace) -> None:
    with stages.exclusive(toy), pytest.raises(BusyError, match="Another retrain"):
        retrain(toy, ingest=False)
    assert not (toy.root / "a").exists()


def test_a_bad_graph_is_told_before_anything_runs(toy: Workspace) -> None:
    (toy.root / "dvc.yaml").write_text(GRAPH.replace("outs:\n      - w", "outs:\n      - z"))
    with pytest.raises(UserError, match="DVC cannot go on"):
        retrain(toy, ingest=False)


@pytest.mark.parametrize(
    ("good", "bad", "named"),
    [
        ("latent_dim: 4", "latent: 4", "Did you mean `latent_dim`"),
        (
            "extractor: digits",
            "extractor: letters",
            "there is no dataset `letters` to train it on.*genflows extractor letters --architecture",
        ),
        ("kind: mnist-5k", "kind: mnist-5", "Did you mean `mnist-5k`"),
    ],
)
def test_bad_params_are_told_before_anything_runs(toy: Workspace, good: str, bad: str, named: str) -> None:
    toy.params_file.write_text(toy.params_file.read_text().replace(good, bad))
    with pytest.raises(UserError, match=named):
        retrain(toy, ingest=False)
    assert not (toy.root / "a").exists()


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM])
def test_stopped_it_leaves_nothing_and_goes_on_the_next_time(tmp_path: Path, number: signal.Signals) -> None:
    toy = make_toy(tmp_path / "toy", SLOW)
    command = [sys.executable, "-c", RETRAIN, str(toy.root)]
    process = subprocess.Popen(command, cwd=toy.root, env=environment(ROOT))
    assert eventually((toy.root / "begun").exists)
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    assert not processes(toy.root)
    allow(toy)
    assert states(retrain(toy, ingest=False)) == {"quick": "cached", "slow": "ran"}


def test_killed_it_leaves_nothing_that_goes_on(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy", SLOW.replace("sleep 600;", f"python -c '{WATCHED}' &&"))
    process = subprocess.Popen([sys.executable, "-c", RETRAIN, str(toy.root)], cwd=toy.root, env=environment(ROOT))
    assert eventually((toy.root / "begun").exists)
    process.kill()
    process.wait()
    assert eventually(lambda: not processes(toy.root), seconds=10)
    allow(toy)
    assert states(retrain(toy, ingest=False)) == {"quick": "cached", "slow": "ran"}


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A real web server, and what was posted to it."""
    heard: list[dict[str, str]] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Ear) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", heard
        server.shutdown()


def test_a_webhook_hears_of_a_failure_alone(
    toy: Workspace, webhook: tuple[str, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, heard = webhook
    monkeypatch.setenv("GENFLOWS_NOTIFY", url)
    retrain(toy, ingest=False)
    assert len(heard) == 1
    assert heard[0]["text"].startswith("Retrain of toy on ")
    assert "third is not allowed" in heard[0]["text"]
    allow(toy)
    retrain(toy, ingest=False)
    assert len(heard) == 1


def test_that_nobody_hears_is_no_failure(toy: Workspace) -> None:
    said: list[str] = []
    outcome = retrain(toy, ingest=False, notify="http://127.0.0.1:9/", say=said.append)
    assert [run.name for run in outcome.failed] == ["third"]
    assert "The notice could not be sent" in said[-1]
    retrain(toy, ingest=False, notify="slack-webhook/there-is-none", say=said.append)
    assert "The notice could not be sent" in said[-1]


@pytest.mark.timeout(600)
def test_the_whole_way_then_nothing_then_one_model_alone(tiny: Workspace, finished: Workspace) -> None:
    first = retrain(tiny, say=quiet)
    assert first.exit_code == 0, first.summary
    assert {run.name for run in first.trained} == {"train@gan", "train@vae", "train@cyclegan"}
    assert {run.state for run in first.runs} == {"ran"}
    assert {(judged.dataset, judged.task) for judged in first.verdicts} == {
        ("digits", "sample"),
        ("edges", "translate"),
    }
    assert tiny.report.stat().st_size > 10_000
    assert outputs(tiny) == outputs(finished), "flow and `dvc repro` make the same bytes"
    store = connect(tiny)
    runs = store.client.search_runs([store.experiment])
    (parent,) = {run.data.tags["mlflow.parentRunId"] for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert len(runs) == 1 + len(first.trained)
    assert {"report.html", "table.csv"} == {each.path for each in store.client.list_artifacts(parent)}
    assert store.client.get_run(parent).data.tags["summary"] == first.summary

    second = retrain(tiny, say=quiet)
    assert second.exit_code == 0, second.summary
    assert second.trained == ()
    assert {run.name for run in second.runs if run.state == "ran" and "@" in run.name} == set()
    assert not any(run.name.startswith("extractor") for run in second.runs), "it is pinned"

    tiny.params_file.write_text(tiny.params_file.read_text().replace("latent_dim: 4", "latent_dim: 5"))
    third = retrain(tiny, say=quiet)
    assert [run.name for run in third.trained] == ["train@vae"]
    cached = {run.name for run in third.runs if run.state == "cached"}
    assert {"train@gan", "evaluate@gan", "train@cyclegan", "reference@digits"} <= cached

    shutil.rmtree(tiny.train("gan"))
    tiny.params_file.write_text(tiny.params_file.read_text().replace("latent_dim: 5", "latent_dim: 4"))
    tiny.params_file.write_text(tiny.params_file.read_text().replace("images: 32", "images: 320000"))
    planned = {planned.stage.address: planned for planned in plan.plan(tiny).stages}
    trainings = [planned[f"train@{name}"] for name in ("gan", "vae", "cyclegan")]
    assert [training.runs for training in trainings] == [True, True, True]
    assert [training.estimated for training in trainings] == [False, False, True], "of another budget no time is known"
    assert all(training.seconds for training in trainings)


def test_without_mlflow_it_finishes_and_says_what_is_unsent(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    outcome = retrain(copied, ingest=False, say=quiet)
    assert outcome.failed == ()
    assert set(outcome.unsent) == {
        "publish gan", "publish vae", "publish cyclegan", "judge digits sample", "judge edges translate",
    }  # fmt: skip
    assert outcome.exit_code == 3
    assert copied.report.exists()

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    outcome = retrain(copied, ingest=False, say=quiet)
    assert (outcome.unsent, outcome.trained, outcome.exit_code) == ((), (), 0)
    assert {verdict.decision for verdict in outcome.verdicts} <= {"promote", "keep"}
