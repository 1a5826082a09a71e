"""Figures of points against closed forms: samplers whose modes, shares and distances are known."""

import math

import numpy as np
import pytest

from gen import patterns
from gen.metrics.halves import whole
from gen.metrics.points import Array, Modes, modes, sliced_wasserstein

COUNT = 20_000


def counted(points: Array, mixture: patterns.Mixture) -> Modes:
    return modes(points, mixture.means, mixture.std, whole(len(points)))


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_a_perfect_sampler_finds_all_modes(name: patterns.Name) -> None:
    mixture = patterns.known(name)
    assert mixture is not None
    found = counted(patterns.draw(name, COUNT), mixture)
    assert found.found.tolist() == [len(mixture.means)]
    # The radius of a round normal in its own std is Rayleigh's: within 3 lie 1 - exp(-9/2).
    expected = 1 - math.exp(-4.5)
    assert found.good.mean() == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / COUNT))
    # 2 N KL of a sample's shares is chi squared of K - 1 degrees, whose mean is K - 1.
    assert 0 < found.reverse_kl[0] < 3 * len(mixture.means) / (2 * COUNT)


def test_a_sampler_of_one_mode_diverges_by_the_log_of_their_number() -> None:
    mixture = patterns.ring()
    alone = patterns.Mixture(mixture.means[3:4], mixture.std).draw(1000, np.random.default_rng(0))
    found = counted(alone, mixture)
    assert found.found.tolist() == [1]
    assert found.reverse_kl[0] == pytest.approx(math.log(8))


def test_a_mode_without_a_good_point_is_not_found_and_yet_has_its_share() -> None:
    mixture = patterns.grid()
    blurred = mixture.means + np.array([4 * mixture.std, 0])
    found = counted(blurred, mixture)
    assert (found.found[0], found.good.mean()) == (0, 0)
    assert found.reverse_kl[0] == pytest.approx(0, abs=1e-12)


def test_each_subset_is_counted_as_if_it_were_alone() -> None:
    mixture = patterns.ring()
    points = mixture.draw(40, np.random.default_rng(1))
    masks = np.random.default_rng(2).random((5, 40)) < 0.2
    together = modes(points, mixture.means, mixture.std, masks)
    for row, mask in enumerate(masks):
        alone = counted(points[mask], mixture)
        assert together.found[row] == alone.found[0]
        assert together.reverse_kl[row] == pytest.approx(alone.reverse_kl[0])


def test_a_shift_costs_the_mean_of_its_shadows() -> None:
    points = patterns.draw("moons", 500)
    # The mean of |cos| over all directions is 2 / pi.
    assert sliced_wasserstein(points, points + np.array([0.3, -0.4])) == pytest.approx(0.5 * 2 / math.pi, rel=1e-3)
    assert sliced_wasserstein(points, np.random.default_rng(0).permutation(points)) == pytest.approx(0, abs=1e-12)


def test_sets_of_different_sizes_are_compared_as_distributions() -> None:
    points, others = patterns.draw("moons", 60), patterns.draw("moons", 45, seed=1)
    assert sliced_wasserstein(points, np.repeat(points, 3, axis=0)) == pytest.approx(0, abs=1e-12)
    # Of three times and four times as many the quantiles fall together.
    same = sliced_wasserstein(np.repeat(points, 3, axis=0), np.repeat(others, 4, axis=0))
    assert sliced_wasserstein(points, others) == pytest.approx(same)
    assert sliced_wasserstein(points, others) == pytest.approx(sliced_wasserstein(others, points))


def test_mass_that_moves_costs_its_share() -> None:
    here = np.zeros((10, 2))
    there = here.copy()
    there[:3] = [0, 1]
    assert sliced_wasserstein(here, there) == pytest.approx(0.3 * 2 / math.pi, rel=1e-3)
