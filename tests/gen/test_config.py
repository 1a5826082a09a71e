"""params.yaml is checked once, at the edge."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gen import config
from gen.config import UNMEASURED, Promotion
from gen.errors import UserError
from tests.conftest import ROOT, TINY


def values(tmp_path: Path, text: str = TINY) -> dict[str, Any]:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return config.read_yaml(path)


@pytest.mark.parametrize("path", [ROOT / "params.yaml"])
def test_what_is_shipped_is_possible(path: Path) -> None:
    params = config.load(path)
    for name in params.blocks:
        assert params.model(name).dataset in params.datasets


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("machine:", "machin:", "`machin` is not a known block. Did you mean `machine`"),
        ("  threads: 1", "  threads: one", "`machine.threads` is 'one', but .*integer"),
        ("  threads: 1", "  thread: 1", r"`machine.thread` is not a known key. Did you mean `threads`"),
        ("  device: cpu", "  device: gpu", "`machine.device` is 'gpu'"),
        ("  device: cpu", "  device: cpu\n  precision: tf32", "`precision` tf32 is for cuda, not for cpu"),
        ("    size: 28", "    size: 28.5", "`datasets.digits.size`"),
        ("  gan:", "  'gan; rm -rf /':", "is not a usable name"),
        ("  samples: 512", "  samples: 1", "`judge.samples` is 1"),
        ("judge:", "retrain: {when: monthly}\njudge:", "`retrain.when` is 'monthly'"),
        ("judge:", "promotion: {minimum_effect: {digit: 0.1}}\njudge:", "names no dataset. Did you mean `digits`"),
        ("judge:", "promotion: {minimum_effect: {digits: 1}}\njudge:", "`minimum_effect.digits` is 1, but"),
        ("judge:", "promotion: {false_per_year: 300}\njudge:", "300 of 365 verdicts"),
    ],
)
def test_a_fault_is_named_with_its_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TINY
    with pytest.raises(UserError, match=message):
        config.from_values(values(tmp_path, TINY.replace(old, new)))


def test_an_unknown_model_or_dataset_is_answered_with_the_nearest(tmp_path: Path) -> None:
    params = config.from_values(values(tmp_path))
    with pytest.raises(UserError, match="no model `vee`. Did you mean `vae`"):
        params.model("vee")
    with pytest.raises(UserError, match="no dataset `digit`. Did you mean `digits`"):
        params.dataset("digit")


def test_the_error_budget_of_a_year_is_shared_by_verdicts_and_contenders() -> None:
    promotion = Promotion(false_per_year=0.5, verdicts_per_year=100, minimum_effect={"digits": 0.2})
    assert promotion.level(1) * 100 == pytest.approx(0.5)
    assert promotion.level(4) * 4 == pytest.approx(promotion.level(1))
    assert promotion.effect("digits") == 0.2
    assert promotion.effect("photos") == UNMEASURED


def test_a_file_that_is_missing_or_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        config.load(tmp_path / "params.yaml")
    with pytest.raises(UserError, match="not valid YAML"):
        values(tmp_path, "models: [")
    with pytest.raises(UserError, match="no mapping"):
        values(tmp_path, "- a")


def test_params_are_frozen(tmp_path: Path) -> None:
    params = config.from_values(values(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        params.machine.threads = 3  # type: ignore[misc]


CHAMPION = "    init: champion-of-digits\n"
REFRESH = "    refresh: {images: 256, learning_rate: {value: 0.0001, to: 0}}\n"


def begun_from(tmp_path: Path, init: str, refresh: str = "") -> config.Params:
    """The tiny params with another start for the model `gan`."""
    text = TINY.replace("    network: dcgan\n    init: random\n", f"    network: dcgan\n{init}{refresh}")
    assert text != TINY
    return config.from_values(values(tmp_path, text))


def test_a_refresh_holds_from_a_champion_alone(tmp_path: Path) -> None:
    block = begun_from(tmp_path, CHAMPION, REFRESH).model("gan")
    drawn, refreshed = (block.begun_from(champion=champion, where="models.gan") for champion in (False, True))
    assert (drawn.images, drawn.learning_rate.at(0.5)) == (512, 0.0002)
    assert (refreshed.images, refreshed.learning_rate.at(0.5)) == (256, 0.00005)
    assert drawn.refresh == refreshed.refresh == {}
    assert refreshed.model_dump() | {"images": 0, "learning_rate": 0} == drawn.model_dump() | {
        "images": 0,
        "learning_rate": 0,
    }


def test_the_starts_that_are_needed_are_those_that_models_name(tmp_path: Path) -> None:
    assert config.from_values(values(tmp_path)).champion_starts == {}
    assert begun_from(tmp_path, CHAMPION).champion_starts == {"champion-of-digits": "digits"}


@pytest.mark.parametrize(
    ("init", "refresh", "message"),
    [
        ("", "", "`models.gan.init` is missing; add it"),
        ("    init: ramdom\n", "", "`models.gan.init`: it is 'ramdom'. Did you mean `random`"),
        ("    init: champion\n", "", "it is 'champion'. Valid: random, champion-of-DATASET"),
        (
            "    init: champion-of-digit\n",
            "",
            "`models.gan.init` is `champion-of-digit`, but `digit` is not among the datasets. "
            "Did you mean `champion-of-digits`",
        ),
        (
            "    init: champion-of-photos\n",
            "",
            "`photos` has images of 64 px and 3 channels, and the model's own 28 px and 1. Did you mean",
        ),
        (
            "    init: random\n",
            REFRESH,
            "`refresh` would never be used, .* Set `init` to `champion-of-digits`, or remove",
        ),
        (CHAMPION, "    refresh: {imges: 3}\n", "`refresh.imges` cannot be set: .* Did you mean `images`"),
        (
            CHAMPION,
            "    refresh: {width: 8}\n",
            "`refresh.width` cannot be set: a refresh changes budget, rates and sch",
        ),
        (CHAMPION, "    refresh: {seed: 8}\n", "`refresh.seed` cannot be set"),
        (CHAMPION, "    refresh: {images: 0}\n", "`models.gan.refresh.images` is 0, but .*greater than or equal to 1"),
        (CHAMPION, "    refresh: {learning_rate: fast}\n", "`models.gan.refresh.learning_rate`: it is 'fast'"),
        (CHAMPION, "    refresh: {r1: 1.0}\n", "`models.gan.refresh`: batch norm does not go with r1"),
        (CHAMPION, "    refresh: 3\n", "`models.gan.refresh` is 3, but .*dictionary"),
    ],
)
def test_a_start_that_cannot_be_is_told(tmp_path: Path, init: str, refresh: str, message: str) -> None:
    params = begun_from(tmp_path, init, refresh)
    photos = config.Dataset(source={"kind": "folder"}, size=64, channels=3, extractor="digits")
    with pytest.raises(UserError, match=message):
        replace(params, datasets={**params.datasets, "photos": photos}).model("gan")
