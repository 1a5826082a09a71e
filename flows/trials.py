"""Trials: a model trained and measured beside the pipeline, with some of its numbers changed.

A trial is a workspace of its own under .genflows/trials that borrows the data of the one it was made in. So the steps
run in it as they are; what the pipeline has, and `dvc.lock`, stay as they were.
"""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from flows import children, settings
from flows.children import Stop, StoppedError
from flows.environment import child_environment
from flows.slots import training_slots
from flows.terminal import Say
from gen import config, files
from gen.config import Machine
from gen.errors import UserError
from gen.workspace import Workspace

T = TypeVar("T")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Trial:
    """A model with settings of its own."""

    name: str
    """By which it is told from the others beside it."""
    model: str
    settings: tuple[str, ...]
    """Changes of params.yaml, as `--set` takes them."""


@dataclass(frozen=True)
class Tried:
    """A trial that is over."""

    trial: Trial
    workspace: Workspace
    """With the trained model, and its figures where they were asked for."""
    failure: str = ""
    """Why there are none."""
    pruned: bool = False
    """Whether it was stopped before its time, because others are clearly better."""

    @property
    def metrics(self) -> dict[str, Any]:
        """As they stand in metrics.json."""
        metrics: dict[str, Any] = files.read_json(self.workspace.evaluate(self.trial.model) / "metrics.json")
        return metrics


def run(workspace: Workspace, trials: Sequence[Trial], say: Say = print) -> list[Tried]:
    """Train each and measure it on `report` as the pipeline does; results in the order given.

    One that is over already, of the same code, params and data, is not run again, and one that was broken off goes on.
    Raises UserError when data are not prepared, or a trial fails: that ends all; StoppedError on Ctrl-C.
    """
    params = config.load(workspace.params_file)
    for dataset in {params.model(trial.model).dataset for trial in trials}:
        check_data(workspace, dataset)
    return side_by_side(params.machine, partial(_measured, workspace, say), trials)


def check_data(workspace: Workspace, dataset: str) -> None:
    """Raise UserError where a dataset that trials borrow is not prepared, or was changed."""
    for folder in (workspace.prepared(dataset), workspace.features(dataset), workspace.reference(dataset)):
        files.verify(folder)


def side_by_side(machine: Machine, work: Callable[[Stop, T], Result], items: Sequence[T]) -> list[Result]:
    """Work on each item, on as many at once as there is room for trainings; results in the order given.

    What one of them raises ends all, as does Ctrl-C (StoppedError).
    """
    stop = Stop()
    with stop.on_signals(), ThreadPoolExecutor(training_slots(machine)) as pool:
        try:
            return list(pool.map(partial(work, stop), items))
        except BaseException:
            # The others need not be trained any more.
            stop.request()
            raise


def train(scratch: Workspace, stop: Stop, say: Say, trial: Trial, is_out: Callable[[], bool]) -> Tried:
    """Train in the trial's own workspace, and measure nothing on `report`. One that fails comes back with its reason.

    `is_out` is asked before it begins and whenever it says something. Where it says yes the training is asked to leave
    as by Ctrl-C, so it keeps its checkpoint. Raises StoppedError when `stop` asks.
    """
    try:
        stop.check()
        if is_trained(scratch, trial):
            return Tried(trial, scratch)
        if not is_out():
            with contextlib.closing(_step(scratch, stop, "train", trial)) as lines:
                for line in lines:
                    say(line)
                    if is_out():
                        break
    except StoppedError:
        raise
    except UserError as error:
        say(str(error))
        return Tried(trial, scratch, str(error))
    # It may have come to its end while it was asked to leave.
    return Tried(trial, scratch, pruned=not is_trained(scratch, trial))


def is_trained(scratch: Workspace, trial: Trial) -> bool:
    """Whether a trial is trained: what is written last is there."""
    return scratch.provenance(trial.model).exists()


def _measured(workspace: Workspace, say: Say, stop: Stop, trial: Trial) -> Tried:
    scratch = prepare(workspace, trial)
    if not (scratch.evaluate(trial.model) / "metrics.json").exists():
        for step in ("train", "evaluate"):
            for line in _step(scratch, stop, step, trial):
                say(line)
    return Tried(trial, scratch)


def _step(scratch: Workspace, stop: Stop, step: str, trial: Trial) -> Generator[str, None, None]:
    """What a step says, under the trial's name. Closing it ends the step."""
    last = "it printed nothing."
    command = [sys.executable, "-m", "gen", step, trial.model]
    try:
        with contextlib.closing(children.lines(command, scratch.root, child_environment(scratch), stop)) as lines:
            for last in lines:
                yield last.replace(trial.model, trial.name, 1)
    except subprocess.CalledProcessError:
        raise UserError(f"The trial `{trial.name}` failed: {last.removeprefix(f'{step}: ')}") from None


def prepare(workspace: Workspace, trial: Trial) -> Workspace:
    """The trial's own workspace, made where it is not there. Another one for other code, params or data.

    Raises BadParamsError for settings that are refused.
    """
    text, _ = settings.changed(workspace.params_file, trial.settings)
    scratch = Workspace(workspace.private / "trials" / f"{trial.name}-{key(workspace, trial)[:12]}")
    if not scratch.params_file.exists():
        scratch.root.mkdir(parents=True, exist_ok=True)
        for shared in ("data", "dvc.yaml"):
            link = scratch.root / shared
            link.unlink(missing_ok=True)
            link.symlink_to(workspace.root / shared)
        files.write(scratch.params_file, text)
    return scratch


def key(workspace: Workspace, trial: Trial) -> str:
    """The digest of all that a trial's figures are a function of. Raises BadParamsError as `prepare`."""
    _, params = settings.changed(workspace.params_file, trial.settings)
    model = params.model(trial.model)
    folders = (workspace.prepared(model.dataset), workspace.features(model.dataset), workspace.reference(model.dataset))
    package = Path(config.__file__).parent
    return files.digest(
        {
            "params": [part.model_dump() for part in (model, params.machine, params.judge)],
            "data": [files.manifest_digest(folder) for folder in folders],
            "code": {str(path.relative_to(package)): files.sha256_of_file(path) for path in package.rglob("*.py")},
        }
    )
