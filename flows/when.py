"""When the schedule retrains, as the command line says it."""

import re
from dataclasses import dataclass
from datetime import timedelta

from gen.errors import BadParamsError, UserError

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class When:
    """By the clock or in intervals, and when the sources change. One of them at least."""

    cron: str | None = None
    """A cron expression, by the clock of this machine."""
    every: str | None = None
    """A number and a unit: 90m, 6h, 1d."""
    new_data: bool = False
    """Whether folders of images are watched."""

    def __post_init__(self) -> None:
        """Raises BadParamsError for both of cron and every, or nothing at all; UserError for no interval."""
        if self.cron is not None and self.every is not None:
            raise BadParamsError("--cron and --every both say when to retrain. Give one of them.")
        if self.cron is None and self.every is None and not self.new_data:
            raise BadParamsError(
                'Nothing says when to retrain. Give --cron "0 3 * * *" (each night at three), --every 6h, '
                "--on-new-data, or the last with one of the others."
            )
        _ = self.interval

    @property
    def interval(self) -> timedelta | None:
        """What `every` says. Raises UserError where it says none."""
        if self.every is None:
            return None
        found = re.fullmatch(r"([1-9]\d*)([mhd])", self.every)
        if found is None:
            raise UserError(
                f"`{self.every}` is no interval. Write a whole number and m, h or d: 90m, 6h, 1d. Nothing was started."
            )
        return timedelta(**{UNITS[found[2]]: int(found[1])})

    @property
    def options(self) -> dict[str, str]:
        """The options that say it, with their values; one without a value has an empty one."""
        told = {"--cron": self.cron, "--every": self.every, "--on-new-data": "" if self.new_data else None}
        return {name: value for name, value in told.items() if value is not None}

    @property
    def arguments(self) -> list[str]:
        """The same, as a command reads them."""
        return [word for option in self.options.items() for word in option if word]

    def __str__(self) -> str:
        """As one reads it: `0 3 * * *, and on new data`."""
        clock = self.cron or (f"every {self.every}" if self.every else None)
        return ", and ".join(part for part in (clock, "on new data" if self.new_data else None) if part)
