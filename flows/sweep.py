"""Which numbers suit a model: trainings beside the pipeline at points of a grid or a search, chosen among on `select`.

The split `report` is never looked at: what is chosen by it could not be reported on it.
"""

import itertools
import math
import re
import statistics
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from flows import trials
from flows.children import Stop
from flows.pruning import Course, Mark, Race
from flows.search import Axis, Search, corners
from flows.terminal import Say
from flows.trials import Trial, Tried
from gen import config, files
from gen.errors import BadParamsError, UserError
from gen.steps.publish import flat
from gen.tracking.groups import Group
from gen.tracking.points import Point, chosen_by, of_training
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.tracking.runs import Attempt

T = TypeVar("T")
Result = TypeVar("Result")
MOST = 64
"""Points of a grid: more are a mistake in its making."""
PRUNED = "pruned.json"
"""In a trial's workspace: which sweep stopped it. Another one has other points to hold it against."""


@dataclass(frozen=True)
class Candidate:
    """One point, at each of its seeds."""

    settings: tuple[str, ...]
    """Changes of params.yaml, as `--set` takes them."""
    tried: tuple[Tried, ...]

    @property
    def values(self) -> list[float]:
        """The kernel distance on `select` of what each seed published; infinite where its training did not end."""
        return [_measured(each).get("kernel", math.inf) for each in self.tried]

    @property
    def value(self) -> float:
        """Their mean."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """How far chance goes: that of the measurement, and that of the seeds where there are several."""
        measured = max(_measured(each).get("spread", 0.0) for each in self.tried)
        return max(measured, statistics.stdev(self.values) if self.is_sound and len(self.tried) > 1 else 0.0)

    @property
    def is_sound(self) -> bool:
        """Whether every seed made a generator."""
        return math.isfinite(self.value)

    @property
    def stood(self) -> Mark | None:
        """The best that it had when it was stopped because others were clearly better; None where it was not."""
        stopped = [Course.read(each.workspace, each.trial.model) for each in self.tried if each.pruned]
        return min((mark for course in stopped for mark in course.marks), key=lambda mark: mark.value, default=None)


def grid(model: str, over: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of `KEY=VALUE,VALUE,...`, as settings of params.yaml. Raises BadParamsError."""
    axes = []
    for axis in over:
        key, separator, written = axis.partition("=")
        values = [value.strip() for value in written.split(",")]
        if not separator or not key or not all(values):
            raise BadParamsError(
                f"--over {axis}: it takes KEY=VALUE,VALUE,..., such as --over learning_rate=1e-4,3e-4."
            )
        axes.append([f"models.{model}.{key.strip()}={value}" for value in dict.fromkeys(values)])
    points = list(itertools.product(*axes))
    if len(points) > MOST:
        raise BadParamsError(
            f"That grid has {len(points)} points, more than {MOST}. Sweep over fewer values at a time."
        )
    return points


def run(
    workspace: Workspace, model: str, points: Sequence[tuple[str, ...]], seeds: int, say: Say, *, prune: bool = True
) -> list[Candidate]:
    """Train the model at every point and seed; the best first, then what was stopped, what failed last.

    With `prune` a point is stopped when most others are clearly better at the same share of the budget. Raises
    UserError when data are not prepared, or no training came to its end; StoppedError on Ctrl-C.
    """
    sweep = _Sweep(workspace, model, seeds, say, Race(files.digest([points, seeds]), seeds, prune=prune))
    every = [(point, seed) for point in points for seed in range(seeds)]
    done = iter(sweep.side_by_side(lambda stop, job: sweep.train(stop, *job), every))
    return _ranked([Candidate(point, tuple(itertools.islice(done, seeds))) for point in points])


def search(
    workspace: Workspace, model: str, axes: Sequence[Axis], count: int, seeds: int, say: Say, *, prune: bool = True
) -> list[Candidate]:
    """Train the model at `count` points that Optuna proposes, in the order of `run`; those of an earlier call count.

    What a config refuses is said, and counts as a point that failed. Raises as `run`, and UserError where Optuna is not
    installed.
    """
    axes = sorted(axes, key=lambda axis: axis.key)
    # All that a point's figures are a function of, but the values that are searched: those of params.yaml may change.
    base = trials.key(workspace, _trial(model, corners(axes)[0], 0))
    key = files.digest([base, [[axis.key, axis.choices, axis.is_range] for axis in axes], seeds, prune])
    proposed = Search(workspace.private / "trials" / f"search-{model}-{key[:12]}.jsonl", axes)
    sweep = _Sweep(workspace, model, seeds, say, Race(key, seeds, prune=prune))

    def work(stop: Stop, number: int) -> Candidate | None:
        stop.check()
        if number < len(proposed.over):
            return sweep.candidate(stop, proposed.over[number])
        trial, point = proposed.ask()
        candidate = sweep.candidate(stop, point)
        if candidate is None:
            proposed.tell(trial, None)
        else:
            proposed.tell(trial, candidate.value if candidate.is_sound else None, candidate.stood)
        return candidate

    found = sweep.side_by_side(work, range(max(count, len(proposed.over))))
    # What was proposed twice is one point.
    return _ranked(list({candidate.settings: candidate for candidate in found if candidate}.values()))


def _ranked(found: Sequence[Candidate]) -> list[Candidate]:
    ranked = sorted(found, key=lambda each: (each.value, each.stood.value if each.stood else math.inf))
    if not ranked or not ranked[0].is_sound:
        why = next(
            (tried.failure for each in ranked for tried in each.tried if tried.failure), "params.yaml refuses it"
        )
        raise UserError(f"Every training of the sweep failed; the first: {why}")
    return ranked


@dataclass(frozen=True)
class _Sweep:
    """The trainings of one model, each followed by all."""

    workspace: Workspace
    model: str
    seeds: int
    say: Say
    race: Race
    at_work: defaultdict[tuple[str, ...], threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    """By point: one may be proposed again while it is trained."""

    def side_by_side(self, work: Callable[[Stop, T], Result], items: Sequence[T]) -> list[Result]:
        params = config.load(self.workspace.params_file)
        trials.check_data(self.workspace, params.model(self.model).dataset)
        return trials.side_by_side(params.machine, work, items)

    def candidate(self, stop: Stop, point: tuple[str, ...]) -> Candidate | None:
        """A point with its seeds one after another; None, and said, where a config refuses it."""
        try:
            with self.at_work[point]:
                return Candidate(point, tuple(self.train(stop, point, seed) for seed in range(self.seeds)))
        except BadParamsError as error:
            self.say(f"{' '.join(point)} is left out: {error}")
            return None

    def train(self, stop: Stop, point: tuple[str, ...], seed: int) -> Tried:
        """One training, unless its point is stopped."""
        trial = _trial(self.model, point, seed)
        scratch = trials.prepare(self.workspace, trial)
        mark = scratch.root / PRUNED

        def is_out() -> bool:
            return self.race.is_out(point, seed, Course.read(scratch, self.model))

        if self.race.prune and mark.exists() and files.read_json(mark) == self.race.key:
            is_out()
            tried = Tried(trial, scratch, pruned=True)
        else:
            mark.unlink(missing_ok=True)
            tried = trials.train(scratch, stop, self.say, trial, is_out)
            is_out()
        if tried.pruned:
            self.race.stop(point, seed)
            files.write_json(mark, self.race.key)
        return tried


def show(workspace: Workspace, model: str, candidates: Sequence[Candidate]) -> None:
    """Show every training in MLflow, nested in a run of the sweep. Raises TrackingUnavailable."""
    from gen.tracking import groups, runs
    from gen.tracking.store import connect

    group = Group(f"sweep of {model}", uuid.uuid4().hex, datetime.now(UTC))
    store = connect(workspace)
    runs.show(store, [_attempt(tried) for candidate in candidates for tried in candidate.tried], group)
    groups.end(store, group, {"model": model, "best": ", ".join(candidates[0].settings)}, [], failed=False)


def _attempt(tried: Tried) -> "Attempt":
    from gen.tracking.runs import Attempt

    params = config.load(tried.workspace.params_file)
    model = params.model(tried.trial.model)
    tags = {"model": tried.trial.model, "family": model.family, "dataset": model.dataset, "task": model.task}
    values = flat(model.model_dump()) | flat({"machine": params.machine.model_dump()})
    if tried.failure:
        return Attempt(tried.trial.name, values, tags | {"failure": tried.failure}, [], "FAILED")
    if tried.pruned:
        # It has no provenance, whose clock tells when each was measured.
        now = int(1000 * datetime.now(UTC).timestamp())
        marks = Course.read(tried.workspace, tried.trial.model).marks
        points = [Point("select/kernel", mark.value, mark.images, now) for mark in marks]
        how = (
            f"after {marks[-1].images} images, clearly worse than most" if marks else "before it began, by other seeds"
        )
        return Attempt(tried.trial.name, values, tags | {"pruned": how}, points, "KILLED")
    return Attempt(tried.trial.name, values, tags, list(of_training(*_told(tried))), "FINISHED")


def as_good(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that chance does not tell from the best."""
    best = candidates[0]
    return [each for each in candidates[1:] if each.value - best.value <= math.hypot(each.spread, best.spread)]


def _trial(model: str, point: tuple[str, ...], seed: int) -> Trial:
    # Its folder is named by it, so it holds what any file system takes.
    short = re.sub(r"[^\w.=-]+", "_", "-".join(setting.removeprefix(f"models.{model}.") for setting in point))
    return Trial(f"{model}-{short[:80]}-seed{seed}", model, (*point, f"models.{model}.seed={seed}"))


def _measured(tried: Tried) -> dict[str, float]:
    """What the published step was chosen by; nothing where the training did not come to its end."""
    if tried.failure or tried.pruned:
        return {}
    return chosen_by(*_told(tried))


def _told(tried: Tried) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The journal of a training that is over, and its provenance."""
    model, workspace = tried.trial.model, tried.workspace
    journal = list(files.Journal.read(workspace.train(model) / "journal.jsonl"))
    return journal, files.read_json(workspace.provenance(model))
