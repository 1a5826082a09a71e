"""Commands that run the pipeline or one part of it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.completion import names
from flows.terminal import duration, figure, narration, table
from gen import files
from gen.errors import BadParamsError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from flows.outcome import Outcome
    from flows.plan import Planned
    from gen.config import Params

Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Edit params.yaml first, after checking it.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for another retrain to end, instead of leaving with 4.")]
Notify = Annotated[
    str | None,
    typer.Option(
        metavar="URL|BLOCK",
        envvar="GENFLOWS_NOTIFY",
        help="Webhook or Prefect block told when a retrain fails, promotes or cannot decide.",
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="tcp://HOST:PORT",
        envvar="GENFLOWS_DASK",
        help="Have images decoded, resized and measured by the workers of this Dask scheduler.",
    ),
]


def retrain(
    settings: Settings = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and about how long.")] = False,
    wait: Wait = False,
    ingest: Annotated[bool, typer.Option("--ingest/--no-ingest", help="Look for new images first.")] = True,
    notify: Notify = None,
    dask: Dask = None,
) -> None:
    """Ingest, train, measure, register and judge: whatever has changed, and nothing else."""
    workspace = Workspace.find()
    if dry_run:
        if settings:
            raise BadParamsError("--dry-run changes nothing. Edit first (`genflows --set ...`), then ask for the plan.")
        _show_plan(workspace)
        return
    _hand_on(dask)
    if settings:
        apply(settings, wait=wait)
    _mlflow()
    from flows.retraining import retrain as run

    with narration() as say:
        outcome = run(workspace, ingest=ingest, wait=wait, notify=notify, say=say)
    _show_outcome(workspace, outcome)
    raise typer.Exit(outcome.exit_code)


def ingest(
    name: Annotated[
        str | None, typer.Argument(help="A dataset; all of them by default.", autocompletion=names("datasets"))
    ] = None,
    wait: Wait = False,
    dask: Dask = None,
) -> None:
    """Take a snapshot of the images as they are now, version it, and pin the champion to go on from with it."""
    workspace, params = _workspace()
    _hand_on(dask)
    _mlflow()
    from flows import stages, starts, versions

    wanted = [_checked(name, params.dataset)] if name else list(versions.bases(params))
    with stages.exclusive(workspace, wait=wait), narration() as say:
        for dataset in wanted:
            version = versions.ingest(workspace, dataset, say=say)
            say(f"{dataset}: version {version.digest[:8]}, {version.images:,} images")
        for start, dataset in params.champion_starts.items():
            if dataset in wanted:
                # Where drift decides, a retrain measures it and moves the pin.
                moves: starts.Moves = "never" if params.retrain.when == "drifted" else "with images"
                starts.follow(workspace, params, start, say, moves=moves)


def extractor(
    name: Annotated[str | None, typer.Argument(help="An extractor; all that datasets name by default.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE|official", help="Import it instead: safetensors, or the published file."),
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the weights: fid-inception, lenet, or a registered one.")
    ] = None,
    tap: Annotated[str | None, typer.Option(metavar="NAME", help="Where its features are taken, e.g. 768.")] = None,
    sha256: Annotated[str | None, typer.Option(metavar="HEX", help="That the file of weights must have.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Replace it: older figures cannot be compared.")] = False,
    wait: Wait = False,
) -> None:
    """Train the network in whose features images are compared, where there is none yet; or import one."""
    workspace, params = _workspace()
    from flows import stages, versions
    from gen.strict import nearest

    if weights or architecture or tap or sha256:
        if not (name and weights and architecture):
            raise BadParamsError("To import an extractor, give its NAME, --architecture and --weights together.")
        from gen.steps.imported import Wanted

        wanted_import = Wanted(name, architecture, weights, tap, sha256)
        with stages.exclusive(workspace, wait=wait), narration() as say:
            digest = versions.imported(workspace, params, wanted_import, again=again, say=say)
            say(f"{name}: version {digest[:8]}")
        return
    known = sorted({dataset.extractor for dataset in params.datasets.values()})
    if name and name not in known:
        raise BadParamsError(f"No dataset names an extractor `{name}`. {nearest(name, known)}")
    with stages.exclusive(workspace, wait=wait), narration() as say:
        for wanted in [name] if name else known:
            if workspace.extractor(wanted).exists() and not again:
                anew = f" `genflows extractor {wanted} --again` trains it anew." if wanted in params.datasets else ""
                say(f"{wanted}: there already, and pinned.{anew}")
                continue
            params.taught_by(wanted)
            digest = versions.extractor(workspace, wanted, say=say)
            say(f"{wanted}: version {digest[:8]}")


def start(
    name: Annotated[str | None, typer.Argument(help="A start; all that models name by default.")] = None,
    wait: Wait = False,
) -> None:
    """Pin the champion that trainings go on from, as it is now; new images do so by themselves."""
    workspace, params = _workspace()
    _mlflow()
    from flows import stages, starts
    from gen.strict import nearest

    known = list(params.champion_starts)
    if not known:
        raise BadParamsError("No model begins from a champion. Set a model's `init` to `champion-of-DATASET` first.")
    if name and name not in known:
        raise BadParamsError(f"No model begins from `{name}`. {nearest(name, known)}")
    with stages.exclusive(workspace, wait=wait), narration() as say:
        for wanted in [name] if name else known:
            digest = starts.move(workspace, params, wanted, say)
            say(f"{wanted}: version {digest[:8]}")


def publish(
    name: Annotated[str | None, typer.Argument(help="A model; all by default.", autocompletion=names("models"))] = None,
) -> None:
    """Send what the files say of a model to MLflow. Twice is as good as once."""
    workspace, params = _workspace()
    wanted = [_checked(name, params.model)] if name else list(params.blocks)
    _mlflow()
    from gen.steps.publish import publish as send

    for model in wanted:
        print(f"{model}: MLflow run {send(workspace, params, model)}")


def judge(
    dataset: Annotated[
        str | None, typer.Argument(help="A dataset; all by default.", autocompletion=names("datasets"))
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Register also what cannot be traced back to code and data, and mark it.")
    ] = False,
) -> None:
    """Register the best of each task, hold it against the champion, and promote it where it is better."""
    workspace, params = _workspace()
    if dataset:
        params.dataset(dataset)
    _mlflow()
    from gen.__main__ import settle
    from gen.steps.judge import judge as decide

    settle(params.machine)
    for of, task in params.contests:
        if dataset in (None, of):
            verdict = decide(workspace, params, of, task, force=force)
            print(f"{of}, {task}: {verdict.decision}. {' '.join(verdict.reasons)}")


def report() -> None:
    """Write report.html from the files of the workspace."""
    workspace, params = _workspace()
    from gen.report import write

    print(f"Open {_shown(write(workspace, params))}")


def apply(settings: Sequence[str], *, wait: bool = False) -> None:
    """Edit params.yaml as the options --set ask. Not under a retrain that reads it."""
    from flows import settings as editor
    from flows import stages

    workspace = Workspace.find()
    with stages.exclusive(workspace, wait=wait):
        editor.edit(workspace.params_file, settings)
    print(f"params.yaml: {', '.join(settings)}")


def _workspace() -> "tuple[Workspace, Params]":
    from gen import config

    workspace = Workspace.find()
    return workspace, config.load(workspace.params_file)


def _checked(name: str, lookup: Callable[[str], object]) -> str:
    """A name that params.yaml knows; the lookup complains about all others."""
    lookup(name)
    return name


def _mlflow() -> None:
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()


def _show_plan(workspace: Workspace) -> None:
    from flows.plan import plan

    found = plan(workspace)
    rows = [
        (
            each.stage.address,
            "runs" if each.runs else "held" if each.held else "cached",
            _about(each) if each.runs else "",
        )
        for each in found.stages
    ]
    table(("stage", "would be", "about"), rows, numbers=("about",))
    running = [each for each in found.stages if each.runs]
    unknown = [each for each in running if each.seconds is None]
    beside = " side by side" if found.slots > 1 else ""
    times = [f"about {duration(found.seconds)}{beside}"] if len(unknown) < len(running) else []
    if unknown:
        times.append(f"plus {len(unknown)} that never ran here" if times else "none of them ran here yet")
    print(f"\n{len(running)} of {len(found.stages)} stages would run{''.join(f', {time}' for time in times)}.")
    if any(each.estimated for each in running):
        print("~ is an estimate, from a few seconds of a training that never ran here like this.")
    print("Sources are read by the retrain itself: new images would make more stages run.")


def _about(planned: "Planned") -> str:
    if planned.seconds is None:
        return "?"
    return f"{'~' * planned.estimated}{duration(planned.seconds)}"


def _show_outcome(workspace: Workspace, outcome: "Outcome") -> None:
    """The table of models with what was decided on them, and what to open next."""
    for run in outcome.failed:
        typer.secho(f"\n{run.name}: {run.reason}", fg=typer.colors.RED, err=True)
    if outcome.failed or outcome.stopped:
        # The table would be that of the retrain before.
        print("\nWhat was finished is kept: `genflows retrain` goes on from there.")
        return
    print()
    _show_table(workspace, outcome)
    for sentence in outcome.held:
        print(f"\n{sentence}.")
    if not outcome.trained and not outcome.held:
        print("\nNothing had changed, so nothing was trained.")
    if outcome.unsent:
        unsent = f"\nMLflow was not reached, so these wait: {', '.join(outcome.unsent)}. The next retrain does them."
        typer.secho(unsent, fg=typer.colors.YELLOW, err=True)
    if outcome.unpushed:
        unsent = "\nThe DVC remote was not reached. The next retrain, or `dvc push`, sends what it was to get."
        typer.secho(unsent, fg=typer.colors.YELLOW, err=True)
    print(f"\nNext:  {_shown(workspace.report):<20}the report")
    print(f"       {'genflows ui':<20}MLflow's pages")
    if any(verdict.task == "sample" for verdict in outcome.verdicts):
        print(f"       {'genflows generate':<20}images of the champion")
    else:
        print(f"       {'genflows translate':<20}your images, by the champion")


def _show_table(workspace: Workspace, outcome: "Outcome") -> None:
    decisions = {(verdict.dataset, verdict.task): verdict.decision for verdict in outcome.verdicts}
    rows = [
        (
            row["model"],
            row["dataset"],
            row["metric"],
            figure(row["value"], row["spread"]),
            figure(row["floor"]),
            decisions.get((row["dataset"], row["task"]), "-") if row["rank"] == 1 else "",
        )
        for row in files.read_json(workspace.compare / "table.json")
        if row["rank"]
    ]
    table(("model", "dataset", "metric", "figure", "floor", "verdict"), rows, numbers=("figure", "floor"))


def _shown(path: Path) -> str:
    """A path as short as it gets from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _hand_on(dask: str | None) -> None:
    """Name the cluster to all steps that this process starts. Raises BadParamsError for an address that is none."""
    if dask:
        from gen import workers

        os.environ[workers.ADDRESS] = workers.checked(dask)
