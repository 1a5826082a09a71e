"""`genflows sweep --search`: what is proposed, and real searches in miniature that are interrupted and go on."""

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows import search, settings
from flows.search import Search, axes, corners
from gen import config
from gen.errors import BadParamsError, UserError
from gen.tracking.store import connect
from gen.workspace import Workspace
from tests.conftest import environment
from tests.flows.conftest import Here
from tests.gen import fabricated

needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="the extra `sweep`")
BAD = "1e-7"
SEARCH = ("sweep", "--model", "vae", "--search", f"learning_rate=0.02,{BAD},0.01", "--search", "beta=0.5..1.0")


@pytest.fixture
def made(tmp_path: Path) -> Workspace:
    workspace, _ = fabricated.workspace(tmp_path / "made")
    longer = ("images=640", "checkpoint_every=160", "log_every=160", "ema_half_life=50")
    settings.edit(workspace.params_file, [f"models.vae.{each}" for each in longer])
    return workspace


def test_ranges_and_lists_are_read() -> None:
    rate, r1, width, steps, norm = axes(
        "gan", ["learning_rate=1e-5..1e-2", "r1=.05...5", "width=16..64", "d=1..10", "norm = none, spectral"]
    )
    assert (rate.key, rate.ends, rate.is_whole, rate.is_logarithmic) == (
        "models.gan.learning_rate", (1e-5, 1e-2), False, True,
    )  # fmt: skip
    assert (r1.ends, r1.is_logarithmic) == ((0.05, 0.5), True)
    assert (width.is_whole, width.is_logarithmic) == (True, False)
    assert (steps.is_whole, steps.is_logarithmic) == (True, True)
    assert (norm.choices, norm.is_range) == (("none", "spectral"), False)
    assert not axes("gan", ["beta=-1.0..1.0"])[0].is_logarithmic
    assert corners([width, norm]) == [
        ("models.gan.width=16", "models.gan.norm=none"),
        ("models.gan.width=64", "models.gan.norm=none"),
        ("models.gan.width=16", "models.gan.norm=none"),
        ("models.gan.width=16", "models.gan.norm=spectral"),
    ]


@pytest.mark.parametrize(
    "written", ["r1", "=1..2", "r1=", "r1=2..1", "r1=a..b", "r1=1..nan", "r1=1..inf", "norm=none,"]
)
def test_what_is_no_axis_is_told(written: str) -> None:
    with pytest.raises(BadParamsError, match="--search .*LOW..HIGH"):
        axes("gan", [written])
    with pytest.raises(BadParamsError, match="more than once"):
        axes("gan", ["r1=1..2", "r1=3..4"])


def proposals(file: Path, count: int, breaks: tuple[int, ...] = ()) -> list[tuple[str, ...]]:
    """What is proposed when lower rates are better; at each of `breaks` the process is lost in a trial's middle."""
    space = axes("gan", ["learning_rate=1e-5..1e-2", "width=8..64", "norm=none,spectral"])
    told: list[tuple[str, ...]] = []
    asked = Search(file, space)
    while len(told) < count:
        trial, point = asked.ask()
        if len(told) in breaks:
            breaks = breaks[1:]
            asked = Search(file, space)
            assert asked.over == told
            continue
        asked.tell(trial, trial.params["models.gan.learning_rate"] if len(told) % 4 else None)
        told.append(point)
    return told


@needs_optuna
def test_an_interrupted_search_proposes_what_one_in_one_go_does(tmp_path: Path) -> None:
    whole = proposals(tmp_path / "whole.jsonl", 18)
    assert proposals(tmp_path / "broken.jsonl", 18, breaks=(0, 5, 14)) == whole
    assert len(set(whole)) == len(whole)
    rates = [float(point[0].partition("=")[2]) for point in whole]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    assert max(rates[-4:]) < max(rates[:10]), "it has learnt where to look"
    assert all(point[1].partition("=")[2].isdecimal() for point in whole)


def test_a_search_without_optuna_says_what_to_install(
    made: Workspace, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "find_spec", lambda _: None)
    refused = here(made, *SEARCH)
    assert refused.returncode == UserError.exit_code
    assert "pip install 'genflows[sweep]'" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_grid_and_a_search_are_two_things(made: Workspace, here: Here) -> None:
    for arguments in ((), ("--over", "beta=1,2", "--search", "beta=1..2")):
        refused = here(made, "sweep", "--model", "vae", *arguments)
        assert refused.returncode == BadParamsError.exit_code
        assert "either --over" in refused.stderr
    refused = here(made, "sweep", "--model", "vae", "--search", "learning_rat=1e-3..1e-2")
    assert "Did you mean `learning_rate`?" in refused.stderr


@needs_optuna
def test_a_search_stops_what_is_bad_and_writes_the_best(made: Workspace, here: Here) -> None:
    said = here.done(made, *SEARCH, "--trials", "5")
    rows = [line for line in said.splitlines() if "±" in line]
    is_bad = [f"learning_rate={BAD}" in row for row in rows]
    assert len(rows) == 5, said
    assert is_bad == sorted(is_bad), "it is stopped, or the last in any case"
    assert {False, True} == set(is_bad), "the first five are drawn by their numbers alone"
    vae = config.load(made.params_file).model("vae")
    assert vae.learning_rate.value in (0.01, 0.02)
    assert f"models.vae.learning_rate={vae.learning_rate.value:g}" in said
    store = connect(made)
    runs = store.client.search_runs([store.experiment])
    assert len([run for run in runs if "mlflow.parentRunId" in run.data.tags]) == 5
    pruned = [run for run in runs if "pruned" in run.data.tags]
    assert sorted(run.info.status for run in pruned) == ["KILLED"] * len(pruned)
    assert len(pruned) == sum("pruned at" in line for line in said.splitlines())
    # The same again trains nothing, though params.yaml holds the winner now; more goes on from there.
    times = {path: path.stat().st_mtime_ns for path in made.private.glob("trials/*/runs/train/vae/*")}
    here.done(made, *SEARCH, "--trials", "5")
    assert {path: path.stat().st_mtime_ns for path in made.private.glob("trials/*/runs/train/vae/*")} == times
    assert not list(made.private.glob("trials/*/runs/evaluate/*")), "nobody looks at `report`"


@pytest.mark.long
@needs_optuna
def test_what_is_proposed_twice_is_trained_once(made: Workspace, here: Here) -> None:
    said = here.done(made, "sweep", "--model", "vae", "--search", "images=64,32", "--trials", "6")
    assert len(list(made.private.glob("trials/vae-*"))) == 2
    assert sum("±" in line for line in said.splitlines()) == 2
    assert "failed" not in said


@needs_optuna
@pytest.mark.long
def test_after_ctrl_c_the_same_command_goes_on(made: Workspace, here: Here) -> None:
    command = [sys.executable, "-m", "flows.cli", *SEARCH, "--trials", "3", "--no-prune"]
    surroundings = environment(Path(__file__).parents[2])
    with subprocess.Popen(command, cwd=made.root, env=surroundings, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        # In the middle of a training, with another one over.
        for line in first.stdout:
            if list(made.private.glob("trials/*/runs/provenance/vae.json")) and "160 / 640" in line:
                first.send_signal(signal.SIGINT)
                break
        first.stdout.read()
    assert first.returncode == 130
    over = {path: path.stat().st_mtime_ns for path in made.private.glob("trials/*/runs/provenance/vae.json")}
    assert over
    said = here.done(made, *SEARCH, "--trials", "3", "--no-prune")
    assert "goes on from" in said
    now = {path: path.stat().st_mtime_ns for path in made.private.glob("trials/*/runs/provenance/vae.json")}
    assert over.items() <= now.items()
    assert len(list(made.private.glob("trials/vae-*"))) == 3
