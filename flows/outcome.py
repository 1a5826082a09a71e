"""What became of a retrain: for the command line, for a notice, for Prefect's page."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ran", "cached", "held", "failed", "not ready", "unsent", "unpushed"]


@dataclass(frozen=True)
class TaskRun:
    """What became of one task of a retrain."""

    name: str
    """`ingest digits`, `train@dcgan`, `publish dcgan`..."""
    state: State
    seconds: float = 0.0
    reason: str = ""
    """Why, where it failed or was held back."""


@dataclass(frozen=True)
class Judged:
    """The verdict on one task of one dataset."""

    dataset: str
    task: str
    decision: str
    """promote, keep or undecided."""
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """All that there is to say about a retrain."""

    runs: tuple[TaskRun, ...]
    verdicts: tuple[Judged, ...]
    stopped: bool = False
    """Whether it was asked to end before its time."""

    @property
    def failed(self) -> tuple[TaskRun, ...]:
        """The tasks that failed; those that merely waited for one of them are not among them."""
        return self._in("failed")

    @property
    def unsent(self) -> tuple[str, ...]:
        """What MLflow could not be told: `publish dcgan`. The next retrain, or `genflows publish`, does it."""
        return tuple(run.name for run in self._in("unsent"))

    @property
    def unpushed(self) -> bool:
        """Whether the DVC remote was not reached. The next retrain sends what it was to get."""
        return bool(self._in("unpushed"))

    @property
    def trained(self) -> tuple[TaskRun, ...]:
        """The trainings that ran; empty when nothing had changed."""
        return tuple(run for run in self._in("ran") if run.name.startswith("train@"))

    @property
    def held(self) -> tuple[str, ...]:
        """Which trainings were held back and why: a sentence without its stop for each dataset and task."""
        models: dict[str, list[str]] = {}
        for run in self._in("held"):
            models.setdefault(run.reason, []).append(run.name.removeprefix("train@"))
        return tuple(
            f"{reason}: {', '.join(names)} {'were' if len(names) > 1 else 'was'} not trained again"
            for reason, names in models.items()
        )

    @property
    def promoted(self) -> tuple[Judged, ...]:
        """Where there is a new champion."""
        return tuple(verdict for verdict in self.verdicts if verdict.decision == "promote")

    @property
    def undecided(self) -> tuple[Judged, ...]:
        """Where somebody should look."""
        return tuple(verdict for verdict in self.verdicts if verdict.decision == "undecided")

    @property
    def exit_code(self) -> int:
        """0, 130 when stopped, 1 when something failed, 3 when all is done but MLflow or the DVC remote is owed."""
        return 130 if self.stopped else 1 if self.failed else 3 if self.unsent or self.unpushed else 0

    @property
    def summary(self) -> str:
        """One paragraph."""
        parts = ["stopped as asked; run again to go on"] if self.stopped else []
        parts += [run.reason.rstrip(".") for run in self.failed]
        parts += [f"{name} had to wait, for MLflow was not reached" for name in self.unsent]
        parts += ["the DVC remote was not reached"] if self.unpushed else []
        if self.trained:
            parts.append(f"trained {', '.join(run.name.removeprefix('train@') for run in self.trained)}")
        elif not (self.failed or self.stopped or self.held):
            parts.append("nothing had changed, nothing was trained")
        parts += self.held
        parts += [f"{judged.dataset} {judged.task}: {judged.decision}" for judged in self.verdicts]
        return "; ".join(parts) + "."

    def _in(self, state: State) -> tuple[TaskRun, ...]:
        return tuple(run for run in self.runs if run.state == state)
