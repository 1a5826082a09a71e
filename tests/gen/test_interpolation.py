"""The way between noises."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.interpolation import between, path


def noises(count: int, dimension: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(st.integers(2, 5), st.integers(2, 40), st.integers(1, 9), st.integers(0, 99))
def test_the_way_passes_through_every_noise_to_the_bit(count: int, dimension: int, steps: int, seed: int) -> None:
    ends = noises(count, dimension, seed)
    way = path(ends, steps)
    assert way.shape == ((count - 1) * steps + 1, dimension)
    assert torch.equal(way[::steps], ends)


@settings(deadline=None)
@given(st.integers(0, 99))
def test_norm_is_constant_between_noises_of_one_norm_and_steps_are_even(seed: int) -> None:
    start, end = torch.nn.functional.normalize(noises(2, 16, seed)) * 4
    way = path(torch.stack([start, end]), 10)
    torch.testing.assert_close(way.norm(dim=1), torch.full((11,), 4.0))
    angles = torch.arccos((way[1:] * way[:-1]).sum(1).div(16).clamp(-1, 1))
    torch.testing.assert_close(angles, angles.mean().expand(10), rtol=1e-2, atol=1e-3)


def test_norm_goes_evenly_from_one_to_the_other() -> None:
    way = path(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), 4)
    torch.testing.assert_close(way.norm(dim=1), torch.tensor([3.0, 2.5, 2.0, 1.5, 1.0]))
    torch.testing.assert_close(way[2], torch.tensor([1.0, 1.0]) * math.sqrt(2))


@pytest.mark.parametrize("end", [[1.0, 2.0], [-1.0, -2.0], [2.0, 4.0]])
def test_noises_on_one_line_are_joined_by_it(end: list[float]) -> None:
    start, other = torch.tensor([1.0, 2.0]), torch.tensor(end)
    torch.testing.assert_close(between(start, other, 0.25), 0.75 * start + 0.25 * other)
