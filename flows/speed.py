"""How many images a second this machine trains of each model, while others train beside it as in a retrain."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from flows import children
from flows.children import Stop
from flows.environment import child_environment
from flows.slots import training_slots
from gen.config import Params
from gen.errors import UserError
from gen.workspace import Workspace


def measure(workspace: Workspace, params: Params, models: Sequence[str]) -> dict[str, float]:
    """Images a second of each of `models`. Takes some six seconds for as many as train at once.

    Raises UserError for a model that cannot be trained here, StoppedError on Ctrl-C.
    """
    if not models:
        return {}
    stop = Stop()
    at_once = min(training_slots(params.machine), len(models))
    rates: dict[str, float] = {}
    with stop.on_signals(), ThreadPoolExecutor(at_once) as pool:
        for start in range(0, len(models), at_once):
            beside = models[start : start + at_once]
            # Cores share caches and memory: the last ones are measured in company too.
            company = models[: at_once - len(beside)]
            rates |= zip(
                (*beside, *company), pool.map(partial(_rate, workspace, stop), (*beside, *company)), strict=True
            )
    return rates


def _rate(workspace: Workspace, stop: Stop, model: str) -> float:
    """Measure one model in a process like that of its training, but without a log."""
    command = [sys.executable, "-m", "gen", "speed", model]
    said: list[str] = []
    try:
        said.extend(children.lines(command, workspace.root, child_environment(workspace), stop))
    except subprocess.CalledProcessError:
        reason = said[-1].removeprefix("speed: ") if said else "it printed nothing."
        raise UserError(f"How fast `{model}` trains could not be measured: {reason}") from None
    return float(said[-1])
