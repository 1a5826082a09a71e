"""Finding the model that somebody names, in the workspace or in the registry, and loading it for use."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gen import config, files, use
from gen.config import Params
from gen.errors import BadParamsError, UserError
from gen.strict import nearest
from gen.use import Model
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.families.base import Task
    from gen.tracking.registry import Version
    from gen.tracking.store import Store

REGISTRY = "models:/"
"""What the address of a registered version begins with in MLflow; it may be left out."""


def load(
    wanted: str | Path | None,
    workspace: Workspace | None = None,
    *,
    task: "Task | None" = None,
    device: str | None = None,
) -> Model:
    """The model called `wanted`, verified and loaded onto `device` (that which params.yaml names).

    A folder that holds a published model is that model, and is loaded onto the CPU where no device is named: it needs
    no workspace. `dcgan` is the workspace's own; `digits-sample@champion` (or another alias) and `digits-sample/3` are
    registered versions, with `models:/` before them or not; None is the champion of `task`, where there is one dataset
    with one. Without a workspace the one around the current folder is used. Raises UserError.
    """
    if wanted is not None and (Path(wanted) / files.MANIFEST).is_file():
        return use.load(Path(wanted), device or "cpu")
    workspace = workspace or Workspace.find()
    params = config.load(workspace.params_file)
    name = None if wanted is None else str(wanted).removeprefix(REGISTRY)
    folder = own(workspace, params, name) or _registered(workspace, list(params.blocks), name, task)
    return use.load(folder, device or params.machine.device)


def own(workspace: Workspace, params: Params, wanted: str | None) -> Path | None:
    """The folder of the workspace's own model called `wanted`; None where params.yaml has none.

    Raises UserError when it is not trained yet.
    """
    if wanted is None or wanted not in params.blocks:
        return None
    folder = workspace.train(wanted)
    if not folder.exists():
        raise UserError(f"Model `{wanted}` is not trained yet. Run `genflows retrain` first.")
    return folder


def parted(wanted: str) -> tuple[str, str]:
    """The name and the number or alias that NAME/NUMBER or NAME@ALIAS says; NAME alone is its champion."""
    from gen.tracking.registry import CHAMPION

    name, _, which = wanted.removeprefix(REGISTRY).replace("@", "/").partition("/")
    return name, which or CHAMPION


def find(store: "Store", wanted: str, others: Sequence[str] = ()) -> "Version":
    """The registered version that `wanted` names (see `parted`).

    Raises BadParamsError that names the nearest of the registered names and of `others`, and UserError for a version
    that a known name does not have.
    """
    from gen.tracking import registry

    name, which = parted(wanted)
    known = sorted({version.name for version in registry.versions(store)})
    if name in known:
        return registry.version(store, name, which)
    hint = nearest(name, [*others, *known]) if known or others else "Nothing is registered yet: run `genflows retrain`."
    raise BadParamsError(f"There is no model `{name}`. {hint} `genflows models` lists what is registered.")


def _registered(workspace: Workspace, blocks: Sequence[str], wanted: str | None, task: "Task | None") -> Path:
    """The verified folder of a registered version."""
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from gen.tracking import registry
    from gen.tracking.store import connect

    store = connect(workspace)
    if wanted:
        return registry.fetch(store, find(store, wanted, blocks))
    found = [version for version in registry.versions(store) if registry.CHAMPION in version.aliases]
    fitting = [version for version in found if version.tags.get("task") == task]
    if len(fitting) != 1:
        raise UserError(
            f"There are several champions of the task `{task}`: name one with --model, "
            f"{' or '.join(f'{version.name}@{registry.CHAMPION}' for version in fitting)}."
            if fitting
            else f"There is no champion of the task `{task}` yet. Run `genflows retrain`, or name a trained model with "
            "--model."
        )
    return registry.fetch(store, fitting[0])
