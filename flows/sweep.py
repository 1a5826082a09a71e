"""Which numbers suit a model: trainings beside the pipeline at every point of a grid, chosen among on `select`.

The split `report` is never looked at: what is chosen by it could not be reported on it.
"""

import itertools
import math
import re
import statistics
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows import trials
from flows.terminal import Say
from flows.trials import Trial, Tried
from gen import config, files
from gen.errors import BadParamsError, UserError
from gen.steps.publish import flat
from gen.tracking.groups import Group
from gen.tracking.points import chosen_by, of_training
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.tracking.runs import Attempt

MOST = 64
"""Points of a grid: more are a mistake in its making."""


@dataclass(frozen=True)
class Candidate:
    """One point of the grid, at each of its seeds."""

    settings: tuple[str, ...]
    """Changes of params.yaml, as `--set` takes them."""
    tried: tuple[Tried, ...]

    @property
    def values(self) -> list[float]:
        """The kernel distance on `select` of what each seed published; infinite where its training failed."""
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


def run(workspace: Workspace, model: str, points: Sequence[tuple[str, ...]], seeds: int, say: Say) -> list[Candidate]:
    """Train the model at every point and seed; the best first, what failed last.

    Raises UserError when its data are not prepared, or every training failed; StoppedError on Ctrl-C.
    """
    wanted = {point: [_trial(model, point, seed) for seed in range(seeds)] for point in points}
    done = iter(trials.run(workspace, [each for some in wanted.values() for each in some], say, measured=False))
    found = [Candidate(point, tuple(itertools.islice(done, seeds))) for point in wanted]
    if not any(candidate.is_sound for candidate in found):
        raise UserError(f"Every training of the sweep failed; the first: {found[0].tried[0].failure}")
    return sorted(found, key=lambda candidate: candidate.value)


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
    points = [] if tried.failure else list(of_training(*_told(tried)))
    return Attempt(tried.trial.name, values, tags | ({"failure": tried.failure} if tried.failure else {}), points)


def as_good(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that chance does not tell from the best."""
    best = candidates[0]
    return [each for each in candidates[1:] if each.value - best.value <= math.hypot(each.spread, best.spread)]


def _trial(model: str, point: tuple[str, ...], seed: int) -> Trial:
    # Its folder is named by it, so it holds what any file system takes.
    short = re.sub(r"[^\w.=-]+", "_", "-".join(setting.removeprefix(f"models.{model}.") for setting in point))
    return Trial(f"{model}-{short[:80]}-seed{seed}", model, (*point, f"models.{model}.seed={seed}"))


def _measured(tried: Tried) -> dict[str, float]:
    """What the published step was chosen by; nothing where the training failed."""
    if tried.failure:
        return {}
    return chosen_by(*_told(tried))


def _told(tried: Tried) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The journal of a training that is over, and its provenance."""
    model, workspace = tried.trial.model, tried.workspace
    journal = list(files.Journal.read(workspace.train(model) / "journal.jsonl"))
    return journal, files.read_json(workspace.provenance(model))
