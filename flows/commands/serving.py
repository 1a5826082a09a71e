"""The command that puts a model to use."""

from typing import Annotated

import typer

from flows.completion import names
from gen.workspace import Workspace


def serve(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME@ALIAS|NAME/N|MODEL|FOLDER",
            help="A registered version, a model of params.yaml, or a folder with one.",
            autocompletion=names("models"),
        ),
    ],
    host: Annotated[str, typer.Option(help="Address or name to listen at; this machine alone by default.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How often it looks where the alias points by now.")
    ] = 5.0,
) -> None:
    """Answer with a model's images over HTTP, and show a page; follows the champion."""
    from flows.serving import serve as run

    run(Workspace.find(), model, host, port, every)
