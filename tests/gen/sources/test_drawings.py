"""Drawings: what becomes of an image, by hand and by closed form."""

import numpy as np
import pytest

from gen.images import Pixels
from gen.sources.drawings import BLUR, NOISE, blurred, edges, grey, noisy
from tests.gen.raw_images import noise

IMAGES = noise(200)


def outline_by_hand(grey: Pixels) -> Pixels:
    height, width = grey.shape
    out = np.empty_like(grey)
    for y in range(height):
        for x in range(width):
            around = grey[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            out[y, x] = around.max() - around.min()
    return out


def test_edges_are_the_dilation_less_the_erosion() -> None:
    for image in IMAGES[:5]:
        assert (edges(image)[:, :, 0] == outline_by_hand(image[:, :, 0])).all()


def test_a_stroke_becomes_its_hollow_outline_and_a_flat_image_nothing() -> None:
    image = np.zeros((12, 12, 1), np.uint8)
    image[4:8, 4:8] = 255
    drawing = edges(image)[:, :, 0]
    assert (drawing[5:7, 5:7] == 0).all()
    assert drawing.sum() == 255 * (6 * 6 - 2 * 2)
    assert (edges(np.full((12, 12, 3), 77, np.uint8)) == 0).all()


def test_colour_is_drawn_in_grey_with_a_pen_that_grows_with_the_picture() -> None:
    image = np.zeros((128, 128, 3), np.uint8)
    image[:, 64:] = 255
    drawing = edges(image)
    assert drawing.shape == (128, 128, 1)
    assert (drawing[0, :, 0] > 0).sum() == 4


def test_noise_is_normal_and_an_images_own() -> None:
    middle = np.full((128, 128, 3), 128, np.uint8)
    made = noisy(middle, "one")
    assert (made == noisy(middle, "one")).all()
    assert (made != noisy(middle, "other")).mean() > 0.9
    apart = made.astype(float) - 128
    # The mean of 49,152 values and their deviation, with five standard errors.
    assert abs(apart.mean()) < 5 * NOISE * 255 / 128 / np.sqrt(3)
    assert apart.std() == pytest.approx(NOISE * 255, rel=0.03)
    assert noisy(np.full((64, 64, 1), 255, np.uint8), "one").max() == 255, "it is clipped, and does not wrap"


def test_blur_spreads_a_point_and_keeps_its_sum() -> None:
    point = np.zeros((41, 41, 1), np.uint8)
    point[20, 20] = 255
    made = blurred(point)[:, :, 0].astype(float)
    assert made.sum() == pytest.approx(255, abs=41)  # each pixel is rounded
    assert np.abs(made - made.T).max() <= 1
    ys, _ = np.indices(made.shape)
    assert np.sqrt((made * (ys - 20) ** 2).sum() / made.sum()) == pytest.approx(41 * BLUR, rel=0.25)
    flat = np.full((16, 16, 3), 77, np.uint8)
    assert (blurred(flat) == flat).all()


def test_grey_is_luma_and_leaves_grey_alone() -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (9, 7, 3), np.uint8)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey(colour)[:, :, 0] - luma).max() <= 1
    image = IMAGES[0]
    assert grey(image) is image
