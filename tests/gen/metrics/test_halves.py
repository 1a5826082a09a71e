"""What half-samples promise: their spread is that of full samples."""

import numpy as np
import pytest
import torch

from gen.metrics.halves import half_samples


def test_each_keeps_half_without_repeats_and_all_come_up() -> None:
    masks = half_samples(11, 400, torch.Generator().manual_seed(0))
    assert masks.shape == (400, 11)
    assert set(masks.sum(1)) == {5}
    assert abs(masks.mean(0) - 5 / 11).max() < 0.1


def test_a_seed_names_the_halves() -> None:
    one, same, other = (half_samples(50, 20, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("count", [40, 41, 1000])
def test_spread_of_a_mean_is_its_standard_error(count: int) -> None:
    """It is s / sqrt(n), exactly for even n: the finite population's factor 1 - 1/2 undoes the halving."""
    values = np.random.default_rng(0).exponential(size=count)
    masks = half_samples(count, 4000, torch.Generator().manual_seed(0))
    spread = (masks @ values / masks.sum(1)).std(ddof=1)
    assert spread == pytest.approx(values.std(ddof=1) / np.sqrt(count), rel=0.06)
