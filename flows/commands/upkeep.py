"""Commands that look after a workspace: its judge, its data, its disk, its health."""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.completion import names
from flows.terminal import figure, hanging, narration, size, table
from gen.errors import BadParamsError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from flows.luck import Recipe
    from gen.config import Params


def luck(
    models: Annotated[
        list[str], typer.Argument(help="Models to train again and again.", autocompletion=names("models"))
    ],
    seeds: Annotated[int, typer.Option(min=5, help="How often each; ten tell more.")] = 10,
) -> None:
    """Measure what another seed alone does to a figure, and let the judge ask for a gain beyond it."""
    workspace = Workspace.find()
    from flows import luck, settings, stages
    from gen import config

    with stages.exclusive(workspace):
        params = settings.check(config.read_yaml(workspace.params_file))
        # Told before hours of training: a file in which the result has no place.
        places = [f"promotion.minimum_effect.{params.model(model).dataset}" for model in models]
        settings.changed(workspace.params_file, [f"{place}=0.5" for place in places])
        with narration() as say:
            recipes = luck.measure(workspace, params, models, seeds, say)
        _show_luck(recipes)
        effects = luck.effects(recipes)
        found = [f"promotion.minimum_effect.{dataset}={effect:g}" for dataset, effect in effects.items()]
        settings.edit(workspace.params_file, found)
    for dataset, effect in effects.items():
        print(f"params.yaml: promotion.minimum_effect.{dataset} is {effect:g} now.")


def data(
    name: Annotated[
        str | None, typer.Argument(help="A dataset; all of them by default.", autocompletion=names("datasets"))
    ] = None,
    diff: Annotated[
        tuple[str, str] | None, typer.Option(metavar="OLD NEW", help="What changed between two versions.")
    ] = None,
    restore: Annotated[str | None, typer.Option(metavar="VERSION", help="Make a version the current one.")] = None,
) -> None:
    """List the versions of the data, compare two, restore one. `previous` and `current` are versions too."""
    workspace = Workspace.find()
    params = _params(workspace)
    if name:
        params.dataset(name)
    if diff or restore:
        dataset = name or _only(params)
        if diff:
            _show_difference(workspace, dataset, *diff)
        if restore:
            _restore(workspace, dataset, restore)
        return
    from flows import versions

    known = [
        version
        for dataset in ([name] if name else params.datasets)
        for version in versions.versions(workspace, dataset)
    ]
    if not known:
        print("No version yet. `genflows ingest` takes a snapshot of the images as they are now.")
        return
    rows = [
        (
            version.dataset,
            version.digest[:8],
            "-" if version.images is None else f"{version.images:,}",
            version.recorded.replace("T", " ")[:16],
            "current" if version.current else "",
        )
        for version in known
    ]
    table(("dataset", "version", "images", "since (UTC)", ""), rows, numbers=("images",))


def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what could go.")] = False,
) -> None:
    """Delete caches, checkpoints and old runs, after saying what and how much. Data and registry stay."""
    workspace = Workspace.find()
    from flows import cleaning, stages

    with stages.exclusive(workspace):
        heaps = cleaning.heaps(workspace, _params(workspace))
        if not heaps:
            print("Nothing to clean.")
            return
        table(
            ("what", "items", "size"),
            [(heap.what, f"{len(heap.paths):,}", size(heap.bytes)) for heap in heaps],
            numbers=("items", "size"),
        )
        total = size(sum(heap.bytes for heap in heaps))
        if dry_run:
            print(f"\n{total} could go.")
            return
        if not yes and not typer.confirm(f"\nDelete {total}?"):
            print("Nothing was deleted.")
            return
        for heap in heaps:
            heap.remove()
    print(f"Deleted {total}.")


def ui(
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Where it listens on this machine.")] = 5000,
) -> None:
    """Open MLflow's pages on this machine, until Ctrl-C."""
    workspace = Workspace.find()
    from flows.mlflow_ui import serve

    serve(workspace, port)


def migrate(
    served: Annotated[
        bool, typer.Option("--served", help="From now on a server of MLflow's hands out its artifacts.")
    ] = False,
) -> None:
    """Copy MLflow's and Prefect's records to PostgreSQL, which the environment names, and compare."""
    workspace = Workspace.find()
    from flows.migration import migrate

    migrate(workspace, served=served)


def doctor() -> None:
    """Check what the workspace needs of this machine; each failure names its fix."""
    workspace = Workspace.find()
    from flows.doctor import examine

    failed = 0
    for check in examine(workspace):
        mark = typer.style("ok  ", fg="green") if check.ok else typer.style("FAIL", fg="red")
        typer.echo(f"{mark}  {check.name:<12} {hanging(check.found, 19)}")
        if not check.ok:
            failed += 1
            typer.echo(f"{'':19}{hanging(f'Fix: {check.fix}', 19)}")
    if failed:
        typer.echo(f"\n{failed} to mend.")
        raise typer.Exit(1)
    typer.echo("\nAll is well.")


def _params(workspace: Workspace) -> "Params":
    from gen import config

    return config.load(workspace.params_file)


def _only(params: "Params") -> str:
    """The workspace's dataset, where it has one."""
    if len(params.datasets) > 1:
        raise BadParamsError(f"Name the dataset first, one of: {', '.join(params.datasets)}.")
    return next(iter(params.datasets))


def _show_luck(recipes: "list[Recipe]") -> None:
    rows = [
        (
            recipe.model,
            recipe.figures[0].name,
            f"{recipe.luck.seeds}",
            figure(recipe.luck.mean),
            figure(recipe.luck.deviation),
            figure(recipe.luck.floor),
            f"{recipe.luck.minimum_effect:.1%}",
        )
        for recipe in recipes
    ]
    columns = ("seeds", "mean", "deviation", "floor", "by luck")
    print()
    table(("model", "figure", *columns), rows, numbers=columns)
    print("\nBy luck: what one seed gains over another in one of twenty pairs, as a part of the way to the floor.")


def _show_difference(workspace: Workspace, dataset: str, old: str, new: str) -> None:
    from flows import versions

    changes = versions.difference(workspace, dataset, old, new)
    kinds = list(next(iter(changes.values()), {}))
    rows = [(domain, *(f"{counts[kind]:,}" for kind in kinds)) for domain, counts in changes.items()]
    table(("domain", *kinds), rows, numbers=kinds)


def _restore(workspace: Workspace, dataset: str, version: str) -> None:
    from flows import stages, versions

    with stages.exclusive(workspace):
        restored = versions.restore(workspace, dataset, version)
    print(f"{dataset}: version {restored.digest[:8]} is current. `dvc repro` works on it;")
    print("`genflows retrain` looks at the source first, and takes what is there now.")
