"""The whole of it: trained and promoted, left alone, refreshed from the champion by new images, left alone, shared."""

import sys
from pathlib import Path

import pytest

from flows.outcome import Outcome
from flows.retraining import retrain
from gen import files, pin
from gen.workspace import Workspace
from tests.conftest import cloned, make_workspace, run
from tests.flows import boxes
from tests.flows.boxes import add_images, quiet
from tests.gen.fabricated import drawn

pytestmark = [
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),  # DVC's own use of pygtrie
    pytest.mark.usefixtures("prefect"),
]

PARAMS = (
    boxes.PARAMS
    + """\
models:
  vae: {family: vae, dataset: boxes, network: convolutional, latent_dim: 4, width: 4, images: 1024, batch: 16,
        learning_rate: 0.003, log_every: 128, checkpoint_every: 256, init: champion-of-boxes,
        refresh: {images: 256, learning_rate: 0.0005, checkpoint_every: 128}}
"""
)
NAME = "champion-of-boxes"


def states(outcome: Outcome) -> dict[str, str]:
    """Of what stands between the images and MLflow."""
    return {run.name: run.state for run in outcome.runs if run.name.split()[0] not in ("ingest", "publish", "judge")}


def seen(made: Workspace) -> list[int]:
    journal = files.Journal.read(made.train("vae") / "journal.jsonl")
    return [record["images"] for record in journal if record["losses"]]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_new_images_refresh_the_champion_and_nothing_else_does(tmp_path: Path) -> None:
    made = make_workspace(tmp_path / "workspace", PARAMS)
    add_images(made, drawn(400, seed=1), "first")
    first = retrain(made, say=quiet)
    assert first.exit_code == 0, first.summary
    assert [judged.decision for judged in first.verdicts] == ["promote"]
    assert states(first)[f"start {NAME}"] == "ran"
    assert seen(made)[-1] == 1024
    published = files.manifest_digest(made.published("vae"))

    second = retrain(made, say=quiet)
    assert set(states(second).values()) - {"ran"} == {"cached"}
    assert {name for name, state in states(second).items() if state == "ran"} == {"report"}

    add_images(made, drawn(100, seed=2), "second")
    said: list[str] = []
    third = retrain(made, say=said.append)
    assert third.exit_code == 0, third.summary
    assert states(third)[f"start {NAME}"] == states(third)["train@vae"] == "ran"
    assert pin.read(made.start(NAME)).champion == "boxes-sample/1"
    assert files.manifest_digest(made.start(NAME) / "model") == published
    assert "vae  begins from the champion boxes-sample/1" in said
    assert seen(made) == [128, 256]
    assert files.read_json(made.provenance("vae"))["begun_from"] == "the champion boxes-sample/1"

    kept = [name for name in files.read_json(made.private / "durations.json") if name.startswith("train@vae ")]
    assert len(kept) == 2, "a refresh is not foreseen by the time of the first training"

    fourth = retrain(made, say=quiet)
    assert {name for name, state in states(fourth).items() if state == "ran"} == {"report"}

    clone, dvc = cloned(made, tmp_path), (sys.executable, "-m", "dvc")
    assert "Running stage" not in run(clone.root, *dvc, "repro").stdout
    again = retrain(clone, say=quiet)
    assert states(again)[f"start {NAME}"] == "cached", "a clone with an empty registry keeps the pin"
    assert again.trained == ()

    # What was refreshed can be refreshed again, from the same inputs to the same bytes.
    run(clone.root, *dvc, "repro", "--force", "--single-item", "train@vae")
    assert files.manifest_digest(clone.train("vae")) == files.manifest_digest(made.train("vae"))
