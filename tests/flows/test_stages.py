import threading
from pathlib import Path

import pytest

from flows import stages
from flows.children import Stop, StoppedError
from flows.stages import Change, StageFailedError
from gen.errors import BadParamsError, BusyError, UserError
from gen.workspace import Workspace
from tests.flows.toy import GRAPH, allow, eventually, make_toy, processes

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie

SLOW = """\
stages:
  slow:
    cmd: echo begun; touch begun; test -e quick || sleep 600; echo 1 > slow
    outs:
      - slow
    meta:
      prefect:
        retries: 2
        timeout_seconds: 2.5
"""


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def toy(tmp_path: Path) -> Workspace:
    return make_toy(tmp_path / "toy")


def reproduce_all(workspace: Workspace) -> list[str]:
    """Run what is stale, in order; returns the stages whose commands ran."""
    graph = stages.graph(workspace)
    stale = stages.stale(graph, stages.changed(workspace))
    return [name for name in graph if name in stale and stages.reproduce(workspace, graph[name], Stop(), quiet)]


def test_the_graph_is_dvcs_own_from_wherever_one_looks(
    toy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = stages.graph(toy)
    assert list(graph) == ["first", "second@x", "second@y", "third", "fourth"]
    assert graph["third"].predecessors == {"second@x", "second@y"}
    assert graph["first"].predecessors == frozenset()
    assert (graph["first"].dependencies, graph["first"].outputs) == (("number",), ("a",))
    assert graph["second@y"].orchestration.accelerator
    assert not graph["third"].orchestration.accelerator
    monkeypatch.chdir(tmp_path)
    assert stages.graph(toy) == graph
    assert set(stages.changed(toy)) == set(graph)
    assert all(change.otherwise for change in stages.changed(toy).values()), "none of them ever ran"


def test_a_clean_stage_is_stale_only_behind_a_changed_one(toy: Workspace) -> None:
    allow(toy)
    assert reproduce_all(toy) == ["first", "second@x", "second@y", "third", "fourth"]
    assert stages.changed(toy) == {}
    (toy.root / "y").write_text("by hand\n")
    changed = stages.changed(toy)
    assert {"second@y", "third"} <= set(changed)
    assert stages.stale(stages.graph(toy), changed) == {"second@y", "third", "fourth"}
    assert stages.stale(stages.graph(toy), changed, held={"third"}) == {"second@y"}
    assert "first" not in reproduce_all(toy)


def test_a_change_says_which_inputs_differ_and_whether_anything_else_does(
    toy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(toy)
    reproduce_all(toy)
    (toy.root / "number").write_text("2\n")
    monkeypatch.chdir(toy.root / "data")
    assert stages.changed(toy) == {"first": Change(frozenset({"number"}), otherwise=False)}
    (toy.root / "w").unlink()
    (toy.root / "y").unlink()
    changed = stages.changed(toy)
    assert changed["fourth"] == Change(frozenset(), otherwise=True), "an output is gone"
    assert changed["third"] == Change(frozenset(), otherwise=True), "an input is gone"
    (toy.root / "dvc.yaml").write_text(GRAPH.replace("making a", "making it"))
    monkeypatch.chdir(tmp_path)
    assert stages.changed(toy)["first"] == Change(frozenset({"number"}), otherwise=True), "another command"


def test_a_stage_that_turns_out_unchanged_did_not_run(toy: Workspace) -> None:
    first = stages.graph(toy)["first"]
    said: list[str] = []
    assert stages.reproduce(toy, first, Stop(), said.append)
    assert said == ["making a"]
    assert not stages.reproduce(toy, first, Stop(), said.append)
    (toy.root / "a").unlink()
    assert not stages.reproduce(toy, first, Stop(), said.append)  # out of the cache
    assert said == ["making a"]
    assert (toy.root / "a").read_text() == "1\n"


def test_a_failure_is_told_in_the_commands_own_words(toy: Workspace) -> None:
    graph = stages.graph(toy)
    for name in ("first", "second@x", "second@y"):
        stages.reproduce(toy, graph[name], Stop(), quiet)
    log = toy.private / "logs" / "third.log"
    with pytest.raises(StageFailedError, match=rf"^third failed: third is not allowed\. .* {log}\.$"):
        stages.reproduce(toy, graph["third"], Stop(), quiet)
    assert "failed to reproduce 'third'" in log.read_text()
    allow(toy)
    assert reproduce_all(toy) == ["third", "fourth"]


def test_what_dvc_refuses_is_told_in_its_words(toy: Workspace) -> None:
    fourth = stages.graph(toy)["fourth"]
    with pytest.raises(StageFailedError, match=r"failed to reproduce 'fourth': .*No such file.*/z'"):
        stages.reproduce(toy, fourth, Stop())


def test_a_graph_that_dvc_cannot_read_is_a_users_error(toy: Workspace) -> None:
    (toy.root / "dvc.yaml").write_text(GRAPH.replace("cp z w", "cp z w\n    depz:\n      - z"))
    with pytest.raises(UserError, match=r"DVC cannot go on in .*depz"):
        stages.graph(toy)


@pytest.mark.parametrize(
    ("meta", "complaint"),
    [
        ("retrys: 2", r"dvc\.yaml, stage second@x: `meta\.prefect\.retrys` is not a known key. Did you mean `retries`"),
        ("retries: many", r"dvc\.yaml, stage second@x: `meta\.prefect\.retries` is 'many'"),
        ("timeout_seconds: 0", "meta.prefect.timeout_seconds"),
    ],
)
def test_meta_is_checked_strictly(toy: Workspace, meta: str, complaint: str) -> None:
    (toy.root / "dvc.yaml").write_text(GRAPH.replace("accelerator: true", meta))
    with pytest.raises(BadParamsError, match=complaint):
        stages.graph(toy)


def test_a_stage_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy", SLOW)
    slow = stages.graph(toy)["slow"]
    assert slow.orchestration.retries == 2
    with pytest.raises(StageFailedError, match=r"longer than its timeout of 2\.5 s"):
        stages.reproduce(toy, slow, Stop())
    assert not processes(toy.root)
    (toy.root / "quick").touch()
    assert stages.reproduce(toy, slow, Stop())


def test_a_stage_is_ended_when_asked(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy", SLOW.replace("timeout_seconds: 2.5", "timeout_seconds: 600"))
    stop = Stop()
    waiter = threading.Thread(target=lambda: eventually((toy.root / "begun").exists) and stop.request())
    waiter.start()
    with pytest.raises(StoppedError):
        stages.reproduce(toy, stages.graph(toy)["slow"], stop)
    waiter.join()
    assert not processes(toy.root)
    (toy.root / "quick").touch()
    assert stages.reproduce(toy, stages.graph(toy)["slow"], Stop())


def test_only_one_is_at_work(toy: Workspace) -> None:
    done = threading.Event()

    def second() -> None:
        with stages.exclusive(toy, wait=True):
            done.set()

    with stages.exclusive(toy):
        with pytest.raises(BusyError, match="Nothing was changed"), stages.exclusive(toy):
            pass
        waiter = threading.Thread(target=second)
        waiter.start()
        assert not done.wait(0.3)
    waiter.join(timeout=30)
    assert done.is_set()
