"""What one firing of the schedule does, called here and now."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.events.worker import EventsWorker
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Crashed, Running, Scheduled

from flows import notices, stages, worktree
from flows.firing import CRASHES, scheduled
from flows.outcome import Judged, Outcome, TaskRun
from flows.status import REFUSED
from gen.workspace import Workspace
from tests.flows.toy import allow, make_toy, tree_of


@pytest.fixture
def toy(tmp_path: Path) -> Workspace:
    toy = make_toy(tmp_path / "toy")
    allow(toy)
    return toy


@pytest.fixture
def server(prefect: str) -> Iterator[None]:
    """Flows that this process calls use it, though Prefect read its settings before."""
    with temporary_settings({PREFECT_API_URL: prefect, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
        EventsWorker.drain_all(timeout=20)  # while there is somebody to hear it
        APILogWorker.drain_all(timeout=20)


@pytest.mark.usefixtures("server")
def test_it_is_skipped_where_that_is_wished(toy: Workspace) -> None:
    toy.params_file.write_text(f"{toy.params_file.read_text()}retrain: {{busy: skip}}\n")
    with stages.exclusive(toy):
        state = scheduled(str(toy.root), return_state=True)
    assert state.is_completed()
    assert str(state.message).startswith("Skipped. Another retrain")
    assert not (toy.private / worktree.TREE).exists()


@pytest.mark.usefixtures("server")
def test_what_it_says_it_was_saved_as_is_there(toy: Workspace) -> None:
    before = tree_of(toy)
    state = scheduled(str(toy.root), return_state=True)
    assert state.is_completed()
    assert "Experiment retrain-" in str(state.message)
    assert (toy.private / "report.html").exists()
    assert (toy.private / worktree.TREE / "w").read_text() == "1\n1\n"
    again = scheduled(str(toy.root), return_state=True)
    assert "Experiment" not in str(again.message)
    assert tree_of(toy) == before


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("crashes", "said", "due"),
    [
        (0, "Another retrain has gone on with it already.", "SCHEDULED"),
        (1, "Experiment retrain-", "CANCELLED"),
        (CRASHES, f"{CRASHES} retrains in a row have crashed; the schedule's next one tries again.", "SCHEDULED"),
    ],
)
def test_after_a_crash_only_who_goes_on_stands_for_what_is_due(
    toy: Workspace, crashes: int, said: str, due: str
) -> None:
    parameters = {"workspace": str(toy.root), "reason": "crash"}
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(scheduled), f"{crashes} crashed")
        for _ in range(crashes):
            crashed = client.create_flow_run_from_deployment(deployment)
            for state in (Running(), Crashed()):
                client.set_flow_run_state(crashed.id, state, force=True)
        firing = client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=datetime.now(UTC)))
        this = client.create_flow_run_from_deployment(deployment, parameters=parameters)
        ended = run_flow(scheduled, this, parameters, return_type="state")
        assert said in str(ended.message)
        assert client.read_flow_run(firing.id).state_type == due


@pytest.mark.usefixtures("server")
def test_one_that_was_refused_hides_no_crash_that_is_noticed_later(toy: Workspace) -> None:
    parameters = {"workspace": str(toy.root), "reason": "crash"}
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(scheduled), "noticed later")
        dead = client.create_flow_run_from_deployment(deployment)
        client.set_flow_run_state(dead.id, Running(), force=True)
        early, due = (client.create_flow_run_from_deployment(deployment, parameters=parameters) for _ in range(2))
        refused = run_flow(scheduled, early, parameters, return_type="state")
        assert refused.name == REFUSED
        client.set_flow_run_state(dead.id, Crashed(), force=True)
        assert run_flow(scheduled, due, parameters, return_type="state").is_completed()


def test_a_new_champion_is_told_with_the_table_and_where_the_report_is(toy: Workspace) -> None:
    toy.compare.mkdir(parents=True)
    (toy.compare / "table.csv").write_text("model,frechet\nvae,1.5\n")
    (toy.private).mkdir(exist_ok=True)
    (toy.private / "report.html").touch()
    outcome = Outcome((TaskRun("train@vae", "ran"),), (Judged("digits", "sample", "promote", ("It is better.",)),))
    said = notices.text(toy, outcome, "retrain-20261122-030000")
    assert said is not None
    assert "promoted a new champion: trained vae; digits sample: promote." in said
    assert "| vae | 1.5 |" in said
    assert f"Report: {toy.private / 'report.html'}" in said
    assert said.endswith("Experiment: retrain-20261122-030000")
    assert notices.text(toy, Outcome((), ())) is None


def test_a_crash_is_told_by_the_one_that_goes_on(toy: Workspace) -> None:
    assert "goes on: the one before crashed" in notices.crash(toy, 1)
    assert "goes on: the last 2 crashed" in notices.crash(toy, 2)
