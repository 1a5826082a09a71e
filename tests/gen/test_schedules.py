"""Schedules: closed forms of the share of the budget that was seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.errors import BadParamsError
from gen.schedules import Positive, Schedule, Scheduled
from gen.strict import Strict, parse


class Block(Strict):
    """A block with both kinds."""

    rate: Positive
    gamma: Scheduled = Schedule(value=0)


@given(st.floats(0, 1), st.floats(0, 1e6))
def test_a_number_stays_what_it_is(progress: float, value: float) -> None:
    assert parse(Block, {"rate": 1, "gamma": value}, "b").gamma.at(progress) == value


def test_it_holds_and_then_falls_in_a_line() -> None:
    rate = Schedule(value=0.2, to=0.0, after=0.5)
    assert [rate.at(progress) for progress in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([0.2, 0.2, 0.2, 0.1, 0.0])


def test_a_cosine_is_flat_at_both_ends_and_steep_between() -> None:
    rate = Schedule(value=1.0, to=3.0, shape="cosine")
    assert [rate.at(progress) for progress in (0, 1 / 3, 0.5, 1)] == pytest.approx([1, 1.5, 2, 3])


def test_it_warms_up_from_nothing() -> None:
    rate = Schedule(value=0.2, warm_up=0.1, to=0.1, after=0.1)
    assert [rate.at(progress) for progress in (0, 0.05, 0.1, 1)] == pytest.approx([0, 0.1, 0.2, 0.1])


def test_params_are_written_as_they_were_given() -> None:
    falling = {"value": 0.2, "to": 0.0, "after": 0.5, "shape": "linear", "warm_up": 0.0}
    assert parse(Block, {"rate": 0.1, "gamma": falling}, "b").model_dump() == {"rate": 0.1, "gamma": falling}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rate": 0}, r"b\.rate`: it must be greater than 0"),
        ({"rate": -1.0}, r"b\.rate`: it is -1\.0, but a number from 0, or a schedule \(value, to,"),
        ({"rate": {"value": -1.0}}, r"b\.rate\.value` is -1\.0, but .*greater than or equal to 0"),
        ({"rate": "fast"}, r"b\.rate`: it is 'fast'"),
        ({"rate": True}, r"b\.rate`: it is True"),
        ({"rate": {"value": 1.0, "until": 3}}, r"b\.rate\.until` is not a known key"),
        ({"rate": {"value": 1.0, "shape": "cosin"}}, "Did you mean `cosine`"),
        ({"rate": {"value": 1.0, "to": 0.0, "after": 0.1, "warm_up": 0.2}}, "before the end of `warm_up`"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], named: str) -> None:
    with pytest.raises(BadParamsError, match=named):
        parse(Block, values, "b")
