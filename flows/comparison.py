"""Which models a comparison is of: those of the workspace, and registered versions with what they were measured by."""

from typing import TYPE_CHECKING, Any

from gen import config, files, loading
from gen.errors import UserError
from gen.steps.compare import apart, records, table
from gen.steps.comparison import Compared
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.tracking.registry import Version
    from gen.tracking.store import Store


def collect(workspace: Workspace, wanted: list[str]) -> tuple[list[Compared], UserError | None]:
    """The models called `wanted`, by default all that are measured here and the champions.

    The error is why champions are missing, where nobody asked for them by name. Raises UserError when there is nothing
    to compare, or one that is named is not measured or not known.
    """
    names = list(config.load(workspace.params_file).blocks)
    ours = [name for name in wanted or names if name in names and (wanted or workspace.evaluate(name).exists())]
    found = [_own(workspace, name) for name in ours]
    unreached: UserError | None = None
    try:
        found += _versions(workspace, [name for name in wanted if name not in names], names, champions=not wanted)
    except UserError as error:
        if wanted:
            raise
        unreached = error
    if not found:
        raise unreached or UserError("No model is measured yet. Run `genflows retrain` (or `dvc repro`) first.")
    return found, unreached


def rows(models: list[Compared]) -> list[dict[str, Any]]:
    """Every figure of every model, best first inside one task, dataset and eval card."""
    return records(table([model.metrics for model in models]))


def notes(models: list[Compared]) -> list[dict[str, str]]:
    """Why some are not ranked with others."""
    return apart([model.metrics for model in models])


def _own(workspace: Workspace, name: str) -> Compared:
    files.verify(workspace.evaluate(name))
    return Compared(name, workspace.train(name), workspace.evaluate(name), workspace.provenance(name))


def _versions(workspace: Workspace, wanted: list[str], models: list[str], *, champions: bool) -> list[Compared]:
    if not (wanted or champions):
        return []
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from gen.tracking import registry
    from gen.tracking.store import connect

    store = connect(workspace)
    if champions:
        versions = [version for version in registry.versions(store) if registry.CHAMPION in version.aliases]
    else:
        versions = [loading.find(store, name, models) for name in wanted]
    return [_registered(store, version) for version in versions]


def _registered(store: "Store", version: "Version") -> Compared:
    from gen.tracking import evidence, registry

    folder = evidence.fetch(store, version)
    made = next((folder / "provenance").glob("*.json"), None)
    called = f"{version.name}/{version.number}"
    name = f"{called} (champion)" if registry.CHAMPION in version.aliases else called
    return Compared(name, registry.fetch(store, version), folder / "evaluate", made)
