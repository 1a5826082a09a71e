"""The command `genflows`: which commands there are, how errors are told, what a command leaves with."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from flows.commands import (
    beginning,
    conversion,
    drift,
    explaining,
    export,
    images,
    pipeline,
    registry,
    running,
    serving,
    sweeping,
    synthetic,
    upkeep,
)
from flows.terminal import hanging
from gen.errors import UserError, describe

DEBUG = "GENFLOWS_DEBUG"
INTERRUPTED = 130
HELP = """Keeps image generators fresh: retrain, judge and register GANs, VAEs and CycleGANs, repeatably."""
EPILOG = (
    "Exit codes: 0 done; 1 failed; 2 wrong call or params.yaml; 3 MLflow or the DVC remote was not reached and is "
    "owed the rest; 4 another retrain is at work; 5 nothing is up (`status`); 130 interrupted (the same command goes "
    "on)."
)
COMMANDS = {
    "Pipeline": (
        pipeline.retrain,
        running.schedule,
        pipeline.ingest,
        pipeline.extractor,
        pipeline.start,
        pipeline.publish,
        pipeline.judge,
        drift.drift,
        pipeline.report,
    ),
    "By itself": (running.up, running.status, running.down),
    "Models": (registry.models, registry.compare, registry.promote, registry.rollback, explaining.explain),
    "Images": (
        images.generate,
        images.interpolate,
        conversion.translate,
        conversion.reconstruct,
        synthetic.augment,
        export.export,
        serving.serve,
    ),
    "Workspace": (
        beginning.init,
        sweeping.sweep,
        upkeep.luck,
        upkeep.data,
        upkeep.clean,
        upkeep.ui,
        upkeep.doctor,
        upkeep.migrate,
    ),
}


class Guarded(TyperGroup):
    """The group of all commands: what goes wrong in any of them is told in one paragraph."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        with guarded():
            return super().invoke(ctx)


@contextmanager
def guarded() -> Iterator[None]:
    """Tell an error as a paragraph on stderr and leave with its exit code; its traceback only with --debug."""
    try:
        yield
    except KeyboardInterrupt:
        _complain("interrupted. What was finished is kept: the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        # Typer's own ways to leave, and a reader that closed the pipe, are nobody's fault.
        if isinstance(error, BrokenPipeError) or type(error).__module__.partition(".")[0] in ("typer", "click"):
            raise
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    if os.environ.get(DEBUG):
        raise error
    _complain(
        describe(error)
        or f"an unexpected {type(error).__name__} ({' '.join(str(error).split())}). This is a fault of the program, "
        "not of your input. Run the command again with --debug and report the traceback."
    )
    raise typer.Exit(error.exit_code if isinstance(error, UserError) else 1) from None


def _complain(paragraph: str) -> None:
    """Write to stderr, wrapped between words on a terminal and whole in a log."""
    paragraph = f"genflows: {paragraph}"
    typer.secho(hanging(paragraph) if sys.stderr.isatty() else paragraph, fg=typer.colors.RED, err=True)


app = typer.Typer(
    cls=Guarded,
    help=HELP,
    epilog=EPILOG,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    context: typer.Context,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Edit params.yaml first, after checking the result."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; valid anywhere.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"
    if version:
        from importlib.metadata import version as installed

        print(installed("genflows"))
        raise typer.Exit
    if settings:
        pipeline.apply(settings)
    elif context.invoked_subcommand is None:
        print(context.get_help())


for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main() -> None:
    """The entry point of `genflows`."""
    # An option of the whole program, but written behind the command by most people.
    arguments = sorted(sys.argv[1:], key=lambda word: word != "--debug")
    app(arguments, prog_name="genflows")


if __name__ == "__main__":
    main()
