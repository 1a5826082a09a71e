"""Where drift decides: trainings rest while images stay of their kind, and run when those or anything else changed."""

from pathlib import Path

import pytest

from flows import plan
from flows.outcome import Outcome
from flows.retraining import retrain
from gen import files, pin
from tests.conftest import make_workspace
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
  gan: {family: gan, dataset: boxes, network: dcgan, init: champion-of-boxes, latent_dim: 4, width: 4, images: 64,
        batch: 16, learning_rate: 0.0002, log_every: 32, checkpoint_every: 32}
  vae: {family: vae, dataset: boxes, network: convolutional, init: random, latent_dim: 4, width: 4, images: 1024,
        batch: 16, learning_rate: 0.003, log_every: 128, checkpoint_every: 256}
retrain: {when: drifted}
"""
)
TRAININGS = ["train@gan", "train@vae"]


def states(outcome: Outcome) -> dict[str, str]:
    assert outcome.exit_code == 0, outcome.summary
    return {run.name: run.state for run in outcome.runs}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_trainings_rest_until_images_are_of_another_kind(tmp_path: Path) -> None:
    made = make_workspace(tmp_path / "workspace", PARAMS)
    start = made.start("champion-of-boxes")
    add_images(made, drawn(400, seed=1), "first")
    outcome = retrain(made, say=quiet)
    first = states(outcome)
    assert [judged.decision for judged in outcome.verdicts] == ["promote"]
    assert [first[name] for name in TRAININGS] == ["ran", "ran"]
    finding = files.read_json(made.drift("boxes", "sample"))
    assert (finding["due"], finding["reason"]) == (True, "has no champion yet")

    add_images(made, drawn(30, seed=2), "second")
    pinned, said = files.manifest_digest(start), list[str]()
    outcome = retrain(made, say=said.append)
    second = states(outcome)
    assert [second[name] for name in TRAININGS] == ["held", "held"]
    assert {second[name] for name in ("prepare@boxes", "reference@boxes", "evaluate@gan", "evaluate@vae")} == {"ran"}
    assert second["start champion-of-boxes"] == "cached"
    assert files.manifest_digest(start) == pinned
    finding = files.read_json(made.drift("boxes", "sample"))
    assert not finding["due"]
    assert finding["drifts"]["images"]["distance"] <= finding["drifts"]["images"]["chance"]
    assert finding["reason"].startswith("has not drifted since boxes-sample/1 was trained (distance ")
    assert f"boxes {finding['reason']}." in said
    assert outcome.held == (f"boxes {finding['reason']}: gan, vae were not trained again",)
    assert outcome.held[0] in outcome.summary
    assert "nothing had changed" not in outcome.summary

    # The night after, without new images: they rest still, and nothing is measured again.
    planned = {each.stage.address: (each.runs, each.held) for each in plan.plan(made).stages}
    assert {name for name, (_, held) in planned.items() if held} == set(TRAININGS)
    assert not any(runs for runs, _ in planned.values())
    third = states(retrain(made, say=quiet))
    assert [third[name] for name in TRAININGS] == ["held", "held"]
    assert {third[name] for name in ("prepare@boxes", "reference@boxes", "evaluate@gan", "evaluate@vae")} == {"cached"}

    # A number of one model is another reason than images.
    made.params_file.write_text(PARAMS.replace("0.003", "0.002"))
    fourth = states(retrain(made, say=quiet))
    assert [fourth[name] for name in TRAININGS] == ["held", "ran"]

    add_images(made, 255 - drawn(400, seed=3), "other")
    outcome = retrain(made, say=quiet)
    fifth = states(outcome)
    assert [fifth[name] for name in TRAININGS] == ["ran", "ran"]
    assert fifth["start champion-of-boxes"] == "ran"
    assert pin.read(start).champion is not None
    assert outcome.held == ()
    assert files.read_json(made.drift("boxes", "sample"))["due"]
