"""A training begins from a champion where there is one that fits; otherwise from random weights, and says so."""

import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from gen import artifact, config, files, origin, pin
from gen.artifact import CRITICS, WEIGHTS
from gen.errors import UserError
from gen.pin import Pin
from gen.steps import train as step
from gen.training import Training
from gen.workspace import Workspace
from tests.gen import fabricated, killing
from tests.gen.test_families import begun

MODELS = {"gan": "dcgan", "vae": "vae", "cyclegan": "edges2digits"}
DATASETS = {"dcgan": "digits", "vae": "digits", "edges2digits": "edges2digits"}
# A first training of 40 steps or more, and a refresh of 8; the translator's has fewer images in a step.
FIRST = (
    fabricated.PARAMS.replace("images: 64, batch: 16", "images: 640, batch: 16, ema_half_life: 50")
    .replace("checkpoint_every: 32", "checkpoint_every: 320")
    .replace("images: 16, batch: 4", "images: 160, batch: 4, ema_half_life: 12")
    .replace("checkpoint_every: 8", "checkpoint_every: 80")
    .replace("learning_rate: 0.001", "learning_rate: 0.005")
)  # fmt: skip
REFRESH = "refresh: {images: 128, log_every: 16, checkpoint_every: 32, learning_rate: 0.0001}"
SHORT = "refresh: {images: 32, log_every: 4, checkpoint_every: 8, learning_rate: 0.0001}"
REFRESHED = (
    FIRST.replace("network: dcgan, init: random", f"network: dcgan, init: champion-of-digits, {REFRESH}")
    .replace("network: convolutional, init: random", f"network: convolutional, init: champion-of-digits, {REFRESH}")
    .replace("network: translator, init: random", f"network: translator, init: champion-of-edges2digits, {SHORT}")
)  # fmt: skip


@pytest.fixture(scope="session")
def champions(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which each family was trained from random weights. Read only."""
    made, _ = fabricated.workspace(tmp_path_factory.mktemp("champions"))
    files.write(made.params_file, FIRST)
    for model in MODELS.values():
        trained(made, model)
    return made


def trained(made: Workspace, model: str) -> list[str]:
    """Train here and now; what was said."""
    said: list[str] = []
    step.train(made, config.load(made.params_file), model, code={}, say=said.append)
    return said


def workspace(root: Path, text: str = REFRESHED) -> Workspace:
    made, _ = fabricated.workspace(root)
    files.write(made.params_file, text)
    return made


def pinned(made: Workspace, dataset: str, champion: Path | None) -> Path:
    """Pin a published model as `dataset`'s champion, or that there is none."""
    folder = made.start(f"champion-of-{dataset}")
    named: dict[str, Any] = {"name": f"{dataset}-sample", "version": 3, "key": "k", "digest": "d"} if champion else {}
    pin.write(folder, Pin(images="0" * 64, **named), champion)
    return folder


def journal(made: Workspace, model: str) -> list[dict[str, Any]]:
    return [record for record in files.Journal.read(made.train(model) / "journal.jsonl") if record["losses"]]


@pytest.mark.parametrize("family", MODELS)
def test_a_refresh_begins_with_the_networks_of_the_champion_and_fresh_moments(
    family: str, champions: Workspace, tmp_path: Path
) -> None:
    made, model = workspace(tmp_path), MODELS[family]
    champion = champions.train(model)
    place = pinned(made, DATASETS[model], champion)
    block = config.load(made.params_file).model(model)
    found = origin.find(place, block, f"models.{model}", (1, 16, 16))
    assert found.words == f"the champion {DATASETS[model]}-sample/3"
    training = begun(found.config.model_copy(update={"seed": 5}), (1, 16, 16))
    assert training.average.apart
    found.enter(training)
    weights = safetensors.torch.load_file(champion / WEIGHTS)
    for network in (training.average.source, training.average.network):
        assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    learnt = origin.critics(training.trainer.networks, training.average.source)
    kept = safetensors.torch.load_file(champion / CRITICS) if family != "vae" else {}
    assert learnt.keys() == kept.keys()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in learnt.items())
    assert not any(tensor.any() for name, tensor in training.tensors().items() if ".adam." in name)
    assert (champion / CRITICS).exists() == (family != "vae")


def test_a_refresh_goes_on_at_the_champions_loss_by_its_own_numbers(champions: Workspace, tmp_path: Path) -> None:
    made = workspace(tmp_path)
    place = pinned(made, "digits", champions.train("vae"))
    assert trained(made, "vae")[0] == "vae  begins from the champion digits-sample/3"
    before, after = journal(champions, "vae"), journal(made, "vae")
    first, last, refreshed = (records["losses"]["negative_elbo"] for records in (before[0], before[-1], after[0]))
    assert last < 0.8 * first
    assert abs(refreshed - last) < 0.1 * (first - last)
    assert [record["images"] for record in after] == list(range(16, 129, 16))
    identity = files.read_json(made.train("vae") / "run.json")
    assert identity["inputs"]["data/starts/champion-of-digits"] == files.manifest_digest(place)
    held = identity["params"]["model"]
    assert (held["images"], held["learning_rate"], held["batch"], held["refresh"]) == (128, 0.0001, 16, {})
    assert files.read_json(made.provenance("vae"))["begun_from"] == "the champion digits-sample/3"


@pytest.mark.parametrize("apart", [True, False])
def test_the_discriminators_own_rate_of_a_refresh_is_the_one_it_learns_at(
    apart: bool, champions: Workspace, tmp_path: Path
) -> None:
    """At a rate of next to nothing it stays, to the bit, what the champion's was, while the generator learns."""
    own = REFRESH.replace("}", ", discriminator_learning_rate: 1.0e-30}") if apart else REFRESH
    made = workspace(tmp_path, REFRESHED.replace(REFRESH, own, 1))
    champion = champions.train("dcgan")
    pinned(made, "digits", champion)
    assert trained(made, "dcgan")[0] == "dcgan  begins from the champion digits-sample/3"
    before, after = (safetensors.torch.load_file(folder / CRITICS) for folder in (champion, made.train("dcgan")))
    # What batch norm has seen is no weight.
    weights = [name for name in before if not re.search("running|num_batches", name)]
    assert [torch.equal(before[name], after[name]) for name in weights] == [apart] * len(weights)
    before, after = (safetensors.torch.load_file(folder / WEIGHTS) for folder in (champion, made.train("dcgan")))
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_a_champion_from_before_there_was_a_key_is_what_its_default_is(champions: Workspace, tmp_path: Path) -> None:
    made, old = workspace(tmp_path), tmp_path / "old"
    shutil.copytree(champions.train("vae"), old)
    facts = files.read_json(old / artifact.CONFIG)
    for key in ("widths", "binarisation", "posterior", "flows", "flow_width"):
        del facts["config"][key]
    files.write_json(old / artifact.CONFIG, facts)
    files.write_manifest(old)
    place = pinned(made, "digits", old)
    block = config.load(made.params_file).model("vae")
    assert origin.find(place, block, "models.vae", (1, 16, 16)).words == "the champion digits-sample/3"
    binarised = block.model_copy(update={"binarisation": "static"})
    words = origin.find(place, binarised, "models.vae", (1, 16, 16)).words
    assert words.endswith("has `binarisation` none, not static")


def test_a_game_goes_on_where_it_stood(champions: Workspace, tmp_path: Path) -> None:
    made = workspace(tmp_path)
    pinned(made, "digits", champions.train("dcgan"))
    trained(made, "dcgan")
    first, last = (journal(champions, "dcgan")[place]["losses"] for place in (0, -1))
    refreshed = journal(made, "dcgan")[0]["losses"]
    for name in ("discriminator", "generator"):
        assert abs(refreshed[name] - last[name]) < 0.5 * abs(first[name] - last[name])


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[] if name == "gan" else pytest.mark.long) for name in MODELS]
)
def test_a_refresh_repeats_to_the_bit_also_when_it_was_killed(
    family: str, champions: Workspace, tmp_path: Path
) -> None:
    model, digests = MODELS[family], []
    for name, point in (("whole", None), ("again", None), ("killed", "after a step")):
        made = workspace(tmp_path / name)
        pinned(made, DATASETS[model], champions.train(model))
        if point:
            assert killing.run(made.root, model, point)[0] == -signal.SIGKILL
        code, said = killing.run(made.root, model, None)
        assert code == 0
        assert ("goes on from" if point else "begins from the champion") in said[0]
        digests.append(files.manifest_digest(made.train(model)))
    assert len(set(digests)) == 1


@pytest.mark.parametrize("model", ["dcgan", "vae"])
def test_where_there_is_no_champion_it_is_as_with_random_weights(
    model: str, champions: Workspace, tmp_path: Path
) -> None:
    made = workspace(tmp_path)
    pinned(made, "digits", None)
    said = trained(made, model)
    assert said[0] == f"{model}  begins from random weights: `digits` had no champion when this was pinned"
    for name in (WEIGHTS, "journal.jsonl"):
        assert (made.train(model) / name).read_bytes() == (champions.train(model) / name).read_bytes()


@pytest.mark.parametrize(
    ("champion", "edit", "why"),
    [
        ("vae", ("", ""), "is of family `vae`, not `gan`"),
        ("dcgan", ("latent_dim: 8, width: 4", "latent_dim: 8, width: 2"), "has `width` 4, not 2"),
    ],
)
def test_a_champion_that_does_not_fit_is_told_and_left_aside(
    champion: str, edit: tuple[str, str], why: str, champions: Workspace, tmp_path: Path
) -> None:
    made = workspace(tmp_path / "refreshed", REFRESHED.replace(*edit))
    pinned(made, "digits", champions.train(champion))
    words = f"random weights and without refresh: the champion digits-sample/3 {why}"
    assert trained(made, "dcgan")[0] == f"dcgan  begins from {words}"
    assert files.read_json(made.provenance("dcgan"))["begun_from"] == words
    plain = workspace(tmp_path / "plain", FIRST.replace(*edit))
    trained(plain, "dcgan")
    assert (made.train("dcgan") / WEIGHTS).read_bytes() == (plain.train("dcgan") / WEIGHTS).read_bytes()


def test_a_champion_of_other_networks_under_equal_names_is_left_aside(champions: Workspace, tmp_path: Path) -> None:
    made = workspace(tmp_path)
    place = pinned(made, "digits", champions.train("dcgan"))
    block = config.load(made.params_file).model("dcgan")
    found = origin.find(place, block, "models.dcgan", (1, 32, 32))
    assert "has other networks" in found.words
    assert found.config.images == 640


def _change_the_pin(folder: Path) -> None:
    files.write(folder / "start.json", (folder / "start.json").read_text().replace("digits-sample", "digits-simple"))


def _change_the_weights(folder: Path) -> None:
    content = bytearray((folder / "model" / WEIGHTS).read_bytes())
    content[-1] ^= 1
    files.write(folder / "model" / WEIGHTS, bytes(content))


def _add_a_script(folder: Path) -> None:
    files.write(folder / "model" / "load.py", "print()")
    files.write_manifest(folder / "model")
    files.write_manifest(folder)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_change_the_pin, "start.json was changed"),
        (_change_the_weights, "model.safetensors was changed"),
        (_add_a_script, "load.py has no place in a published model"),
        (lambda folder: (folder / "start.json").unlink(), "start.json is missing"),
        (shutil.rmtree, "is missing. Pin the champion with `genflows start champion-of-digits`, or run `dvc pull`"),
    ],
)
def test_a_start_that_is_not_what_was_written_is_refused(
    spoil: Any, words: str, champions: Workspace, tmp_path: Path
) -> None:
    made = workspace(tmp_path)
    spoil(pinned(made, "digits", champions.train("vae")))
    with pytest.raises(UserError, match=words):
        trained(made, "vae")
    assert not made.train("vae").exists()


def test_the_start_random_has_to_be_there(tmp_path: Path) -> None:
    made = workspace(tmp_path, FIRST)
    made.start("random").unlink()
    with pytest.raises(UserError, match="random is missing. It comes with the project: restore it with `git checkout"):
        trained(made, "vae")


def test_whoever_only_uses_a_model_passes_over_its_critics(champions: Workspace) -> None:
    published = artifact.load(champions.train("dcgan"))
    assert not any("discriminator" in name for name in published.network.state_dict())


def test_weights_of_a_refreshed_model_load_like_any_other(champions: Workspace, tmp_path: Path) -> None:
    made = workspace(tmp_path)
    pinned(made, "digits", champions.train("vae"))
    trained(made, "vae")
    assert artifact.load(made.train("vae")).generate(3, seed=0).shape == (3, 16, 16, 1)


def test_critics_are_those_of_the_step_that_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gen import selection

    made = workspace(tmp_path, FIRST)
    seen: dict[int, dict[str, torch.Tensor]] = {}
    step_on = Training.step

    def stepped(training: Training, *arguments: Any) -> Any:
        moment = step_on(training, *arguments)
        live = origin.critics(training.trainer.networks, training.average.source)
        seen[moment.images] = {name: tensor.clone() for name, tensor in live.items()}
        return moment

    monkeypatch.setattr(Training, "step", stepped)
    values = {320: 0.5, 640: 1.0}
    monkeypatch.setattr(selection, "measure", lambda _, images: selection.Selected(images, values[images], 0.1))
    trained(made, "dcgan")
    kept = safetensors.torch.load_file(made.train("dcgan") / CRITICS)
    assert all(torch.equal(kept[name], tensor) for name, tensor in seen[320].items())
    assert not all(torch.equal(kept[name], tensor) for name, tensor in seen[640].items())
