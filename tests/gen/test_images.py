"""uint8 <-> [-1, 1], grids, PNG."""

import io

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from gen import images

PIXELS = arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3])))


@given(PIXELS)
def test_pixels_survive_the_way_to_floats_and_back(pixels: images.Pixels) -> None:
    there = images.to_float(torch.from_numpy(pixels))
    assert there.shape == (pixels.shape[0], pixels.shape[3], *pixels.shape[1:3])
    assert -1 <= float(there.min()) <= float(there.max()) <= 1
    np.testing.assert_array_equal(images.to_pixels(there), pixels)


def test_black_is_minus_one_and_white_is_one() -> None:
    ends = images.to_float(torch.tensor([[[[0], [255]]]], dtype=torch.uint8))
    torch.testing.assert_close(ends.flatten(), torch.tensor([-1.0, 1.0]))


@given(PIXELS)
def test_png_keeps_every_pixel(pixels: images.Pixels) -> None:
    read = np.array(Image.open(io.BytesIO(images.png(pixels[0]))))
    np.testing.assert_array_equal(read.reshape(pixels[0].shape), pixels[0])


def test_a_grid_holds_every_image_in_its_place() -> None:
    pixels = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2, 1)
    sheet = images.grid(pixels, columns=3, gap=1)
    assert sheet.shape == (5, 8, 1)
    np.testing.assert_array_equal(sheet[3:5, 3:5], pixels[4])
    assert (sheet[:, 2] == 255).all()
    np.testing.assert_array_equal(images.side_by_side(pixels, pixels, gap=1)[:2, 3:5], pixels[0])
