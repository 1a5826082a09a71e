"""Which trainings of a sweep are stopped early: those clearly worse than most at the same share of their budgets.

What counts is what each would publish if it ended there: the lowest kernel distance on `select` so far. A training is
stopped when it is worse than the median of the other points by more than chance does, so none from the better half ever
is. One that was stopped stays among the others with the best that it had.
"""

import math
import statistics
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from flows.following import KEY
from gen import files
from gen.errors import UserError
from gen.workspace import Workspace

EARLIEST = 0.2
"""Share of the budget before which nothing is stopped: what is slow at first may be good in the end."""
OTHERS = 2
"""Points that must have come as far before one is held against them."""
CLEARLY = 2.0
"""So many times the spread of a difference is no chance."""


@dataclass(frozen=True)
class Mark:
    """One measurement on `select`."""

    images: int
    """Seen when it was made."""
    share: float
    """Of the budget, in (0, 1]."""
    value: float
    """Kernel distance; lower is better."""
    spread: float


@dataclass(frozen=True)
class Course:
    """How a training goes, by its journal."""

    marks: tuple[Mark, ...] = ()
    over: bool = False
    """Whether it trains no more: done or stopped, and so as good later as it is now."""

    @classmethod
    def read(cls, workspace: Workspace, model: str) -> Self:
        """That of the training of `model` in a workspace of its own; empty where it has not begun."""
        folders = [*workspace.unfinished(model, "*").parent.glob(f"{model}-{KEY}"), workspace.train(model)]
        for folder in folders:
            try:
                budget = files.read_json(folder / "run.json")["params"]["model"]["images"]
            except (UserError, FileNotFoundError):  # not there, or it has just been moved to where it is published
                continue
            records = [each for each in files.Journal.read(folder / "journal.jsonl") if "select" in each]
            return cls(
                tuple(
                    Mark(each["images"], each["images"] / budget, each["select"]["kernel"], each["select"]["spread"])
                    for each in records
                ),
                over=folder == folders[-1],
            )
        return cls()

    @property
    def share(self) -> float:
        """Of the budget, when it was measured last; 0 when it never was."""
        return self.marks[-1].share if self.marks else 0.0

    def best(self, share: float) -> Mark | None:
        """The lowest up to a share of the budget; None where it has not come so far, or nothing was measured."""
        known = [mark for mark in self.marks if mark.share <= share]
        return min(known, key=lambda mark: mark.value) if known and (self.over or self.share >= share) else None


Point = Sequence[Course]
"""The trainings of one point, one for each of its seeds."""


def is_clearly_worse(point: Point, others: Sequence[Point], share: float) -> bool:
    """Whether a point, after a `share` of its budget, is to be stopped, by what the `others` had come to there.

    With several seeds it is the mean of those that have come so far; and until some point has two of them, so that it
    is known what seeds do, nothing is stopped.
    """
    mine, *theirs = ([best for course in each if (best := course.best(share))] for each in (point, *others))
    theirs = sorted((marks for marks in theirs if marks), key=_mean)
    if not EARLIEST <= share < 1 or not mine or len(theirs) < OTHERS:
        return False
    luck = _luck([mine, *theirs]) if len(point) > 1 else 0.0
    if luck is None:
        return False
    median = theirs[len(theirs) // 2]
    return _mean(mine) - _mean(median) > CLEARLY * math.hypot(_spread(mine, luck), _spread(median, luck))


def _mean(marks: Sequence[Mark]) -> float:
    return statistics.fmean(mark.value for mark in marks)


def _spread(marks: Sequence[Mark], luck: float) -> float:
    return max(luck, *(mark.spread for mark in marks))


def _luck(points: Sequence[Sequence[Mark]]) -> float | None:
    """The standard deviation between seeds of the same point; None where no point has two."""
    variances = [statistics.variance([mark.value for mark in marks]) for marks in points if len(marks) > 1]
    return math.sqrt(statistics.fmean(variances)) if variances else None


class Race:
    """The trainings of one sweep, as far as they have come. Threads may ask it at once."""

    def __init__(self, key: str, seeds: int, *, prune: bool) -> None:
        """`key` tells this sweep from others, whose trainings it may find; without `prune` nothing is stopped."""
        self.key = key
        self.prune = prune
        self.seeds = seeds
        self._points: dict[Hashable, list[Course]] = {}
        self._out: set[Hashable] = set()
        self._lock = threading.Lock()

    def is_out(self, point: Hashable, seed: int, course: Course) -> bool:
        """Take note of how the training of a point and seed goes, and say whether that is to be stopped."""
        with self._lock:
            courses = self._points.setdefault(point, [Course()] * self.seeds)
            courses[seed] = course
            others = [each for name, each in self._points.items() if name != point]
            if self.prune and not course.over and is_clearly_worse(courses, others, course.share):
                self._out.add(point)
            return point in self._out

    def stop(self, point: Hashable, seed: int) -> None:
        """Take note that the training of a point and seed was stopped, and with it its point."""
        with self._lock:
            courses = self._points[point]
            courses[seed] = replace(courses[seed], over=True)
            self._out.add(point)
