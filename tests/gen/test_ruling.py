"""A challenger is promoted when it is better beyond chance, and by enough to count."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gen.metrics import frechet
from gen.metrics.card import Figure
from gen.metrics.distribution import distances
from gen.metrics.halves import half_samples
from gen.ruling import Gain, Standard, decide, gain
from tests.gen.metrics.test_card import CARD, FIELDS, differing

NOISE = np.random.default_rng(0).standard_normal(400)
NOISE = (NOISE - NOISE.mean()) / NOISE.std(ddof=1)
"""Mean 0 and deviation 1."""
LENIENT = Standard(level=0.02275, effect=0.0)
"""Two deviations of chance (Student's with 399 degrees of freedom: 2.007), and any gain counts."""


def figure(value: float, chance: np.ndarray | None = NOISE, baseline: float | None = 100.0) -> Figure:
    """A figure without bias, whose floor is 0.5."""
    halves = None if chance is None else value + chance
    return Figure("kernel", value, "", CARD, floor=0.5, baseline=baseline, halves=halves)


@pytest.mark.parametrize(
    ("value", "decision"), [(7.98, "promote"), (8.01, "undecided"), (11.99, "undecided"), (12.02, "keep")]
)
def test_a_gain_counts_beyond_chance(value: float, decision: str) -> None:
    """The champion scores 10 and the difference spreads by 1: two spreads lie between 8 and 12."""
    ruling = decide(figure(value), figure(10, chance=NOISE * 0), LENIENT)
    assert ruling.decision == decision
    assert ruling.gain == Gain(
        *(pytest.approx(10 - value + reach, abs=1e-3) for reach in (0, -2.0071, 2.0071)), needed=0.0
    )


@pytest.mark.parametrize(
    ("value", "decision"), [(8.99, "promote"), (9.06, "undecided"), (9.11, "keep"), (9.9, "keep"), (10.5, "keep")]
)
def test_a_certain_gain_counts_from_the_minimum_effect(value: float, decision: str) -> None:
    """A tenth of the way from 10 to the floor of 0.5 is 0.95; the difference spreads by 0.02."""
    ruling = decide(figure(value, NOISE * 0.02), figure(10, NOISE * 0), replace(LENIENT, effect=0.1))
    assert ruling.gain is not None
    assert (ruling.decision, ruling.gain.needed) == (decision, pytest.approx(0.95))


def test_the_level_of_chance_widens_the_interval() -> None:
    champion = figure(10, chance=NOISE * 0)
    assert decide(figure(7.5), champion, LENIENT).decision == "promote"
    assert decide(figure(7.5), champion, replace(LENIENT, level=0.5 / 365)).decision == "undecided"


def test_chance_that_both_share_cancels() -> None:
    """Both move by 1 with the images, but together: a difference of 0.1 is certain."""
    assert decide(figure(9.9), figure(10), LENIENT).decision == "promote"
    assert decide(figure(10), figure(10), replace(LENIENT, effect=0.01)).decision == "keep"


def test_where_higher_is_better_the_higher_is_promoted() -> None:
    """From 10 up to the floor of 15 there are 5 to go, and 1.5 are asked for."""
    higher, lower = (
        Figure("coverage", value, "", CARD, floor=15.0, baseline=0.0, lower_is_better=False, halves=value + 0.1 * NOISE)
        for value in (12.0, 10.0)
    )
    standard = Standard(0.01, 0.3)
    ruling = decide(higher, lower, standard)
    assert ruling.gain is not None
    assert (ruling.decision, ruling.gain.value, ruling.gain.needed) == ("promote", pytest.approx(2), pytest.approx(1.5))
    assert decide(lower, higher, standard).decision == "keep"
    assert decide(lower, None, standard).decision == "promote"
    assert decide(replace(lower, value=0.0), None, standard).decision == "keep"


def test_the_first_of_its_task_is_promoted_if_it_is_better_than_nothing() -> None:
    assert decide(figure(99), None, LENIENT).decision == "promote"
    assert "no better than doing nothing" in decide(figure(100), None, LENIENT).reason
    assert decide(figure(100), None, LENIENT).decision == "keep"
    assert decide(figure(100), figure(200), LENIENT).decision == "keep"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_never_wins(value: float) -> None:
    broken = figure(value, chance=None)
    assert decide(broken, None, LENIENT).decision == "keep"
    assert decide(broken, figure(10), LENIENT).decision == "keep"
    assert decide(figure(10), broken, LENIENT).decision == "promote"


def test_without_a_spread_nothing_is_decided() -> None:
    ruling = decide(figure(1, chance=None), figure(10), LENIENT)
    assert ruling.decision == "undecided"
    assert "too few" in ruling.reason


@pytest.mark.parametrize("field", FIELDS)
def test_figures_whose_cards_differ_in_any_field_have_no_order(field: str) -> None:
    for value in (1, 50):
        ruling = decide(figure(value), replace(figure(10), card=differing(field)), LENIENT)
        assert ruling.decision == "undecided"
        assert f"({field})" in ruling.reason


def measured(generator: np.random.Generator, spread: float, count: int, real: int) -> Figure:
    """The Frechet distance of normal features of this spread to standard normal ones, in 4 dimensions."""
    features = np.random.default_rng(7).standard_normal((real, 4)).astype(np.float32)
    made = (spread * generator.standard_normal((count, 4))).astype(np.float32)
    masks = [half_samples(side, 30, torch.Generator().manual_seed(seed)) for seed, side in enumerate((real, count))]
    found = distances(frechet.fit(features), features, made, *masks)["frechet"]
    return Figure("frechet", found.value, "", CARD, halves=found.halves)


def test_the_gain_is_free_of_the_bias_that_favours_whoever_varies_less() -> None:
    """Spreads of 0.9 and 1.1 are equally far from 1, but the wider one has the greater bias.

    The plain difference leans to the narrow one for certain; what is decided on leans less than chance does.
    """
    generator = np.random.default_rng(1)
    plain, gains = [], []
    for _ in range(100):
        narrow, wide = (measured(generator, spread, count=40, real=2000) for spread in (0.9, 1.1))
        found = gain(narrow, wide, LENIENT)
        assert found is not None
        plain.append(wide.value - narrow.value)
        gains.append(found.value)
    error = np.std(gains, ddof=1) / math.sqrt(len(gains))
    assert abs(np.mean(gains)) < 3 * error
    assert np.mean(plain) > 4 * error


def test_equal_generators_are_called_better_as_often_as_was_said() -> None:
    """At a level of 10 % and with any gain, of 100 pairs of samples of one generator at most 24 are promoted.

    That is what the binomial distribution lets pass all but once in ten thousand times; it may be too careful.
    """
    generator = np.random.default_rng(2)
    standard = Standard(level=0.1, effect=0.0)
    pairs = ([measured(generator, 1.2, count=200, real=400) for _ in range(2)] for _ in range(100))
    assert sum(decide(*pair, standard).decision == "promote" for pair in pairs) <= 24
