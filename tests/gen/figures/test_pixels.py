"""Images as points."""

from pathlib import Path

import numpy as np
import pytest

from gen.figures.pixels import points, side_of
from gen.shards import Shards, write_shards


def images(count: int, side: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels)).astype(np.uint8)


@pytest.mark.parametrize(
    ("channels", "size", "side"), [(1, 28, 28), (1, 64, 32), (3, 18, 18), (3, 32, 18), (3, 256, 18)]
)
def test_large_images_are_averaged_to_at_most_1024_numbers(channels: int, size: int, side: int) -> None:
    assert side_of(channels, size) == side
    made = points(images(2, size, channels))
    assert made.shape == (2, channels * side**2)
    assert made.shape[1] <= 1024


def test_small_images_are_their_pixels_and_larger_ones_means_of_blocks() -> None:
    small, large = images(3, 8, 3), images(3, 64, 1)
    np.testing.assert_allclose(points(small), small.transpose(0, 3, 1, 2).reshape(3, -1) / 255, rtol=1e-6)
    means = large[..., 0].reshape(3, 32, 2, 32, 2).mean((2, 4)).reshape(3, -1) / 255
    np.testing.assert_allclose(points(large), means, rtol=1e-5)


def test_rows_of_shards_are_those_of_the_images(tmp_path: Path) -> None:
    pixels = images(30, 8, 1)
    write_shards(tmp_path, pixels)
    rows = np.array([2, 3, 17])
    np.testing.assert_array_equal(points(Shards(tmp_path), rows), points(pixels[rows]))
    np.testing.assert_array_equal(points(Shards(tmp_path)), points(pixels))
