"""The command that makes a file of a model for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.completion import names
from gen.errors import BadParamsError
from gen.workspace import Workspace


class Format(StrEnum):
    """What is written."""

    ONNX = "onnx"
    TORCH = "torch"


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|NAME@ALIAS|NAME/N",
            help="A model of params.yaml, a registered version, or a folder with one.",
            autocompletion=names("models"),
        ),
    ],
    form: Annotated[Format, typer.Option("--format", help="torch: an exported program (.pt2).")] = Format.ONNX,
    out: Annotated[Path | None, typer.Option(help="The file; NAME.onnx or NAME.pt2 by default.")] = None,
    back: Annotated[bool, typer.Option("--back", help="Of a translator, from domain B to A.")] = False,
) -> None:
    """Write a model as one file for other programs, held against the model itself."""
    from flows.published import load
    from gen import exporting

    if out and out.is_dir():
        raise BadParamsError(f"--out {out} is a folder. Name a file in it.")
    wanted = load(Workspace.find(), model, device="cpu")
    out = out or Path(f"{wanted.name}.{'onnx' if form is Format.ONNX else 'pt2'}")
    facts = exporting.export(wanted, form.value, out, back=back)
    print(
        f"{wanted.name} as {form.value}: {out}, at most {facts['difference']:.1g} from the model itself on "
        f"{exporting.INPUTS} fixed inputs ({out}.json says what it takes)"
    )
