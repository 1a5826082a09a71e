"""Signs of collapse: planted ones are seen, healthy generators show none, and what the config says is done."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gen import config, files, health, selection
from gen.errors import UserError
from gen.steps import train as step
from gen.workspace import Workspace
from tests.gen import fabricated
from tests.gen.test_families import begun
from tests.gen.test_families import config as model
from tests.gen.test_resume import PARAMS, outcome, workspace

SEEDS = range(20)
LABELS = [str(digit) for digit in range(10)]


def features(seed: int, count: int = 400, width: float = 1.0) -> Any:
    return np.random.default_rng(seed).normal(0, width, (count, 16)).astype(np.float32)


def test_outputs_that_are_all_alike() -> None:
    real = features(100, 150)
    assert all(health.too_alike(features(seed, width=0.25), real) for seed in SEEDS)
    assert all(health.too_alike(np.repeat(features(seed, 1), 400, axis=0), real) for seed in SEEDS)
    assert not any(health.too_alike(features(seed, width=0.5), real) for seed in SEEDS)
    assert health.too_alike(features(0, width=0.2), real) == [
        "few distinct images: they vary 4.1% as much as real ones"
    ]


def shares(seed: int, count: int, without: tuple[int, ...] = ()) -> list[float]:
    weights = np.array([0.0 if digit in without else 1.0 for digit in range(10)])
    drawn = np.random.default_rng(seed).choice(10, count, p=weights / weights.sum())
    return [float(share) for share in np.bincount(drawn, minlength=10) / count]


def test_modes_that_are_missing() -> None:
    for seed in SEEDS:
        real = shares(100 + seed, 450)
        assert health.missing_modes(shares(seed, 1000, (3, 7)), real, LABELS) == ["missing modes: hardly any 3, 7"]
        assert health.missing_modes(shares(seed, 1000), real, LABELS) == []
    rare = [0.991, *[0.001] * 9]
    assert health.missing_modes([1.0, *[0.0] * 9], rare, LABELS) == []


def test_classes_are_looked_for_where_images_are_like_real_ones() -> None:
    real = features(100, 150)
    for seed in SEEDS:
        assert health.lifelike(features(seed), real)
        assert not health.lifelike(features(seed) + 3, real)
        assert not health.lifelike(features(seed, width=3.0), real)


def test_a_translator_that_copies() -> None:
    random = np.random.default_rng(0)
    inputs, targets, noise = (random.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8) for _ in range(3))
    nearly = ((inputs.astype(np.int16) * 15 + noise) // 16).astype(np.uint8)
    here, there = features(0), features(1) + 2
    for outputs, where, copied in (
        (inputs, here, True),
        (nearly, here + 0.5, True),
        (nearly, there, False),  # few pixels make the difference
        (targets, here, False),  # it goes somewhere else
        (targets, there, False),
    ):
        told = health.copies((inputs, outputs, targets), (here, where, there))
        assert [sign.startswith("the translator copies its input: it goes ") for sign in told] == [True] * copied


def test_losses_that_tell() -> None:
    gan, vae = begun(model("gan")).trainer, begun(model("vae")).trainer
    assert gan.signs({"real_logit": 15.0, "fake_logit": -15.0}) == [
        "the discriminator is saturated: its logits are 30 apart"
    ]
    assert gan.signs({"real_logit": 2.0, "fake_logit": -2.0}) == gan.signs({}) == []
    assert vae.signs({"kl": 0.01}) == ["the posterior has collapsed: the KL is 0.01 nats"]
    assert vae.signs({"kl": 12.0}) == vae.signs({}) == []


@pytest.fixture
def dying(tmp_path: Path) -> Workspace:
    """A VAE whose KL is driven to nothing in the second half of its budget."""
    made = workspace(tmp_path)
    falling = "learning_rate: 0.005, beta: {value: 1.0e-06, to: 10000, after: 0.5}"
    files.write(made.params_file, PARAMS.replace("learning_rate: 0.001", falling).replace("images: 160", "images: 640"))
    return made


def trained(made: Workspace, on_collapse: str) -> list[str]:
    said: list[str] = []
    text = made.params_file.read_text().replace("ema_half_life: 50", f"on_collapse: {on_collapse}")
    files.write(made.params_file, text)
    step.train(made, config.load(made.params_file), "vae", code={}, say=said.append)
    return said


def test_a_collapse_is_noticed_within_one_milestone_and_told(dying: Workspace) -> None:
    said = trained(dying, "warn")
    records = files.Journal.read(dying.train("vae") / "journal.jsonl")
    kl = {record["images"]: record["losses"]["kl"] for record in records if record["losses"]}
    signs = {record["images"] for record in records if any("KL" in sign for sign in record.get("signs", []))}
    milestones = range(32, 641, 32)
    assert signs == {images for images in milestones if kl[images] < 0.1}
    assert 0 < len(signs) < len(milestones)
    assert any("signs of collapse: the posterior has collapsed: the KL is" in line for line in said)


def test_a_collapse_can_stop_a_training(dying: Workspace) -> None:
    said = trained(dying, "stop")
    records = files.Journal.read(dying.train("vae") / "journal.jsonl")
    assert said[-1] == "vae  ends: it collapsed"
    assert records[-1]["signs"]
    assert records[-1]["images"] < 640
    assert outcome(dying, "vae")


def test_a_collapse_can_send_a_training_back(dying: Workspace) -> None:
    with pytest.raises(UserError, match="or it collapsed, also after going back 2 times"):
        trained(dying, "roll_back")


@pytest.mark.parametrize("name", ["dcgan", "edges2digits"])
def test_what_is_measured_shows_the_signs(name: str, tmp_path: Path) -> None:
    made, params = fabricated.workspace(tmp_path)
    seen = []
    real = selection.make

    def make(*arguments: Any) -> selection.Made:
        seen.append(real(*arguments))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "make", make)
        fabricated.trained(made, params, name)
    records = files.Journal.read(made.train(name) / "journal.jsonl")
    told = [tuple(record["signs"]) for record in records if "signs" in record]
    assert [sign for signs in told for sign in signs] == [sign for one in seen for sign in one.signs]
    assert told  # hardly trained, it makes one grey image


@pytest.mark.parametrize(("distances", "told"), [((1.0, 0.5, 0.25), [96]), ((0.5, 1.0, 1.0), [64, 96])])
def test_classes_that_may_still_be_learnt_are_not_missed_yet(
    distances: tuple[float, ...], told: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing ones are told of a generator that got no better, and of one at its end."""
    made, _ = fabricated.workspace(tmp_path)
    files.write(made.params_file, fabricated.PARAMS.replace("images: 64, batch: 16", "images: 96, batch: 16"))
    values = dict(zip((32, 64, 96), distances, strict=True))
    real = selection.make
    monkeypatch.setattr(selection, "make", lambda *given: replace(real(*given), missing=("missing modes: 7",)))
    monkeypatch.setattr(selection, "measure", lambda _, images: selection.Selected(images, values[images], 0.1))
    step.train(made, config.load(made.params_file), "vae", code={}, say=lambda _: None)
    records = files.Journal.read(made.train("vae") / "journal.jsonl")
    missed = [record["images"] for record in records if "missing modes: 7" in record.get("signs", [])]
    assert missed == told
