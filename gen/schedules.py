"""Numbers that change in training, as functions of the share of the budget that was seen: never of calls or clocks."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from gen.strict import Strict


class Schedule(Strict):
    """A number that warms up, holds, and moves to another one.

    `progress` is the share of the budget, in [0, 1]: images seen over `images`.
    """

    value: float = Field(ge=0)
    """Where it holds."""
    to: float | None = Field(default=None, ge=0)
    """Where it is at the end of the budget; by default where it holds."""
    after: float = Field(default=0.0, ge=0, lt=1)
    """Share of the budget after which it moves there."""
    shape: Literal["linear", "cosine"] = "linear"
    """How it moves."""
    warm_up: float = Field(default=0.0, ge=0, lt=1)
    """Share of the budget in which it rises to `value`, linearly from 0."""

    @model_validator(mode="after")
    def _in_turn(self) -> "Schedule":
        if self.to is not None and self.after < self.warm_up:
            raise ValueError(f"`after` ({self.after}) comes before the end of `warm_up` ({self.warm_up})")
        return self

    def at(self, progress: float) -> float:
        """Its value after the share `progress` of the budget."""
        if progress < self.warm_up:
            return self.value * progress / self.warm_up
        if self.to is None or progress <= self.after:
            return self.value
        way = (progress - self.after) / (1 - self.after)
        if self.shape == "cosine":
            way = (1 - math.cos(math.pi * way)) / 2
        return self.value + (self.to - self.value) * way


def _from_number(value: object) -> object:
    if isinstance(value, Mapping | Schedule):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        keys = ", ".join(Schedule.model_fields)
        raise ValueError(f"it is {value!r}, but a number from 0, or a schedule ({keys}), is expected; change it")
    return {"value": float(value)}


def _to_number(schedule: Schedule) -> object:
    """A constant is written as the number it is."""
    return schedule.value if schedule == Schedule(value=schedule.value) else schedule.model_dump()


def _positive(schedule: Schedule) -> Schedule:
    if not schedule.value:
        raise ValueError("it must be greater than 0")
    return schedule


Scheduled = Annotated[Schedule, BeforeValidator(_from_number), PlainSerializer(_to_number)]
"""A number, or the keys of a Schedule."""
Positive = Annotated[Scheduled, AfterValidator(_positive)]
"""The same, and not 0 where it holds."""
