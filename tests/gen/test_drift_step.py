"""Drift of real snapshots against real champions; where something is not known, a retrain is due and it says why."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from gen import artifact, config, files, pin, snapshot
from gen.config import Params
from gen.errors import UserError
from gen.features import Extractor
from gen.snapshot import Picture
from gen.steps.drift import Finding, find_drift
from gen.tracking.store import connect
from gen.workspace import Workspace
from tests.gen import fabricated
from tests.gen.registering import promoted


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    """A VAE on boxes and a translator, trained, and champions of their tasks."""
    workspace, params = fabricated.workspace(tmp_path_factory.mktemp("drift"))
    for model in ("vae", "edges2digits"):
        fabricated.trained(workspace, params, model)
        fabricated.evaluated(workspace, model, 30.0)
        promoted(connect(workspace), workspace, params, model)
    return workspace, params


def bring(made: Workspace, dataset: str = "digits", **domains: np.ndarray) -> None:
    """Make these images the snapshot of a dataset."""
    with files.fresh_folder(made.raw(dataset)) as folder:
        snapshot.write(
            folder, (Picture(image, domain=domain) for domain, images in domains.items() for image in images)
        )
        files.write_json(folder / "summary.json", {"domains": sorted(domains)})


def found(made: tuple[Workspace, Params], dataset: str = "digits") -> Finding:
    (finding,) = find_drift(*made, dataset)
    return finding


def test_images_of_the_same_kind_are_no_reason(made: tuple[Workspace, Params]) -> None:
    bring(made[0], images=fabricated.drawn(200, seed=5))
    finding = found(made)
    drift = finding.drifts["images"]
    assert not finding.due
    assert (finding.champion, drift.then) == ("digits-sample/1", 32)
    assert 60 <= drift.now <= 80, "half of the seven tenths that train"
    assert finding.reason == (
        f"has not drifted since digits-sample/1 was trained (distance {drift.distance:.2g}, "
        f"chance goes to {drift.chance:.2g}, p = {drift.p:.2g})"
    )
    kept = files.read_json(made[0].drift("digits", "sample"))
    assert (kept["due"], kept["images"]) == (False, pin.images_digest(made[0].raw("digits")))
    assert found(made) == finding, "the same images give the same figures"


def test_images_of_another_kind_are(made: tuple[Workspace, Params]) -> None:
    bring(made[0], images=255 - fabricated.drawn(200, seed=5))
    finding = found(made)
    assert finding.due
    assert finding.drifts["images"].p == 0.001
    assert finding.reason.startswith("has drifted since digits-sample/1 was trained (distance ")


def test_one_domain_of_two_is_enough(made: tuple[Workspace, Params]) -> None:
    bring(made[0], "edges2digits", a=fabricated.drawn(200, seed=5), b=fabricated.drawn(200, seed=6))
    assert not found(made, "edges2digits").due
    bring(made[0], "edges2digits", a=255 - fabricated.drawn(200, seed=5), b=fabricated.drawn(200, seed=6))
    finding = found(made, "edges2digits")
    assert finding.due
    assert [finding.drifts[domain].drifted for domain in ("a", "b")] == [True, False]
    bring(made[0], "edges2digits", images=fabricated.drawn(200, seed=5))
    assert found(made, "edges2digits").reason == "has other domains than edges2digits-translate/1 was trained on"


def test_without_mlflow_a_retrain_is_due(made: tuple[Workspace, Params], monkeypatch: pytest.MonkeyPatch) -> None:
    bring(made[0], images=fabricated.drawn(200, seed=5))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    finding = found(made)
    assert finding.due
    assert finding.reason.startswith("may have drifted, for its champion is not at hand: MLflow at http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("key", "before", "after", "words"),
    [
        ("size", "size: 16", "size: 8", "has images of another size or other channels than its champion digits"),
        ("extractor", "extractor: digits", "extractor: other", "was trained with another extractor than is here now"),
    ],
)
def test_what_cannot_be_compared_is_due(
    made: tuple[Workspace, Params], key: str, before: str, after: str, words: str
) -> None:
    workspace, _ = made
    bring(workspace, images=fabricated.drawn(200, seed=5))
    if key == "extractor":
        here = Extractor.load(workspace.extractor("digits"))
        weights = {name: 2 * tensor for name, tensor in here.network.state_dict().items()}
        here.network.load_state_dict(weights)
        with files.fresh_folder(workspace.extractor("other")) as folder:
            Extractor.of(here.network, here.description, here.device).save(folder)
    path = files_with(workspace, before, after)
    finding = found((workspace, config.load(path)))
    assert (finding.due, dict(finding.drifts)) == (True, {})
    assert words in finding.reason


def files_with(made: Workspace, before: str, after: str) -> Path:
    """A params.yaml in which one thing differs."""
    path = made.root / "other.yaml"
    path.write_text(fabricated.PARAMS.replace(before, after))
    return path


def test_without_images_there_is_nothing_to_hold(made: tuple[Workspace, Params]) -> None:
    shutil.rmtree(made[0].raw("digits"), ignore_errors=True)
    with pytest.raises(UserError, match="not here yet"):
        found(made)


def test_a_champion_of_before_says_nothing_of_its_images(made: tuple[Workspace, Params]) -> None:
    workspace, params = made
    folder = workspace.train("vae")
    (folder / artifact.SEEN).unlink()
    run = files.read_json(folder / "run.json")
    files.write_json(folder / "run.json", {**run, "key": "0" * 64})
    files.write_manifest(folder)
    promoted(connect(workspace), workspace, params, "vae")
    bring(workspace, images=fabricated.drawn(200, seed=5))
    finding = found(made)
    assert finding.due
    assert finding.reason == (
        "may have drifted: its champion digits-sample/2 was published before it was kept what a model was trained on"
    )
