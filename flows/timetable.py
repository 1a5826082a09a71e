"""When a schedule fires, by Prefect's own reckoning. Import it after flows.environment.prefect_environment."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from prefect.schedules import Cron, Interval, Schedule
from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule
from tzlocal import get_localzone_name

from flows import watching
from flows.stages import Say
from flows.when import When
from gen import config
from gen.config import Promotion
from gen.errors import UserError
from gen.workspace import Workspace

YEAR = timedelta(days=365.25)
COUNTED = 1000
"""Firings that are counted one by one, as many as Prefect tells at once; what fires more often in a year is taken to go
on as it begins."""
MIDNIGHT = datetime(2024, 1, 1)
"""What intervals are counted from, by the clock of this machine: a restart moves none of them."""


def checked(workspace: Workspace, when: When, say: Say = print) -> Schedule | None:
    """The schedule of Prefect's; None where new data alone starts a retrain.

    Says so where it outruns the judge's error budget. Raises UserError for an expression that is none and where there
    is nothing to watch, BadParamsError for a params.yaml that cannot be used.
    """
    if when.new_data:
        watching.check(workspace)
    clock = _clock(when, get_localzone_name())
    promotion = config.load(workspace.params_file).promotion
    if clock is None:
        return None
    warning = too_often(firings_per_year(clock), promotion)
    if warning:
        say(warning)
    if isinstance(clock, CronSchedule):
        return Cron(clock.cron, timezone=clock.timezone)
    return Interval(clock.interval, anchor_date=clock.anchor_date, timezone=clock.timezone)


def firings(when: When, zone: str, start: datetime, count: int) -> list[datetime]:
    """When it fires next after `start` by the clock of a time zone, at most so many times; nothing without a clock."""
    clock = _clock(when, zone)
    return [] if clock is None else list(asyncio.run(clock.get_dates(count, start)))


def next_firing(when: When) -> datetime | None:
    """When it fires next by the clock of this machine; None for what the clock never starts."""
    found = firings(when, get_localzone_name(), datetime.now(UTC), 1)
    return found[0] if found else None


def firings_per_year(clock: CronSchedule | IntervalSchedule) -> float:
    """How often it fires in the year that begins now."""
    now = datetime.now(UTC)
    found = asyncio.run(clock.get_dates(COUNTED, now, now + YEAR))
    return len(found) if len(found) < COUNTED else (len(found) - 1) * (YEAR / (found[-1] - found[0]))


def too_often(firings: float, promotion: Promotion) -> str | None:
    """What to say where a schedule may judge more often in a year than the error budget was made for."""
    if firings <= 1.1 * promotion.verdicts_per_year:
        return None
    more = promotion.false_per_year * firings / promotion.verdicts_per_year
    return (
        f"This schedule may judge about {firings:,.0f} times a year, but `promotion.verdicts_per_year` is "
        f"{promotion.verdicts_per_year:,.0f}: if each brings a new generator, up to {more:,.1f} of them are promoted "
        f"by chance, not {promotion.false_per_year:g}. `genflows --set promotion.verdicts_per_year={firings:.0f}` "
        "makes the judge stricter."
    )


def _clock(when: When, zone: str) -> CronSchedule | IntervalSchedule | None:
    if when.interval is not None:
        return IntervalSchedule(
            interval=when.interval, anchor_date=MIDNIGHT.replace(tzinfo=ZoneInfo(zone)), timezone=zone
        )
    if when.cron is None:
        return None
    try:
        Cron(when.cron, timezone=zone)
        return CronSchedule(cron=when.cron, timezone=zone)
    except ValueError:
        raise UserError(
            f"`{when.cron}` is no cron expression. It has five fields: minute, hour, day, month, weekday; "
            '"0 3 * * *" is each night at three.'
        ) from None
