"""How long stages take side by side, where that is known in closed form."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.slots import training_slots, wall_time
from gen.config import Machine

TIMES = st.lists(st.integers(0, 50), min_size=1, max_size=8).map(lambda times: {str(i): t for i, t in enumerate(times)})


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 50))
def test_equal_ones_go_in_rounds(count: int, slots: int, seconds: int) -> None:
    assert wall_time({str(i): seconds for i in range(count)}, slots) == math.ceil(count / slots) * seconds


@given(TIMES, st.integers(1, 9))
def test_it_is_within_grahams_bounds(times: dict[str, int], slots: int) -> None:
    total, longest = sum(times.values()), max(times.values())
    taken = wall_time(times, slots)
    assert max(total / slots, longest) <= taken <= total / slots + (1 - 1 / slots) * longest + 1e-9


@given(TIMES)
def test_with_slots_enough_it_is_the_longest_chain(times: dict[str, int]) -> None:
    assert wall_time(times, len(times)) == max(times.values())
    chain = {name: {str(int(name) - 1)} for name in times}
    assert wall_time(times, len(times), after=chain) == sum(times.values())


def test_a_slot_that_nobody_can_use_stays_empty() -> None:
    # a, then b beside c, then d: what comes before a stage that is cached is done.
    after = {"b": {"a"}, "c": {"a"}, "d": {"b", "c"}, "a": {"cached"}}
    assert wall_time({"a": 1, "b": 5, "c": 3, "d": 2}, 4, after) == 8


def test_on_an_accelerator_they_go_one_at_a_time_and_take_no_slot() -> None:
    times = {"t": 3, "u": 4, "other": 10}
    assert wall_time(times, 1, alone={"t", "u"}) == 10
    assert wall_time({**times, "another": 1}, 1, alone={"t", "u"}) == 11
    assert wall_time({"t": 3, "u": 4}, 9, alone={"t", "u"}) == 7
    assert training_slots(Machine(device="cuda")) == 1


def test_a_training_of_all_cores_has_them_to_itself() -> None:
    assert training_slots(Machine(threads=256)) == 1


def test_nothing_takes_no_time() -> None:
    assert wall_time({}, 3) == pytest.approx(0)
