"""`genflows sweep` on real trainings in miniature: chosen on `select`, failures survived, the winner written."""

from pathlib import Path

import pytest

from flows import settings, sweep, trials
from flows.sweep import Candidate
from flows.trials import Trial, Tried
from gen import config, files
from gen.config import Params
from gen.errors import BadParamsError, UserError
from gen.tracking.store import connect
from gen.workspace import Workspace
from tests.flows.conftest import Here
from tests.gen import fabricated


@pytest.fixture
def made(tmp_path: Path) -> tuple[Workspace, Params]:
    return fabricated.workspace(tmp_path / "made")


def test_every_combination_is_a_point() -> None:
    assert sweep.grid("vae", ["beta=0.5,2", "learning_rate=1e-4,3e-4"]) == [
        (f"models.vae.beta={beta}", f"models.vae.learning_rate={rate}")
        for beta in ("0.5", "2")
        for rate in ("1e-4", "3e-4")
    ]
    assert sweep.grid("vae", ["beta=1,1"]) == [("models.vae.beta=1",)]


@pytest.mark.parametrize(
    "over", [["beta"], ["=1"], ["beta="], ["beta=1,,2"], ["a=1,2,3,4,5,6,7,8,9", "b=1,2,3,4,5,6,7,8"]]
)
def test_what_is_no_grid_is_told(over: list[str]) -> None:
    with pytest.raises(BadParamsError):
        sweep.grid("vae", over)


def candidate(folder: Path, name: str, *values: float | None, spread: float = 0.1) -> Candidate:
    """As trainings leave it whose published steps measured so much; None failed."""
    tried = []
    for seed, value in enumerate(values):
        workspace = Workspace(folder / f"{name}{seed}")
        if value is not None:
            journal = files.Journal(workspace.train("vae") / "journal.jsonl")
            journal.append({"images": 32, "losses": {}, "select": {"kernel": value, "spread": spread}})
            journal.append({"images": 64, "losses": {}, "select": {"kernel": value + 1, "spread": spread}})
            journal.close()
            files.write_json(workspace.provenance("vae"), {"published_after": 32})
        tried.append(Tried(Trial(name, "vae", (name,)), workspace, "" if value is not None else "it diverged"))
    return Candidate((name,), tuple(tried))


def test_chance_is_that_of_the_measurement_or_of_the_seeds(tmp_path: Path) -> None:
    one = candidate(tmp_path, "one", 2.0)
    assert (one.value, one.spread) == (2.0, 0.1)
    several = candidate(tmp_path, "several", 1.0, 3.0)
    assert several.value == 2.0
    assert several.spread == pytest.approx(2**0.5)
    failed = candidate(tmp_path, "failed", 1.0, None)
    assert not failed.is_sound
    near, far = candidate(tmp_path, "near", 2.1), candidate(tmp_path, "far", 2.2)
    assert sweep.as_good([one, near, far, failed]) == [near]


def test_the_best_on_select_is_written_and_all_are_shown(made: tuple[Workspace, Params], here: Here) -> None:
    workspace, before = made
    said = here.done(workspace, "sweep", "--model", "vae", "--over", "learning_rate=0.004,0.001,1e30")
    after = config.load(workspace.params_file)
    values = {}
    for folder in (workspace.private / "trials").iterdir():
        journal = folder / "runs" / "train" / "vae" / "journal.jsonl"
        measured = [each["select"]["kernel"] for each in files.Journal.read(journal) if "select" in each]
        values[folder.name] = min(measured, default=float("inf"))
    best = min(values, key=lambda name: values[name])
    wanted = 0.004 if "0.004" in best else 0.001
    assert after.model("vae").learning_rate.value == wanted
    assert f"params.yaml: models.vae.learning_rate={wanted:g}." in said
    assert "failed" in said
    assert not workspace.train("vae").exists(), "the pipeline trains it, not the sweep"
    assert not list((workspace.private / "trials").glob("*/runs/evaluate/*")), "nobody looks at `report`"
    store = connect(workspace)
    runs = store.client.search_runs([store.experiment])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED", "FINISHED", "FINISHED"]
    (parent,) = {run.data.tags["mlflow.parentRunId"] for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert store.client.get_run(parent).data.tags["best"] == f"models.vae.learning_rate={wanted:g}"
    assert before.model("vae").learning_rate.value == 0.001
    # The same again trains nothing.
    times = {path: path.stat().st_mtime_ns for path in workspace.private.glob("trials/*/runs/train/vae/*")}
    here.done(workspace, "sweep", "--model", "vae", "--over", "learning_rate=0.004,0.001")
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.long
def test_what_is_clearly_worse_is_stopped_and_goes_on_when_it_is_wanted(
    made: tuple[Workspace, Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after another, where it is no question of timing which are stopped."""
    monkeypatch.setattr(trials, "training_slots", lambda _: 1)
    workspace, _ = made
    longer = ("images=640", "checkpoint_every=160", "log_every=160", "ema_half_life=50")
    settings.edit(workspace.params_file, [f"models.vae.{each}" for each in longer])
    points = [(f"models.vae.learning_rate={rate}",) for rate in ("0.02", "0.015", "1e-7")]
    said: list[str] = []
    *good, bad = sweep.run(workspace, "vae", points, 1, said.append)
    assert (good[0].is_sound, good[1].is_sound, bad.is_sound) == (True, True, False)
    assert bad.settings == points[2]
    (stopped,) = bad.tried
    assert stopped.pruned
    assert bad.stood
    assert 0.2 <= bad.stood.share < 1
    assert not any("1e-7" in line and "640 / 640" in line for line in said)
    assert list((stopped.workspace.private / "checkpoints").glob("vae-*/[0-9]*"))
    assert sweep.as_good([*good, bad]) == sweep.as_good(good)
    sweep.show(workspace, "vae", [*good, bad])
    store = connect(workspace)
    (run,) = store.client.search_runs([store.experiment], "tags.pruned LIKE '%'")
    assert run.info.status == "KILLED"
    assert run.data.metrics["select/kernel"] == pytest.approx(2.3, abs=0.2)
    said.clear()
    assert sweep.run(workspace, "vae", points, 1, said.append) == [*good, bad]
    assert said == [], "the same again trains nothing"
    ended = sweep.run(workspace, "vae", points, 1, said.append, prune=False)
    assert all(candidate.is_sound for candidate in ended)
    assert ended[-1].settings == points[2]
    assert "goes on from" in said[0]


def test_where_all_fail_nothing_is_written(made: tuple[Workspace, Params], here: Here) -> None:
    workspace, _ = made
    text = workspace.params_file.read_text()
    failed = here(workspace, "sweep", "--model", "vae", "--over", "learning_rate=1e30")
    assert failed.returncode == UserError.exit_code
    assert "Every training of the sweep failed" in failed.stderr
    assert workspace.params_file.read_text() == text
