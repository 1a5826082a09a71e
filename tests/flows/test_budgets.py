"""Budgets from minutes: arithmetic in closed form, and the command in miniature."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import budgets, settings
from flows.budgets import budget, rounded, share
from flows.slots import wall_time
from gen import config
from gen.config import Machine
from tests.conftest import ROOT

PARAMS = config.load(ROOT / "params.yaml")
VAE = PARAMS.model("vae")
DCGAN = PARAMS.model("dcgan")  # 120,000 images, log 5,000, milestone 30,000, half-life 10,000
RATES = st.floats(0.01, 1e6)
MINUTES = st.floats(0.01, 1e4)


@given(RATES, MINUTES)
def test_the_images_are_those_of_the_time_and_twice_the_time_has_twice_of_them(rate: float, minutes: float) -> None:
    single = VAE.model_copy(update={"batch": 1})
    one, two = (budget("m", single, rate, 60 * times * minutes) for times in (1, 2))
    if rate * minutes * 60 > 10:
        assert one.seconds == pytest.approx(60 * minutes, rel=0.05)  # two significant digits
        assert two.images == pytest.approx(2 * one.images, rel=0.1)


@given(st.floats(1, 1e12))
def test_two_digits_are_significant(count: float) -> None:
    assert len(str(rounded(count)).rstrip("0")) <= 2
    assert rounded(count) == pytest.approx(count, rel=0.05, abs=0.5)


def test_a_budget_is_a_batch_at_least() -> None:
    assert budget("m", VAE, 1.0, 0.001).images == VAE.batch


@given(st.integers(1, 20), MINUTES, st.integers(1, 4))
def test_the_shares_of_all_fill_the_time(models: int, minutes: float, threads: int) -> None:
    machine = Machine(threads=threads)
    each = share(minutes, models, machine)
    slots = budgets.training_slots(machine)
    assert wall_time(dict.fromkeys(map(str, range(models)), each), slots) == pytest.approx(60 * minutes)


def test_what_fits_stays_and_what_does_not_keeps_its_share() -> None:
    assert budget("dcgan", DCGAN, 1000, 120).others == {}
    assert budget("dcgan", DCGAN, 1000, 1000).others == {}
    assert budget("dcgan", DCGAN, 1000, 60).others == {"ema_half_life": 5000}
    assert budget("dcgan", DCGAN, 1000, 12).others == {"checkpoint_every": 3000, "ema_half_life": 1000}
    assert budget("dcgan", DCGAN, 1000, 1.2).others == {
        "log_every": 50, "checkpoint_every": 300, "ema_half_life": 100,
    }  # fmt: skip


def test_nothing_but_the_changed_numbers_is_written(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    settings.edit(path, list(budget("dcgan", DCGAN, 1000, 12).settings()))
    before, after = ((ROOT / "params.yaml").read_text().split("\n"), path.read_text().split("\n"))
    assert [(old.strip(), new.strip()) for old, new in zip(before, after, strict=True) if old != new] == [
        ("images: 120000", "images: 12000"),
        ("ema_half_life: 10000", "ema_half_life: 1000"),
        ("checkpoint_every: 30000", "checkpoint_every: 3000"),
    ]
