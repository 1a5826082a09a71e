"""The spread of a distance is what drawing all images again would show."""

import numpy as np
import pytest

from gen.metrics.frechet import fit, frechet_distance
from gen.metrics.kernel import kernel_distance
from gen.reference import distances_to


def drawn(random: np.random.Generator, count: int, shift: float) -> np.ndarray:
    """Skewed features [count, 4] whose means lie `shift` apart from those of shift 0."""
    return (random.exponential(size=(count, 4)) + shift).astype(np.float32)


@pytest.mark.parametrize("shift", [0.3, 1.0])
def test_spread_is_that_of_new_images_on_both_sides(shift: float) -> None:
    random = np.random.default_rng(0)
    trials = [(drawn(random, 300, 0), drawn(random, 500, shift)) for _ in range(150)]
    by_hand = {
        "frechet": [frechet_distance(fit(real), fit(made)) for real, made in trials],
        "kernel": [kernel_distance(real, made) for real, made in trials],
    }
    measured = [distances_to(fit(real), real, made, seed=0, resamples=50) for real, made in trials[:20]]
    for name, values in by_hand.items():
        assert [distances[name].value for distances in measured] == pytest.approx(values[:20])
        said = np.mean([np.std(distances[name].halves, ddof=1) for distances in measured])
        assert said == pytest.approx(np.std(values, ddof=1), rel=0.25)


def test_equal_seeds_draw_equal_halves() -> None:
    """So two generators are compared image by image: a constant difference has no spread."""
    random = np.random.default_rng(0)
    real, made = drawn(random, 100, 0), drawn(random, 100, 1)
    one, same = (distances_to(fit(real), real, made, seed=3, resamples=10)["frechet"].halves for _ in range(2))
    other = distances_to(fit(real), real, made, seed=4, resamples=10)["frechet"].halves
    assert one is not None
    assert (one == same).all()
    assert (one != other).any()
