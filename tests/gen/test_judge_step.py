"""Registering, judging and promoting, on models that the pipeline in miniature has trained."""

import shutil
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gen import artifact, config, files
from gen.config import Params, Promotion
from gen.errors import UserError
from gen.exporting import TOLERANCE
from gen.extractors import lenet
from gen.features import Extractor
from gen.judge import Verdict
from gen.measure import BATCH
from gen.steps.evaluate import evaluate
from gen.steps.exports import exports
from gen.steps.imported import Wanted, import_extractor
from gen.steps.judge import judge, ranked, read
from gen.steps.reference import reference
from gen.steps.train import train
from gen.tensors import write_tensors
from gen.tracking.promotion import history, rollback
from gen.tracking.registry import champion, version, versions
from gen.tracking.store import TrackingUnavailable, connect
from gen.workspace import Workspace

NAME = "digits-sample"


def with_block(params: Params, model: str, **changes: Any) -> Params:
    """The params with some keys of a model's block changed, and a judge who takes any gain for one."""
    blocks: dict[str, Mapping[str, Any]] = {**params.blocks, model: {**params.blocks[model], **changes}}
    lenient = Promotion(false_per_year=0.49, verdicts_per_year=1, minimum_effect={"digits": 0.0})
    return replace(params, promotion=lenient, blocks=blocks)


def retrain(workspace: Workspace, params: Params, model: str) -> None:
    train(workspace, params, model, code={}, say=lambda _: None)
    evaluate(workspace, params, model, code={})


@pytest.fixture(scope="module")
def longer(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    """The finished workspace, in which the VAE was trained for longer and is better by far."""
    root = tmp_path_factory.mktemp("longer") / "workspace"
    shutil.copytree(finished.root, root, symlinks=True)
    workspace = Workspace(root)
    params = with_block(config.load(workspace.params_file), "vae", images=4096, learning_rate=0.01)
    retrain(workspace, params, "vae")
    return workspace, params


def take(workspace: Workspace, model: str, other: Workspace) -> None:
    """Put another workspace's run of a model in the place of this one's."""
    for there, here in (
        (other.train(model), workspace.train(model)),
        (other.evaluate(model), workspace.evaluate(model)),
    ):
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(there, here)
    workspace.provenance(model).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(other.provenance(model), workspace.provenance(model))


def crowned(workspace: Workspace) -> str | None:
    found = champion(connect(workspace), NAME)
    return found and found.tags["model"]


def on_file(workspace: Workspace) -> Verdict:
    found = read(workspace.verdict("digits", "sample"))
    assert found is not None
    return found


def test_first_sound_model_becomes_champion(copied: Workspace) -> None:
    params = config.load(copied.params_file)
    model = ranked(copied, params, "digits", "sample")[0]
    verdict = judge(copied, params, "digits", "sample")
    assert (verdict.decision, verdict.challenger.model) == ("promote", model)
    (found,) = versions(connect(copied), NAME)
    assert found.aliases == ("challenger", "champion")
    expected = {"model": model, "dataset": "digits", "task": "sample", "metric": "frechet", "verdict": "promote"}
    assert found.tags.items() >= expected.items()
    assert float(found.tags["value"]) == verdict.challenger.value
    assert float(found.tags["export.torch"]) <= TOLERANCE
    assert "export.torch" not in exports(copied.published(model), found.tags), "once is enough"
    assert "export.torch" in exports(copied.published(model), {"export.onnx": "0"}), "one format says nothing of others"
    folder = copied.verdict("digits", "sample")
    assert {path.name for path in folder.iterdir()} == {"verdict.json", "run.json", "challenger.png", "manifest.json"}
    assert on_file(copied) == verdict


def test_judging_again_promotes_nothing_and_keeps_the_verdict_that_mattered(copied: Workspace) -> None:
    params = config.load(copied.params_file)
    first = judge(copied, params, "digits", "sample")
    again = judge(copied, params, "digits", "sample")
    assert again.decision == "keep"
    assert "champion already" in again.reasons[0]
    assert on_file(copied) == first
    assert len(history(connect(copied), NAME)) == len(versions(connect(copied))) == 1


def test_better_challenger_takes_over_and_a_worse_one_does_not(
    copied: Workspace, longer: tuple[Workspace, Params]
) -> None:
    params = longer[1]
    judge(copied, params, "digits", "sample")
    shorter = Workspace(copied.root.parent / "shorter")
    take(shorter, "vae", copied)
    take(copied, "vae", longer[0])
    verdict = judge(copied, params, "digits", "sample")
    assert verdict.decision == "promote"
    assert verdict.champion is not None
    assert verdict.gain is not None
    assert verdict.gain.low > 0
    assert crowned(copied) == "vae"
    assert [(move["before"], move["after"]) for move in history(connect(copied), NAME)] == [(None, 1), (1, 2)]
    assert (copied.verdict("digits", "sample") / "champion.png").exists()

    take(copied, "vae", shorter)
    verdict = judge(copied, params, "digits", "sample")
    assert verdict.decision == "keep"
    assert crowned(copied) == "vae"
    assert verdict == judge(copied, params, "digits", "sample") == on_file(copied)


@pytest.mark.long
def test_model_that_a_human_rolled_back_is_not_promoted_again(
    copied: Workspace, longer: tuple[Workspace, Params]
) -> None:
    judge(copied, longer[1], "digits", "sample")
    take(copied, "vae", longer[0])
    judge(copied, longer[1], "digits", "sample")
    rollback(connect(copied), NAME, "too blurred")
    verdict = judge(copied, longer[1], "digits", "sample")
    assert verdict.decision == "keep"
    assert "too blurred" in verdict.reasons[-1]
    assert version(connect(copied), NAME, "champion").number == 1


def test_champion_that_is_damaged_is_not_replaced_unseen(copied: Workspace, longer: tuple[Workspace, Params]) -> None:
    judge(copied, longer[1], "digits", "sample")
    shutil.rmtree(copied.private / "models")
    (kept,) = (copied.private / "artifacts").rglob("model/model.safetensors")
    kept.write_bytes(kept.read_bytes()[:-1] + b"!")
    take(copied, "vae", longer[0])
    verdict = judge(copied, longer[1], "digits", "sample")
    assert verdict.decision == "undecided"
    assert "not what was registered" in " ".join(verdict.reasons)
    assert version(connect(copied), NAME, "champion").number == 1


def test_model_that_a_guard_keeps_out_does_not_stand_before_sound_ones(copied: Workspace) -> None:
    params = config.load(copied.params_file)
    first = ranked(copied, params, "digits", "sample")[0]
    path = copied.evaluate(first) / "metrics.json"
    metrics = files.read_json(path)
    for figure in metrics["figures"]:
        if figure["name"] == "copied_closely":
            figure |= {"value": 0.5, "spread": 0.01}
    files.write_json(path, metrics)
    assert {first, ranked(copied, params, "digits", "sample")[0]} == {"gan", "vae"}


def test_models_that_were_measured_differently_are_not_chosen_among(copied: Workspace) -> None:
    params = config.load(copied.params_file)
    other = replace(params, judge=params.judge.model_copy(update={"seed": 1}))
    evaluate(copied, other, "vae", code={})
    with pytest.raises(UserError, match=r"`gan` and `vae` were measured differently \(seed\).*dvc repro"):
        ranked(copied, params, "digits", "sample")


def test_generator_of_its_training_images_is_published_and_not_promoted(
    copied: Workspace, longer: tuple[Workspace, Params]
) -> None:
    """The other way round: what it makes is put in the place of the training images."""
    params, model = longer[1], "vae"
    take(copied, model, longer[0])
    features, reference = copied.features("digits"), copied.reference("digits")
    extractor = Extractor.load(features / "extractor")
    made = artifact.load(copied.train(model)).generate(params.judge.samples, params.judge.seed, batch=BATCH)
    np.save(features / "train" / "features.npy", extractor.features(made), allow_pickle=False)
    files.write_manifest(features)
    facts = files.read_json(reference / "reference.json")
    files.write_json(reference / "reference.json", facts | {"features": files.manifest_digest(features)})
    files.write_manifest(reference)
    evaluate(copied, params, model, code={})
    verdict = judge(copied, params, "digits", "sample")
    assert (verdict.challenger.model, verdict.decision) == (model, "keep")
    assert "repeats training images" in " ".join(verdict.reasons)
    assert on_file(copied) == verdict
    (version,) = versions(connect(copied), NAME)
    assert (version.aliases, version.tags["verdict"]) == (("challenger",), "keep")


def with_imported_lenet(workspace: Workspace, params: Params) -> Params:
    """The params after the digits' extractor was replaced by a LeNet with drawn weights, and all was measured in it."""
    network = lenet.LeNet()
    for tensor in network.state_dict().values():
        tensor.normal_(0, 0.1, generator=torch.Generator().manual_seed(tensor.numel()))
    weights = workspace.root / "lenet.safetensors"
    write_tensors(weights, network.state_dict())
    import_extractor(workspace, params, Wanted("lenet", lenet.NAME, str(weights)), say=lambda _: None)
    datasets = {**params.datasets, "digits": params.datasets["digits"].model_copy(update={"extractor": "lenet"})}
    params = replace(params, datasets=datasets)
    reference(workspace, params, "digits")
    for model in ("gan", "vae"):
        evaluate(workspace, params, model, code={})
    return params


def test_champion_of_another_extractor_is_measured_again_in_the_new_one(
    copied: Workspace, longer: tuple[Workspace, Params]
) -> None:
    first = judge(copied, longer[1], "digits", "sample")
    params = with_imported_lenet(copied, longer[1])
    path = copied.evaluate(first.challenger.model) / "metrics.json"
    expected = next(figure for figure in files.read_json(path)["figures"] if figure["name"] == "frechet")
    take(copied, "vae", longer[0])
    evaluate(copied, params, "vae", code={})
    second = judge(copied, params, "digits", "sample")
    assert second.champion is not None
    assert second.champion.model == first.challenger.model
    assert second.champion.value == pytest.approx(expected["value"], rel=1e-6)
    assert second.champion.value != pytest.approx(first.challenger.value, rel=0.1)
    assert second.eval_id == expected["eval_id"] != first.eval_id
    store, digest = connect(copied), expected["card"]["extractor"]
    told = [run.data.tags for run in store.client.search_runs([store.experiment])]
    assert {(tags["extractor"], tags["extractor_digest"] == digest) for tags in told} == {
        ("digits", False),
        ("lenet", True),
    }
    assert Extractor.load(copied.extractor("lenet")).digest == digest


def test_figures_of_other_weights_are_not_judged(copied: Workspace) -> None:
    params = config.load(copied.params_file)
    for model in ("gan", "vae"):
        train_folder = copied.train(model)
        (train_folder / "samples" / "000000000.png").unlink()
        files.write_manifest(train_folder)
    with pytest.raises(UserError, match="measured on the current data"):
        judge(copied, params, "digits", "sample")


def test_unreachable_mlflow_decides_nothing(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(TrackingUnavailable):
            judge(copied, config.load(copied.params_file), "digits", "sample")
    assert not copied.verdict("digits", "sample").exists()
    assert not Path(copied.private / "mlflow.db").exists()
