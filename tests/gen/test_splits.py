import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.splits import assign, fraction

GROUPS = st.sets(st.text("0123456789abcdef", min_size=4, max_size=8), min_size=2, max_size=40)
SHARES = st.floats(0.01, 0.49)


def index(groups: list[str], official: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"group": groups, "official": official or [0] * len(groups)})


@settings(deadline=None)
@given(old=GROUPS, new=GROUPS, select=SHARES, report=SHARES)
def test_images_that_come_or_go_never_move_another(old: set[str], new: set[str], select: float, report: float) -> None:
    before = dict(zip(sorted(old), assign(index(sorted(old)), select, report), strict=True))
    after = dict(zip(sorted(old | new), assign(index(sorted(old | new)), select, report), strict=True))
    assert {group: after[group] for group in before} == before


@settings(deadline=None)
@given(groups=GROUPS, select=SHARES, report=SHARES)
def test_a_test_set_that_appears_later_moves_nothing_between_train_and_select(
    groups: set[str], select: float, report: float
) -> None:
    names = sorted(groups)
    before = assign(index(names), select, report)
    after = assign(index(names, [1, *[0] * (len(names) - 1)]), select, report)
    assert after[0] == "report"
    assert "report" not in after[1:]
    for old, new in zip(before[1:], after[1:], strict=True):
        assert new == ("train" if old == "report" else old)


def test_shares_are_as_asked_for() -> None:
    splits = assign(index([str(number) for number in range(20_000)]), 0.1, 0.2)
    shares = {split: float((splits == split).mean()) for split in ("train", "select", "report")}
    # Four standard deviations of a share of 20,000.
    assert abs(shares["select"] - 0.1) < 4 * (0.1 * 0.9 / 20_000) ** 0.5
    assert abs(shares["report"] - 0.2) < 4 * (0.2 * 0.8 / 20_000) ** 0.5


def test_fractions_are_uniform_and_independent_between_purposes() -> None:
    split, half = (np.array([fraction(str(n), purpose) for n in range(5000)]) for purpose in ("split", "half"))
    assert 0 <= split.min() < 0.01
    assert 0.99 < split.max() < 1
    assert abs(np.corrcoef(split, half)[0, 1]) < 4 / 5000**0.5
