"""Neighbours by blocks against all pairs at once."""

import numpy as np
import pytest

from gen.metrics.neighbours import among_themselves, nearest
from tests.gen.metrics.test_frechet import features


def all_pairs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x[:, None].astype(np.float64) - y[None], axis=2)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_equal_all_pairs_in_any_block(block: int) -> None:
    x, y = features(40, 5, 0), features(30, 5, 1)
    distances, found = nearest(x, y, block)
    np.testing.assert_array_equal(found, all_pairs(x, y).argmin(1))
    np.testing.assert_allclose(distances, all_pairs(x, y).min(1), rtol=1e-12)
    own = all_pairs(x, x)
    np.fill_diagonal(own, np.inf)
    np.testing.assert_array_equal(nearest(x, x, block, own=np.arange(40))[1], own.argmin(1))
    squared, found = among_themselves(x, 4, block)
    np.testing.assert_array_equal(found, own.argsort(1)[:, :4])
    np.testing.assert_allclose(np.sqrt(squared), np.sort(own, 1)[:, :4], rtol=1e-9)


def test_a_copy_far_from_the_origin_is_at_no_distance() -> None:
    x = (features(200, 8, 0) * 1e-3 + 1e4).astype(np.float32)
    distances, found = nearest(x[::-1], x)
    assert not distances.any()
    np.testing.assert_array_equal(x[found], x[::-1])
