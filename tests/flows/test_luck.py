"""`genflows luck` on real trainings in miniature: trials are what the pipeline would make, beside it and kept."""

import re
from pathlib import Path

import pytest

from flows import luck, trials
from flows.luck import Recipe
from flows.trials import Trial
from gen import config, files
from gen.config import Params
from gen.errors import UserError
from gen.metrics.card import Figure
from gen.workspace import Workspace
from tests.flows.conftest import Here
from tests.gen import fabricated
from tests.gen.metrics.test_card import CARD


@pytest.fixture
def made(tmp_path: Path) -> tuple[Workspace, Params]:
    return fabricated.workspace(tmp_path / "made")


def quiet(_: str) -> None:
    """Say nothing."""


def recipe(model: str, dataset: str, *values: float) -> Recipe:
    return Recipe(model, dataset, [Figure("frechet", value, "", CARD, floor=1.0) for value in values])


def test_a_trial_makes_what_the_pipeline_would_and_leaves_it_alone(made: tuple[Workspace, Params]) -> None:
    workspace, params = made
    data = files.contents(workspace.root / "data")
    first, second = trials.run(
        workspace, [Trial(f"vae-seed{seed}", "vae", (f"models.vae.seed={seed}",)) for seed in (0, 1)], quiet
    )
    weights = [(each.workspace.train("vae") / "model.safetensors").read_bytes() for each in (first, second)]
    assert weights[0] != weights[1]
    assert not workspace.train("vae").exists()
    fabricated.trained(workspace, params, "vae")
    assert (workspace.train("vae") / "model.safetensors").read_bytes() == weights[0]
    assert files.contents(workspace.root / "data") == data
    assert config.load(workspace.params_file) == params
    assert second.metrics["model"] == "vae"


@pytest.mark.long
def test_luck_is_measured_once_and_written_where_the_judge_reads_it(made: tuple[Workspace, Params], here: Here) -> None:
    workspace, _ = made
    said = here.done(workspace, "luck", "dcgan", "--seeds", "5")
    kept = sorted(path.name for path in (workspace.private / "trials").iterdir())
    assert [name[:11] for name in kept] == [f"dcgan-seed{seed}" for seed in range(5)]
    effect = config.load(workspace.params_file).promotion.minimum_effect["digits"]
    assert 0 < effect < 1
    assert f"promotion.minimum_effect.digits is {effect:g} now." in said
    figures = [
        files.read_json(path)["figures"] for path in workspace.private.glob("trials/*/runs/evaluate/*/metrics.json")
    ]
    values = [figure["value"] for seed in figures for figure in seed if figure["name"] == "frechet"]
    assert len(set(values)) == 5
    times = {path: path.stat().st_mtime_ns for path in workspace.private.glob("trials/*/runs/*/*/*")}
    again = here.done(workspace, "luck", "dcgan", "--seeds", "5")
    assert re.sub(r"\s+", " ", again)[-200:] == re.sub(r"\s+", " ", said)[-200:]
    assert {path: path.stat().st_mtime_ns for path in workspace.private.glob("trials/*/runs/*/*/*")} == times
    fewer = here(workspace, "luck", "dcgan", "--seeds", "4")
    assert fewer.returncode == 2


def test_a_trial_that_fails_says_which_and_why(made: tuple[Workspace, Params]) -> None:
    workspace, params = made
    settings = ("models.vae.learning_rate=1e30",)
    with pytest.raises(UserError, match="^The trial `vae-wild` failed: "):
        trials.run(workspace, [Trial("vae-wild", "vae", settings)], quiet)
    (workspace.prepared("digits") / "profile.json").unlink()
    with pytest.raises(UserError, match="profile.json"):
        luck.measure(workspace, params, ["vae"], 5, quiet)


def test_the_model_that_seeds_move_most_sets_the_effect_of_its_dataset() -> None:
    steady, loose = recipe("a", "digits", 3.0, 3.1, 3.2, 3.1, 3.0), recipe("b", "digits", 4.0, 4.5, 4.2, 4.8, 4.4)
    other = recipe("c", "photos", 9.0, 9.0, 9.0, 9.0, 9.1)
    found = luck.effects([steady, loose, other])
    assert set(found) == {"digits", "photos"}
    assert found["digits"] == luck.effects([loose])["digits"] > luck.effects([steady])["digits"]
    assert loose.luck.minimum_effect <= found["digits"] < loose.luck.minimum_effect + 0.01
    with pytest.raises(UserError, match="as much as there is to gain on `digits`"):
        luck.effects([recipe("d", "digits", 1.0, 5.0, 1.5, 4.0, 2.0)])
