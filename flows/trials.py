"""Trials: a model trained and measured beside the pipeline, with some of its numbers changed.

A trial is a workspace of its own under .genflows/trials that borrows the data of the one it was made in. So the steps
run in it as they are; what the pipeline has, and `dvc.lock`, stay as they were.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flows import children, settings
from flows.children import Stop, StoppedError
from flows.environment import child_environment
from flows.slots import training_slots
from flows.terminal import Say
from gen import config, files
from gen.config import Params
from gen.errors import UserError
from gen.workspace import Workspace


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

    @property
    def metrics(self) -> dict[str, Any]:
        """As they stand in metrics.json."""
        metrics: dict[str, Any] = files.read_json(self.workspace.evaluate(self.trial.model) / "metrics.json")
        return metrics


def run(workspace: Workspace, trials: Sequence[Trial], say: Say = print, *, measured: bool = True) -> list[Tried]:
    """Train each of them, as many at once as there is room for; results in the order given.

    With `measured` each is measured on `report` as the pipeline does, and one that fails ends all; without, one that
    fails is among the results with its reason. One that is over already, of the same code, params and data, is not run
    again, and one that was broken off goes on. Raises UserError when data are not prepared or, with `measured`, a trial
    fails; StoppedError on Ctrl-C.
    """
    params = config.load(workspace.params_file)
    for dataset in {params.model(trial.model).dataset for trial in trials}:
        for folder in (workspace.prepared(dataset), workspace.features(dataset), workspace.reference(dataset)):
            files.verify(folder)
    stop = Stop()
    with stop.on_signals(), ThreadPoolExecutor(training_slots(params.machine)) as pool:
        try:
            return list(pool.map(partial(_measured if measured else _trained, workspace, stop, say), trials))
        except BaseException:
            # The others need not be trained any more.
            stop.request()
            raise


def _measured(workspace: Workspace, stop: Stop, say: Say, trial: Trial) -> Tried:
    scratch = _scratch(workspace, trial)
    if not (scratch.evaluate(trial.model) / "metrics.json").exists():
        for step in ("train", "evaluate"):
            _step(scratch, stop, say, step, trial)
    return Tried(trial, scratch)


def _trained(workspace: Workspace, stop: Stop, say: Say, trial: Trial) -> Tried:
    scratch = _scratch(workspace, trial)
    try:
        if not scratch.train(trial.model).exists():
            _step(scratch, stop, say, "train", trial)
    except StoppedError:
        raise
    except UserError as error:
        say(str(error))
        return Tried(trial, scratch, str(error))
    return Tried(trial, scratch)


def _step(scratch: Workspace, stop: Stop, say: Say, step: str, trial: Trial) -> None:
    for line in _lines(scratch, stop, step, trial):
        say(line.replace(trial.model, trial.name, 1))


def _lines(scratch: Workspace, stop: Stop, step: str, trial: Trial) -> Iterator[str]:
    last = "it printed nothing."
    try:
        command = [sys.executable, "-m", "gen", step, trial.model]
        for last in children.lines(command, scratch.root, child_environment(scratch), stop):
            yield last
    except subprocess.CalledProcessError:
        raise UserError(f"The trial `{trial.name}` failed: {last.removeprefix(f'{step}: ')}") from None


def _scratch(workspace: Workspace, trial: Trial) -> Workspace:
    """The trial's own workspace, made where it is not there. Another one for other code, params or data."""
    text, params = settings.changed(workspace.params_file, trial.settings)
    scratch = Workspace(workspace.private / "trials" / f"{trial.name}-{_key(workspace, params, trial)[:12]}")
    if not scratch.params_file.exists():
        scratch.root.mkdir(parents=True, exist_ok=True)
        for shared in ("data", "dvc.yaml"):
            link = scratch.root / shared
            link.unlink(missing_ok=True)
            link.symlink_to(workspace.root / shared)
        files.write(scratch.params_file, text)
    return scratch


def _key(workspace: Workspace, params: Params, trial: Trial) -> str:
    """The digest of all that a trial's figures are a function of."""
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
