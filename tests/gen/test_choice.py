"""What one number of the noise chooses."""

import pytest
import torch

from gen.choice import Choice
from gen.interpolation import path
from gen.noise import noise, truncated

SHARES = torch.tensor([0.1, 0.6, 0.25, 0.05])


def told() -> Choice:
    choice = Choice(4)
    choice.tell(SHARES)
    return choice


def test_each_thing_is_chosen_as_often_as_its_share() -> None:
    chosen = told()(noise(20_000, 1, seed=0)[:, 0])
    found = torch.bincount(chosen, minlength=4) / 20_000
    # Five standard errors of the largest.
    torch.testing.assert_close(found, SHARES, rtol=0, atol=5 * (0.25 / 20_000) ** 0.5)


@pytest.mark.parametrize("thing", range(4))
def test_the_number_of_a_thing_chooses_it_and_lies_in_the_middle_of_those_that_do(thing: int) -> None:
    choice = told()
    number = torch.tensor([choice.number(thing)])
    assert choice(number).tolist() == [thing]
    below = SHARES[:thing].sum() + SHARES[thing] / 2
    torch.testing.assert_close(torch.special.ndtr(number)[0], below)


def test_what_has_no_share_is_never_chosen() -> None:
    choice = Choice(3)
    choice.tell(torch.tensor([0.0, 1.0, 0.0]))
    assert set(choice(noise(1000, 1, seed=0)[:, 0]).tolist()) == {1}


def test_all_things_are_equal_until_shares_are_told() -> None:
    torch.testing.assert_close(torch.special.ndtr(Choice(4).edges), torch.tensor([0.25, 0.5, 0.75]))


def test_truncation_leaves_what_is_chosen() -> None:
    drawn = noise(5, 3, seed=0)
    shrunk = truncated(drawn, 0.5, choices=1)
    assert torch.equal(shrunk[:, :2], drawn[:, :2] * 0.5)
    assert torch.equal(shrunk[:, 2], drawn[:, 2])


def test_a_way_chooses_what_the_nearer_end_chooses() -> None:
    ends = torch.tensor([[1.0, 0.0, -2.0], [0.0, 1.0, 2.0]])
    assert path(ends, 4, choices=1)[:, 2].tolist() == [-2, -2, 2, 2, 2]
    assert torch.equal(path(ends, 4, choices=1)[:, :2], path(ends[:, :2], 4))
