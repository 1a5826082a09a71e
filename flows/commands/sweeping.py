"""The command that looks for better numbers."""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.completion import names
from flows.terminal import figure, narration, table
from gen.errors import BadParamsError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from flows.sweep import Candidate


def sweep(
    model: Annotated[str, typer.Option(help="The model whose numbers are tried.", autocompletion=names("models"))],
    over: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=V,V,...", help="Values of one of its keys; several make a grid."),
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=A..B", help="A range (or values, V,V,...) of a key that Optuna searches instead."),
    ] = None,
    number: Annotated[
        int, typer.Option("--trials", min=1, help="Points of a search, those of an interrupted one among them.")
    ] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each point.")] = 1,
    prune: Annotated[bool, typer.Option(help="Stop what is clearly worse than most at the same share.")] = True,
) -> None:
    """Train a model at points of a grid or a search, and write the best into params.yaml: chosen on split `select`."""
    if bool(over) == bool(search):
        raise BadParamsError(
            "A sweep takes either --over, each point of a grid, or --search, points that Optuna proposes. A list of "
            "values can be searched too: --search norm=none,spectral."
        )
    workspace = Workspace.find()
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from flows import search as searching
    from flows import settings, stages
    from flows import sweep as sweeping
    from gen.tracking.store import TrackingUnavailable

    with stages.exclusive(workspace):
        axes = searching.axes(model, search or [])
        points = searching.corners(axes) or sweeping.grid(model, over or [])
        for point in points:
            _, params = settings.changed(workspace.params_file, point)
            if params.model(model).publish != "best":
                raise BadParamsError(
                    f"`models.{model}.publish` is `last`, so nothing is measured on `select` by which to choose. "
                    "Set it to `best` first."
                )
        with narration() as say:
            if axes:
                found = sweeping.search(workspace, model, axes, number, seeds, say, prune=prune)
            else:
                found = sweeping.run(workspace, model, points, seeds, say, prune=prune)
        _show(model, found)
        settings.edit(workspace.params_file, found[0].settings)
    print(f"\nparams.yaml: {', '.join(found[0].settings)}. `genflows retrain` trains it.")
    if tied := sweeping.as_good(found):
        print(f"{len(tied)} more cannot be told from it by chance: try them at more --seeds, or with a larger budget.")
    try:
        sweeping.show(workspace, model, found)
    except TrackingUnavailable as error:
        print(f"The sweep is not shown in MLflow: {error}")


def _show(model: str, found: "list[Candidate]") -> None:
    rows = [
        (
            " ".join(setting.removeprefix(f"models.{model}.") for setting in candidate.settings),
            _result(candidate),
        )
        for candidate in found
    ]
    print()
    table((model, "kernel distance on select"), rows, numbers=("kernel distance on select",))


def _result(candidate: "Candidate") -> str:
    if candidate.is_sound:
        return figure(candidate.value, candidate.spread)
    stood = candidate.stood
    if stood:
        return f"pruned at {stood.share:.0%}: {figure(stood.value, stood.spread)}"
    return "failed"
