"""Finding the model that a command is to use: one of the workspace, or a version from the registry."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gen import config
from gen.errors import BadParamsError, UserError
from gen.strict import nearest
from gen.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from gen.artifact import Published
    from gen.config import Params
    from gen.families.base import Task
    from gen.tracking.registry import Version
    from gen.tracking.store import Store

CHAMPION = "champion"


def load(workspace: Workspace, wanted: str | None, task: "Task") -> "Published":
    """The model called `wanted`, verified and loaded onto the machine that params.yaml names.

    `dcgan` is the workspace's own; `digits-sample@champion` (or another alias) and `digits-sample/3` are registered
    versions; None is the champion of `task`, where there is one dataset with one. Raises UserError.
    """
    import torch

    from gen import artifact

    params = config.load(workspace.params_file)
    torch.set_num_threads(params.machine.threads)
    if wanted in params.blocks:
        folder = workspace.train(str(wanted))
        if not folder.exists():
            raise UserError(f"Model `{wanted}` is not trained yet. Run `genflows retrain` first.")
    else:
        folder = _registered(workspace, params, wanted, task)
    return artifact.load(folder, params.machine.device)


def find(store: "Store", wanted: str, others: Sequence[str] = ()) -> "Version":
    """The registered version that NAME/NUMBER or NAME@ALIAS names; NAME alone is its champion.

    Raises BadParamsError that names the nearest of the registered names and of `others`, and UserError for a version
    that a known name does not have.
    """
    from gen.tracking import registry

    name, _, which = wanted.replace("@", "/").partition("/")
    known = sorted({version.name for version in registry.versions(store)})
    if name in known:
        return registry.version(store, name, which or CHAMPION)
    hint = nearest(name, [*others, *known]) if known or others else "Nothing is registered yet: run `genflows retrain`."
    raise BadParamsError(f"There is no model `{name}`. {hint} `genflows models` lists what is registered.")


def _registered(workspace: Workspace, params: "Params", wanted: str | None, task: "Task") -> "Path":
    """The verified folder of a registered version."""
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from gen.tracking import registry
    from gen.tracking.store import connect

    store = connect(workspace)
    if wanted:
        return registry.fetch(store, find(store, wanted, list(params.blocks)))
    found = [version for version in registry.versions(store) if CHAMPION in version.aliases]
    fitting = [version for version in found if version.tags.get("task") == task]
    if len(fitting) != 1:
        raise UserError(
            f"There are several champions of the task `{task}`: name one with --model, "
            f"{' or '.join(f'{version.name}@{CHAMPION}' for version in fitting)}."
            if fitting
            else f"There is no champion of the task `{task}` yet. Run `genflows retrain`, or name a trained model with "
            "--model."
        )
    return registry.fetch(store, fitting[0])
