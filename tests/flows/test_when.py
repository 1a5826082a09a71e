"""When a schedule fires: what may be said, and what Prefect makes of it."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from prefect.server.schemas.schedules import CronSchedule

from flows.timetable import checked, firings, firings_per_year, too_often
from flows.when import When
from gen.config import Promotion
from gen.errors import BadParamsError, UserError
from gen.workspace import Workspace
from tests.flows.toy import PARAMS

BERLIN = "Europe/Berlin"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=ZoneInfo(BERLIN))


@pytest.mark.parametrize("cron", ["whenever", "61 * * * *", "* * *", ""])
def test_a_cron_expression_that_is_none(tmp_path: Path, cron: str) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    with pytest.raises(UserError, match="no cron expression"):
        checked(Workspace(tmp_path), When(cron))


@pytest.mark.parametrize("every", ["6", "h", "0h", "6 hours", "1.5h", "-1d", "6s", ""])
def test_an_interval_that_is_none(every: str) -> None:
    with pytest.raises(UserError, match="no interval"):
        When(every=every)


def test_one_clock_or_none_but_something() -> None:
    with pytest.raises(BadParamsError, match="Give one of them"):
        When("0 3 * * *", "6h")
    with pytest.raises(BadParamsError, match="Nothing says when"):
        When()


@pytest.mark.parametrize("when", [When("0 3 * * *"), When(every="6h", new_data=True), When(new_data=True)])
def test_what_is_told_to_another_process_is_the_same(when: When) -> None:
    told = when.options
    assert When(told.get("--cron"), told.get("--every"), "--on-new-data" in told) == when
    assert [word for word in when.arguments if word.startswith("--")] == list(told)


def test_as_one_reads_it() -> None:
    assert str(When("0 3 * * *", new_data=True)) == "0 3 * * *, and on new data"
    assert str(When(every="6h")) == "every 6h"
    assert str(When(new_data=True)) == "on new data"


def test_there_is_nothing_to_watch(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    with pytest.raises(UserError, match="nothing to watch"):
        checked(Workspace(tmp_path), When(new_data=True))


@pytest.mark.parametrize("cron", ["0 3 * * *", "30 2 * * *", "0 2 * * *", "59 1 * * *"])
def test_a_nightly_cron_fires_once_each_night_through_both_changes_of_the_clock(cron: str) -> None:
    found = firings(When(cron), BERLIN, NEW_YEAR, 365)
    nights = Counter(firing.astimezone(ZoneInfo(BERLIN)).date() for firing in found)
    assert len(nights) == 365
    assert set(nights.values()) == {1}


def test_an_interval_of_hours_is_one_of_hours_whatever_the_clock_says() -> None:
    found = firings(When(every="6h"), BERLIN, NEW_YEAR, 1000)
    assert {after.timestamp() - before.timestamp() for before, after in pairwise(found)} == {6 * 3600}


def test_a_restart_does_not_move_an_interval() -> None:
    noon = NEW_YEAR + timedelta(hours=12)
    early, late = (firings(When(every="90m"), BERLIN, noon + timedelta(minutes=shift), 40) for shift in (0, 7))
    assert set(late) <= {*early, *firings(When(every="90m"), BERLIN, early[-1], 10)}


@pytest.mark.parametrize(
    ("cron", "count"),
    [("0 3 * * *", 365.25), ("0 * * * *", 8766), ("30 4 1 * *", 12), ("0 3 * * 1-5", 261), ("* * * * *", 525960)],
)
def test_firings_of_a_year_are_counted(cron: str, count: float) -> None:
    assert firings_per_year(CronSchedule(cron=cron, timezone="UTC")) == pytest.approx(count, rel=0.005, abs=1)


def test_a_schedule_that_outruns_its_error_budget_is_told() -> None:
    budget = Promotion(false_per_year=0.5, verdicts_per_year=365)
    assert too_often(366, budget) is None
    assert too_often(8766, budget) == (
        "This schedule may judge about 8,766 times a year, but `promotion.verdicts_per_year` is 365: if each brings a "
        "new generator, up to 12.0 of them are promoted by chance, not 0.5. "
        "`genflows --set promotion.verdicts_per_year=8766` makes the judge stricter."
    )
    assert too_often(8766, Promotion(verdicts_per_year=8766)) is None
