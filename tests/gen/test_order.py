"""The order of images: each pass a permutation, any place at once, nothing of its shape left to see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.order import Order


@given(st.integers(1, 3000), st.integers(0, 2**30 - 1), st.integers(0, 3))
def test_every_pass_holds_every_image_once(count: int, seed: int, stream: int) -> None:
    order = Order(count, seed, stream)
    for number in (0, 1, 1000):
        assert sorted(order.at(number * count, count)) == list(range(count))


@given(st.integers(1, 500), st.integers(0, 2000), st.lists(st.integers(1, 90), min_size=1, max_size=6))
def test_it_is_the_same_however_it_is_cut(count: int, start: int, sizes: list[int]) -> None:
    order = Order(count, seed=3)
    whole = order.at(start, sum(sizes))
    starts = [start + sum(sizes[:number]) for number in range(len(sizes))]
    pieces = [order.at(place, size) for place, size in zip(starts, sizes, strict=True)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_passes_seeds_and_streams_have_orders_of_their_own() -> None:
    orders = [
        Order(1000, seed, stream).at(number * 1000, 1000)
        for seed, stream, number in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    ]
    for place, order in enumerate(orders):
        for other in orders[:place]:
            assert (order == other).sum() < 10  # one by chance, as of any two permutations


@pytest.mark.parametrize("count", [6, 96, 3600])
def test_an_image_comes_anywhere_equally_often(count: int) -> None:
    seeds, cells = 1200, 6
    counts = np.zeros((cells, cells))
    for seed in range(seeds):
        first = Order(count, seed).at(0, min(count, 96))
        np.add.at(counts, (np.arange(len(first)) * cells // len(first), first * cells // count), 1)
    expected = counts.sum() / cells**2
    # 25 degrees of freedom: beyond 60 once in ten thousand times.
    assert ((counts - expected) ** 2 / expected).sum() < 60


def test_neighbours_are_parted() -> None:
    # Of a random permutation's steps, one in `count` leads to the next image.
    steps = np.concatenate([np.diff(Order(5000, seed).at(0, 5000)) for seed in range(20)])
    assert (steps == 1).sum() < 45


def test_ten_million_images_cost_no_more_memory_than_ten() -> None:
    chosen = Order(10**7, seed=0).at(3 * 10**7 - 32, 64)
    assert len(set(chosen[:32])) == 32
    assert chosen.min() >= 0
    assert chosen.max() < 10**7
