"""The points of a sweep that Optuna proposes, each by what those before it came to. The only `import optuna`.

What was proposed and what it came to is kept in a journal under .genflows, so an interrupted search goes on. A proposal
is a function of those before it and of their number: one after another, an interrupted search proposes what one in one
go does.
"""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.pruning import Mark
from gen.errors import BadParamsError, UserError

if TYPE_CHECKING:
    from optuna import Trial

RANGE = re.compile(r"(?P<low>\S+?)\.\.(?P<high>\S+)")
DECADE = 10
"""So far apart, the ends of a range are better searched between by factors than by steps."""


@dataclass(frozen=True)
class Axis:
    """One key, and what is tried of it."""

    key: str
    """Dotted, from the top of params.yaml."""
    choices: tuple[str, ...]
    """As they are written there: of a range its two ends."""
    is_range: bool

    @property
    def is_whole(self) -> bool:
        """Whether a range holds integers alone: its ends are written without point and exponent."""
        return all(re.fullmatch(r"[+-]?\d+", end) for end in self.choices)

    @property
    def ends(self) -> tuple[float, float]:
        """Of a range. Raises ValueError where they are no numbers."""
        low, high = map(float, self.choices)
        return low, high

    @property
    def is_logarithmic(self) -> bool:
        """Whether a range is searched by factors."""
        low, high = self.ends
        return low > 0 and high / low >= DECADE


def axes(model: str, written: Sequence[str]) -> list[Axis]:
    """`KEY=LOW..HIGH` and `KEY=VALUE,VALUE,...` of a model's block. Raises BadParamsError."""
    found = []
    for text in written:
        key, separator, values = (part.strip() for part in text.partition("="))
        ends = RANGE.fullmatch(values)
        choices = (ends["low"], ends["high"]) if ends else tuple(dict.fromkeys(v.strip() for v in values.split(",")))
        axis = Axis(f"models.{model}.{key}", choices, bool(ends))
        if not separator or not key or not all(choices) or (ends and not _rises(axis)):
            raise BadParamsError(
                f"--search {text}: it takes KEY=LOW..HIGH, two numbers of which the first is smaller, or "
                "KEY=VALUE,VALUE,..., such as --search learning_rate=1e-5..1e-2 --search norm=none,spectral."
            )
        found.append(axis)
    if len({axis.key for axis in found}) < len(found):
        raise BadParamsError("--search names a key more than once. Give each key one range, or one list.")
    return found


def _rises(axis: Axis) -> bool:
    try:
        return axis.ends[0] < axis.ends[1] < float("inf")
    except ValueError:
        return False


def corners(axes: Sequence[Axis]) -> list[tuple[str, ...]]:
    """Settings in which each key has each of its values or ends, the others their first."""
    first = [f"{axis.key}={axis.choices[0]}" for axis in axes]
    return [
        (*first[:place], f"{axis.key}={value}", *first[place + 1 :])
        for place, axis in enumerate(axes)
        for value in axis.choices
    ]


class Search:
    """What was proposed so far, and what comes next. Threads may ask it at once."""

    def __init__(self, file: Path, axes: Sequence[Axis]) -> None:
        """Go on with the search in `file`, or begin it there. Raises UserError where Optuna is not installed."""
        if not find_spec("optuna"):
            raise UserError(
                "A search needs Optuna, which is not installed. Install the extra `sweep` "
                "(`pip install 'genflows[sweep]'`), or try a grid with --over."
            )
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        file.parent.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(file)))
        self._study = optuna.create_study(study_name="search", storage=storage, load_if_exists=True)
        self._axes = axes
        self._distributions = {axis.key: _distribution(axis) for axis in axes}
        self._lock = threading.Lock()
        # What nobody trains any more is proposed again, the same.
        for trial in self._study.get_trials(states=[TrialState.RUNNING]):
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.enqueue_trial(trial.params)
        self.over = [
            self._settings(trial.params)
            for trial in self._study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])
        ]
        """The points whose trainings are over."""

    def ask(self) -> "tuple[Trial, tuple[str, ...]]":
        """The next point: what to `tell` about, and its settings."""
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        with self._lock:
            # By the number alone, or one that goes on would draw again what was drawn first.
            number = sum(trial.state != TrialState.FAIL for trial in self._study.get_trials(deepcopy=False))
            # With the liar those that still train count as bad, so that several at once do not try the same.
            self._study.sampler = TPESampler(seed=number, constant_liar=True)
            trial = self._study.ask(self._distributions)
            return trial, self._settings(trial.params)

    def tell(self, trial: "Trial", value: float | None, stood: Mark | None = None) -> None:
        """What a point came to; None for one that failed, or was stopped when it `stood` so."""
        from optuna.trial import TrialState

        with self._lock:
            if stood:
                trial.report(stood.value, stood.images)
            # To Optuna what failed is as bad as can be, and worth to know; its own FAIL it would pass over.
            state = TrialState.PRUNED if value is None else TrialState.COMPLETE
            self._study.tell(trial, value, state)

    def _settings(self, values: dict[str, Any]) -> tuple[str, ...]:
        return tuple(f"{axis.key}={_written(values[axis.key])}" for axis in self._axes)


def _distribution(axis: Axis) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not axis.is_range:
        return CategoricalDistribution(axis.choices)
    if axis.is_whole:
        low, high = map(int, axis.choices)
        return IntDistribution(low, high, log=axis.is_logarithmic)
    return FloatDistribution(*axis.ends, log=axis.is_logarithmic)


def _written(value: str | float) -> str:
    """As it stands in params.yaml: four digits of a number are more than a search can tell."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
