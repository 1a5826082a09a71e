"""What infinitely many images would show, where the answer is known."""

import numpy as np
import pytest

from gen.metrics.distribution import Distance
from gen.metrics.extrapolation import at_infinity
from gen.metrics.frechet import fit
from gen.reference import distances_to

DIMENSION = 16


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_distance_of_known_gaussians_is_met_at_every_count(scale: float) -> None:
    """|m|^2 + sum (s1 - s2)^2, from 200 and 300 images: 50 times over."""
    shift = np.full(DIMENSION, 0.1 if scale > 1 else 0.0)
    true = float(shift @ shift + DIMENSION * (scale - 1) ** 2)
    plain, infinite, said = [], [], []
    for seed in range(50):
        random = np.random.default_rng(seed)
        real = random.standard_normal((200, DIMENSION)).astype(np.float32)
        made = (scale * random.standard_normal((300, DIMENSION)) + shift).astype(np.float32)
        distance = distances_to(fit(real), real, made, seed=seed, resamples=20)["frechet"]
        found = at_infinity(distance)
        assert found is not None
        plain.append(distance.value)
        infinite.append(found[0])
        said.append(found[1])
    error = np.std(infinite, ddof=1) / np.sqrt(50)
    assert abs(np.mean(infinite) - true) < 3 * error
    assert np.mean(plain) - true > 10 * abs(np.mean(infinite) - true)
    if scale > 1:
        assert np.mean(said) == pytest.approx(np.std(infinite, ddof=1), rel=0.3)


def test_two_counts_on_a_line_give_its_end() -> None:
    """D = 3 + 8 / n: 4 at n = 8, 5 at n = 4."""
    found = at_infinity(Distance(4.0, np.array([4.5, 5.5, 5.0])))
    assert found == (pytest.approx(3), pytest.approx(0.5 * np.sqrt(4 / 3)))
    assert at_infinity(Distance(4.0, None)) is None
