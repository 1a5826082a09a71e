"""Commands that keep a schedule running without a terminal."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.pipeline import Notify
from flows.when import When
from gen.errors import UserError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from flows.standing import Part, Standing
    from flows.status import Retrains

DOWN = 5
"""What `status` leaves with where nothing is up."""

Cron = Annotated[str | None, typer.Option(help='When to retrain by the clock, e.g. "0 3 * * *" for each night at 3.')]
Every = Annotated[str | None, typer.Option(help="Or in intervals: 90m, 6h, 1d.")]
OnNewData = Annotated[
    bool, typer.Option("--on-new-data", help="And whenever the folders of images have changed and come to rest.")
]
Port = typer.Option(min=1024, max=65535, help="Where it listens on this machine.")


def schedule(
    cron: Cron = None,
    every: Every = None,
    on_new_data: OnNewData = False,
    notify: Notify = None,
) -> None:
    """Retrain again and again, until Ctrl-C."""
    when = When(cron, every, on_new_data)
    workspace = Workspace.find()
    from flows.environment import prefect_environment

    prefect_environment(workspace)
    from flows.deployments import schedule as serve

    serve(workspace, when, notify=notify)


def up(
    cron: Cron = None,
    every: Every = None,
    on_new_data: OnNewData = False,
    prefect_port: Annotated[int, Port] = 4200,
    mlflow_port: Annotated[int, Port] = 5000,
    notify: Notify = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay in the terminal, as systemd wants it.")
    ] = False,
    supervise: Annotated[
        bool, typer.Option(hidden=True, help="What the two others start, once all is checked.")
    ] = False,
) -> None:
    """Start what a schedule needs, keep it running, and leave it so: `status` looks at it, `down` ends it."""
    workspace = Workspace.find()
    from flows import parts, standing
    from flows import up as running

    options = parts.Options(When(cron, every, on_new_data), prefect_port, mlflow_port, notify)
    if supervise:
        running.supervise(workspace, options)
        return
    there = standing.read(workspace)
    if there:
        differing = running.difference(there, options)
        if differing:
            raise UserError(f"It is up with other options: {'; '.join(differing)}. Run `genflows down` first.")
        print("It is up already, with the same options.\n")
        _show(workspace, there)
        return
    from flows.environment import prefect_environment

    prefect_environment(workspace)
    from flows.timetable import checked, next_firing

    checked(workspace, options.when)
    running.check(workspace, options)
    if foreground:
        running.foreground(workspace, options)
    print("Starting; this takes up to a minute.", flush=True)
    there = running.detached(workspace, options)
    for part in there.parts:
        elsewhere = "" if part.process else ", started elsewhere and only looked at"
        print(f"{part.name:<15} {part.url or f'retrains {workspace.root}'}{elsewhere}")
    firing = next_firing(options.when)
    print(f"{'next retrain':<15} {_when(firing) if firing else _unclocked(options.when)}")
    print("\nIt runs on without this terminal: `genflows status` looks at it, `genflows down` ends it.")


def down() -> None:
    """End what `up` started. The schedule is not paused: the next `up` goes on with it."""
    workspace = Workspace.find()
    from flows import standing, status
    from flows import up as running

    there = standing.read(workspace)
    found = status.retrains(workspace, there) if there else None
    ended = running.down(workspace)
    if ended is None:
        print("Nothing is up here.")
        return
    print(f"Ended: {', '.join(part.name for part in ended.parts if part.log)}.")
    if found and found.running:
        print("The retrain that ran was asked to leave and keeps its checkpoints: the next one goes on from there.")


def status(
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show how what `up` started stands, when the schedule fires next, and how the last retrain ended."""
    workspace = Workspace.find()
    from flows import standing

    there = standing.read(workspace)
    if there is None:
        print('{"up": false}' if json else 'Nothing is up here. `genflows up --cron "0 3 * * *"` starts it.')
        raise typer.Exit(DOWN)
    if json:
        _print_json(workspace, there)
    else:
        _show(workspace, there)
    raise typer.Exit(0 if there.healthy else 1)


def _print_json(workspace: Workspace, there: "Standing") -> None:
    from dataclasses import asdict

    from flows import status
    from gen import files

    found = status.retrains(workspace, there)
    told = {**asdict(there), "up": True, "healthy": there.healthy, "retrains": asdict(found) if found else None}
    print(files.canonical_json(told), end="")


def _show(workspace: Workspace, there: "Standing") -> None:
    from flows import status
    from flows.terminal import age, table

    rows = [
        (
            part.name,
            str(part.pid or "-"),
            part.url or "-",
            _health(part),
            age(_moment(part.since)),
            str(len(part.restarts)),
        )
        for part in there.parts
    ]
    table(("what", "pid", "url", "state", "for", "restarts"), rows, numbers=("pid", "restarts"))
    told = there.options
    print(f"\nschedule  {When(told.get('--cron'), told.get('--every'), '--on-new-data' in told)}")
    found = status.retrains(workspace, there)
    if found is None:
        print("retrains  not known: Prefect does not answer")
    else:
        _show_retrains(found)


def _show_retrains(found: "Retrains") -> None:
    print(f"next      {_when(_moment(found.next)) if found.next else 'not planned yet'}")
    print(
        f"now       {f'a retrain runs since {_when(_moment(found.running))}' if found.running else 'no retrain runs'}"
    )
    if found.last:
        print(f"last      {_when(_moment(found.last.ended))}: {found.last.outcome}. {found.last.summary}".rstrip())


def _health(part: "Part") -> str:
    if part.again is None:
        return part.health
    seconds = (_moment(part.again) - datetime.now().astimezone()).total_seconds()
    return f"restarting in {max(0, round(seconds))} s"


def _unclocked(when: When) -> str:
    return "as soon as there are new data" if when.new_data else "never: that date does not come"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _when(moment: datetime) -> str:
    """By the clock of this machine, without the seconds."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
