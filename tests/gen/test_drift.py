"""Drift: the test errs as often as it says, sees what is there, and does not care for the order of images."""

import numpy as np
import pytest
import torch

from gen.drift import LEVEL, Drift, drift
from gen.errors import TooFewImagesError
from gen.metrics.kernel import kernel_distance

TRIALS = 200


def drawn(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Features of one kind, none of them normal: float32 [count, 4]."""
    return (np.random.default_rng(seed).exponential(size=(count, 4)) + shift).astype(np.float32)


def measured(then: np.ndarray, now: np.ndarray, seed: int = 0, level: float = LEVEL) -> Drift:
    return drift(then, now, torch.Generator().manual_seed(seed), level)


def test_images_of_one_kind_drift_as_often_as_the_level_says() -> None:
    found = [measured(drawn(12, 2 * trial), drawn(20, 2 * trial + 1), trial, level=0.05) for trial in range(TRIALS)]
    # Of 200 trials at 5 %, 99.9 % lie in this interval (binomial).
    assert 2 <= sum(each.drifted for each in found) <= 21
    # p is uniform: its distribution function is off by no more than Kolmogorov's 99.9 % bound.
    ranks = np.sort([each.p for each in found])
    assert np.abs(ranks - (np.arange(TRIALS) + 0.5) / TRIALS).max() < 1.95 / np.sqrt(TRIALS) + 0.5 / TRIALS


def test_images_of_another_kind_are_seen() -> None:
    for seed in range(20):
        found = measured(drawn(40, seed), drawn(40, 100 + seed, shift=1.5))
        assert found.drifted
        assert found.p == 0.001
        assert found.distance > found.chance > 0


def test_chance_and_p_say_the_same() -> None:
    for seed in range(40):
        found = measured(drawn(20, seed), drawn(20, 100 + seed, shift=seed / 50), level=0.05)
        assert found.drifted == (found.p <= 0.05)


def test_the_distance_is_that_of_the_judge_whatever_the_order() -> None:
    then, now = drawn(30, 0), drawn(25, 1, shift=0.2)
    found, turned = measured(then, now), measured(then[::-1], now[::-1])
    assert found.distance == pytest.approx(kernel_distance(then, now), rel=1e-9)
    assert turned.distance == pytest.approx(found.distance, rel=1e-9)
    # Other partitions are drawn: p moves by what 999 of them leave open.
    assert turned.p == pytest.approx(found.p, abs=5 * np.sqrt(found.p * (1 - found.p) / 999))
    assert (found.then, found.now) == (30, 25)


def test_equal_seeds_give_equal_answers() -> None:
    assert measured(drawn(20, 0), drawn(20, 1)) == measured(drawn(20, 0), drawn(20, 1))


def test_one_image_tells_nothing() -> None:
    with pytest.raises(TooFewImagesError):
        measured(drawn(1, 0), drawn(20, 1))
