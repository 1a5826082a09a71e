"""Points, their box and their picture."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gen import images, patterns
from gen.plane import IN_FRONT, ROOM, SIDE, Box, scatter

NUMBERS = st.floats(-1e6, 1e6).map(lambda number: round(number, 3))
CLOUDS = arrays(np.float64, st.tuples(st.integers(1, 20), st.just(2)), elements=NUMBERS)


@given(CLOUDS)
def test_a_box_holds_its_points_and_gives_them_back(points: patterns.Points) -> None:
    box = Box.around(points)
    stored = box.inside(points)
    assert stored.shape == (len(points), 1, 1, 2)
    assert np.abs(stored).max() <= ROOM + 1e-6
    np.testing.assert_allclose(box.outside(stored), points, atol=1e-6 * box.half)


def test_a_box_is_hardly_larger_than_its_points_and_stays_when_few_come() -> None:
    points = patterns.draw("grid", 2000)
    box = Box.around(points)
    assert np.abs(box.inside(points)).max() > 0.85
    assert Box.around(np.concatenate([points, points.max(0, keepdims=True) + 0.01])) == box


def test_points_are_tensors_as_they_are() -> None:
    stored = Box.around(patterns.draw("ring", 100)).inside(patterns.draw("ring", 100))
    tensor = images.to_float(torch.from_numpy(stored))
    assert tensor.shape == (100, 2, 1, 1)
    np.testing.assert_array_equal(images.to_pixels(tensor), stored)
    assert images.to_pixels(tensor).dtype == np.float32
    assert (images.to_pixels(tensor * torch.nan) == 0).all()
    np.testing.assert_array_equal(images.to_pixels(2 * tensor), np.clip(2 * stored, -1, 1))


def test_a_picture_has_each_point_in_its_place() -> None:
    corner = np.array([[[[1, 1]]]], np.float32)
    picture = scatter(corner, behind=-corner)
    painted = (picture == IN_FRONT).all(2)
    assert painted.sum() == 9
    assert painted[:3, SIDE - 3 :].all()
    assert (picture != 255).any(2)[SIDE - 3 :, :3].all()


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_a_mixture_has_the_moments_it_should(name: patterns.Name) -> None:
    mixture = patterns.known(name)
    assert mixture is not None
    points = mixture.draw(100_000, np.random.default_rng(3))
    # Of the ring half of the squared radius 4 along each axis; of the grid the mean of 16, 4, 0, 4 and 16.
    variance = {"ring": 2.0, "grid": 8.0}[name] + mixture.std**2
    assert points.mean(0) == pytest.approx([0, 0], abs=5 * math.sqrt(variance / 100_000))
    assert points.var(0) == pytest.approx([variance] * 2, rel=0.02)


def test_moons_lie_on_their_half_circles() -> None:
    points = patterns.draw("moons", 5000)
    upper = np.abs(np.hypot(*points.T) - 1)
    lower = np.abs(np.hypot(*(points - [1, 0.5]).T) - 1)
    assert np.minimum(upper, lower).max() < 6 * patterns.MOON_NOISE
    assert ((upper < lower).mean()) == pytest.approx(0.5, abs=0.05)
