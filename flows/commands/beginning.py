"""The command that makes a workspace the user's own: recipes for his images, budgets for his machine."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.completion import names
from flows.terminal import duration, hanging, table
from gen.errors import BadParamsError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from flows.budgets import Budget
    from gen.config import Machine


def init(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Models to be budgeted; all by default.", autocompletion=names("models")),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Your images: recipes for them replace datasets and models.")
    ] = None,
    preset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Which recipes; may be given more than once.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="How long training all of them takes, on this machine.")
    ] = None,
) -> None:
    """Write params.yaml: recipes for a folder of images, or budgets that this machine trains in so many minutes."""
    workspace = Workspace.find()
    if minutes is not None and not 0 < minutes < math.inf:
        raise BadParamsError(f"--minutes is {minutes:g}, but training takes some time. Give more than 0, such as 3.")
    if data is None and minutes is None:
        raise BadParamsError("Give --data FOLDER (your images), --minutes MINUTES (a budget), or both.")
    if preset and data is None:
        raise BadParamsError("A preset is fitted to images: give --data FOLDER too.")
    from flows import stages

    with stages.exclusive(workspace):
        if data is not None:
            _begin(workspace, data, preset or [])
        if minutes is not None:
            _budget(workspace, minutes, models)


def _begin(workspace: Workspace, data: Path, wanted: list[str]) -> None:
    """Replace datasets and models by recipes for a folder."""
    from flows import looking, presets, settings
    from gen.strict import nearest

    found = looking.look(workspace.root, data)
    for name in wanted:
        if name not in presets.PRESETS:
            raise BadParamsError(f"There is no preset `{name}`. {nearest(name, list(presets.PRESETS))}")
    chosen = wanted or (["style"] if found.layout == "domains" else ["gan", "vae"])
    datasets, models = presets.blocks(chosen, found)
    print(f"{found.path}: {found}.")
    kept = settings.begin(workspace.params_file, datasets, models)
    size = next(iter(datasets.values()))["size"]
    print(f"params.yaml has {', '.join(models)} now, for images of {size} x {size} px; {kept.name} is what it was.")
    print("Next:  genflows init --minutes 10   a budget for this machine\n       genflows retrain")


def _budget(workspace: Workspace, minutes: float, models: list[str] | None) -> None:
    """Time the models on this machine, and write what they may see."""
    from flows import budgets, settings, speed
    from gen import config

    params = settings.check(config.read_yaml(workspace.params_file))
    wanted = {name: params.model(name) for name in models or params.blocks}
    rates = speed.measure(workspace, params, list(wanted))
    seconds = budgets.share(minutes, len(wanted), params.machine)
    found = [budgets.budget(name, block, rates[name], seconds) for name, block in wanted.items()]
    settings.edit(workspace.params_file, [setting for each in found for setting in each.settings()])
    _show_budgets(found, params.machine)


def _show_budgets(budgets: "list[Budget]", machine: "Machine") -> None:
    from flows.slots import training_slots, wall_time

    rows = [
        (each.model, _rate(each.rate), f"{each.before:,}", f"{each.images:,}", duration(each.seconds))
        for each in budgets
    ]
    columns = ("images/s", "old images", "new images", "about")
    table(("model", *columns), rows, numbers=columns)
    print()
    for each in budgets:
        if each.others:
            changes = ", ".join(f"{key} is {value:,}" for key, value in each.others.items())
            print(hanging(f"{each.model}: {changes} now, for more would be too long for its budget."))
    at_once = min(training_slots(machine), len(budgets))
    total = wall_time({each.model: each.seconds for each in budgets}, at_once)
    print(f"Training takes about {duration(total)} in all, {at_once} at once, on this machine as it is now.")


def _rate(images: float) -> str:
    return f"{images:,.0f}" if images >= 100 else f"{images:.3g}"
