"""Copies are found, and what merely looks like the training images is not taken for a copy."""

from itertools import combinations

import numpy as np
import pytest

from gen.metrics.memorisation import Memorisation, Share, equal_pixels, excess, memorisation, rank_test
from gen.metrics.memorisation import copies as copied

DIMENSION = 8
SEEDS = range(20)


def images(count: int, seed: int, scale: float = 1.0) -> np.ndarray:
    """Features of ten classes, some of them denser."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(0).normal(0, 3, (10, DIMENSION))
    kind = random.integers(10, size=count)
    spread = scale * (0.3 + 0.1 * kind)[:, None]
    return (middles[kind] + spread * random.normal(size=(count, DIMENSION))).astype(np.float32)


def split(seed: int) -> tuple[np.ndarray, np.ndarray]:
    real = images(800, seed)
    return real[:600], real[600:]


def measured(generated: np.ndarray, seed: int) -> Memorisation:
    return memorisation(generated, *split(seed), block=256)


def z(share: Share) -> float:
    return share.value / share.deviation if share.deviation else 0.0


def copies(count: int, seed: int) -> np.ndarray:
    return split(seed)[0][np.random.default_rng(seed).integers(600, size=count)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_copier_is_caught_at_every_seed(seed: int) -> None:
    found = measured(copies(500, seed), seed)
    expected = {"authenticity": 0, "near_duplicates": 1, "copied_share": 1, "copied_closely": 1}
    assert {name: value for name, value in found.values.items() if name != "copying"} == pytest.approx(expected)
    assert found.copying < -15
    assert min(z(found.copied), z(found.copied_closely)) > 8


@pytest.mark.parametrize("seed", SEEDS)
def test_a_copier_of_half_is_caught_at_every_seed(seed: int) -> None:
    found = measured(np.concatenate([copies(250, seed), images(250, 1000 + seed)]), seed)
    assert found.copied.value == pytest.approx(0.5, abs=0.25)
    assert found.copied_closely.value == pytest.approx(0.5, abs=0.1)
    assert z(found.copied_closely) > 6
    assert found.copying < -4
    assert found.values["near_duplicates"] >= 0.5
    assert found.values["authenticity"] < 0.45


@pytest.mark.parametrize("seed", SEEDS)
def test_a_few_copies_among_poor_images_are_caught_where_ranks_see_none(seed: int) -> None:
    found = measured(np.concatenate([copies(50, seed), images(450, 1000 + seed, scale=2.5)]), seed)
    assert found.copying > 3
    assert found.copied_closely.value == pytest.approx(0.1, abs=0.03)
    assert z(found.copied_closely) > 3.5


def test_images_that_were_held_out_raise_alarms_at_the_nominal_rate() -> None:
    """200 splits into training images, held-out ones and those in the place of a generator."""
    found = [measured(images(300, 1000 + seed), seed) for seed in range(200)]
    scores = np.array([[one.copying, -z(one.copied), -z(one.copied_closely)] for one in found])
    assert np.abs(scores.mean(0)).max() < 0.25
    assert scores[:, :2].std(0) == pytest.approx([1, 1], abs=0.2)
    alarms = (scores < -1.645).sum(0)
    assert (alarms[:2] >= 2).all()
    assert (alarms <= 20).all(), "10 of 200 are due at 5 %"
    assert np.mean([one.values["near_duplicates"] for one in found]) == pytest.approx(0.01, abs=0.005)


def test_typical_images_are_no_copies_whatever_ranks_say() -> None:
    """A generator of prototypes, each in the middle of its class."""
    found = [measured(images(500, 1000 + seed, scale=0.3), seed) for seed in SEEDS]
    assert max(one.copying for one in found) < -5
    assert max(max(z(one.copied), z(one.copied_closely)) for one in found) < 3.5


def test_a_collapsed_generator_is_no_copier() -> None:
    """Its one image has one nearest real image, a training one more often than not."""
    found = measured(images(1, 5).repeat(500, axis=0), 0)
    assert z(found.copied) < 1


def test_deviation_is_that_over_all_ways_to_hold_images_out() -> None:
    nearest = np.array([0, 0, 0, 1, 2, 4, 4, 5])
    hits = np.bincount(nearest, minlength=6)
    ways = [sum(hits[list(kept)]) for kept in combinations(range(6), 4)]
    share = excess(nearest, train=4, held_out=2, of=8)
    assert share.deviation == pytest.approx(np.std(ways) / (1 / 3) / 8)
    assert share.value == pytest.approx((5 - np.mean(ways)) / (1 / 3) / 8)


def test_rank_test_counts_pairs() -> None:
    some, others = np.array([1.0, 2.0, 2.0, 5.0]), np.array([2.0, 3.0, 5.0, 6.0, 7.0])
    above = sum((a > b) + 0.5 * (a == b) for a in some for b in others) - 10
    # The variance over all ways to pick 4 of the 9 values.
    both = np.concatenate([some, others])
    ways = []
    for chosen in combinations(range(9), 4):
        rest = np.delete(both, chosen)
        ways.append(sum((a > b) + 0.5 * (a == b) for a in both[list(chosen)] for b in rest))
    assert rank_test(some, others) == pytest.approx(above / np.std(ways))
    assert rank_test(np.ones(3), np.ones(4)) == 0


def test_equal_pixels_are_found_in_any_block() -> None:
    random = np.random.default_rng(0)
    train = random.integers(0, 256, (20, 4, 4, 3)).astype(np.uint8)
    other = train[3] ^ np.uint8(1)
    made = np.stack([train[3], other, train[19]])
    np.testing.assert_array_equal(equal_pixels(made, [train[:10], train[10:]]), [True, False, True])


def test_copies_that_features_do_not_show_are_found_in_pixels() -> None:
    """An extractor that looks at brightness alone takes darkened copies for other images."""
    random = np.random.default_rng(0)
    train, held_out, new = (random.uniform(0, 1, (count, 64)).astype(np.float32) for count in (300, 200, 200))
    made = np.concatenate([train[:200] * np.float32(0.9), new])

    def brightness(pixels: np.ndarray) -> np.ndarray:
        return pixels.mean(1, keepdims=True)

    in_features = copied(*(brightness(side) for side in (made, train, held_out)))
    in_pixels = copied(made, train, held_out)
    assert z(in_features.copied) < 3
    assert z(in_pixels.copied) > 4
    assert in_pixels.copied.value == pytest.approx(0.5, abs=0.15)
    assert in_pixels.copied_closely.value == pytest.approx(0.5, abs=0.05)


def test_closest_pairs_come_in_the_order_of_their_distances() -> None:
    random = np.random.default_rng(0)
    train, held_out = random.normal(size=(50, 4)), random.normal(size=(30, 4))
    made = train[[7, 3, 9]] + np.array([0.2, 0.0, 0.1])[:, None]
    found = copied(made, train, held_out)
    assert found.closest.tolist() == [1, 2, 0]
    assert found.originals[found.closest].tolist() == [3, 9, 7]
    assert found.distances == pytest.approx([0.4, 0, 0.2])
    assert len(found.usual) == 30
