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
        list[str],
        typer.Option(metavar="KEY=V,V,...", help="Values of one of its keys; several make a grid."),
    ],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each point.")] = 1,
) -> None:
    """Train a model at each point of a grid, and write the best into params.yaml: chosen on the split `select`."""
    workspace = Workspace.find()
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from flows import settings, stages
    from flows import sweep as sweeping
    from gen.tracking.store import TrackingUnavailable

    with stages.exclusive(workspace):
        points = sweeping.grid(model, over)
        for point in points:
            _, params = settings.changed(workspace.params_file, point)
            if params.model(model).publish != "best":
                raise BadParamsError(
                    f"`models.{model}.publish` is `last`, so nothing is measured on `select` by which to choose. "
                    "Set it to `best` first."
                )
        with narration() as say:
            found = sweeping.run(workspace, model, points, seeds, say)
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
            figure(candidate.value, candidate.spread) if candidate.is_sound else "failed",
        )
        for candidate in found
    ]
    print()
    table((model, "kernel distance on select"), rows, numbers=("kernel distance on select",))
