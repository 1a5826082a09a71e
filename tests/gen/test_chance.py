"""Quantiles are Student's, and the minimum effect is what seeds alone do."""

import numpy as np
import pytest
from scipy import stats

from gen.chance import LUCK, luck, quantile


@pytest.mark.parametrize("freedom", [4, 9, 49, 999])
@pytest.mark.parametrize("probability", [0.5, 0.9, 0.95, 0.999])
def test_quantiles_are_those_of_students_distribution(probability: float, freedom: int) -> None:
    assert quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=0.01, abs=1e-9)


def test_far_quantiles_are_right_with_many_half_samples() -> None:
    for level in (0.5 / 365, 0.5 / 365 / 8, 1e-6):
        assert quantile(1 - level, 49) == pytest.approx(stats.t.ppf(1 - level, 49), rel=0.001)


@pytest.mark.parametrize("seeds", [5, 10])
def test_of_new_pairs_of_seeds_as_many_gain_the_minimum_effect_as_was_said(seeds: int) -> None:
    """Figures of mean 10 and deviation 1 above a floor of 2: over many measurements, LUCK of the pairs pass."""
    generator = np.random.default_rng(0)
    passed = []
    for _ in range(20_000):
        *known, one, other = generator.normal(10, 1, seeds + 2)
        found = luck(known, floor=2.0)
        passed.append(one - other > found.minimum_effect * (found.mean - found.floor))
    assert np.mean(passed) == pytest.approx(LUCK, abs=0.005)


def test_too_few_seeds_tell_nothing() -> None:
    with pytest.raises(ValueError, match="5 are needed"):
        luck([1, 2, 3, 4], 0)
    assert luck([3.0] * 5, 3.0).minimum_effect == np.inf
