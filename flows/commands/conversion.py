"""Commands that make images of images: an image, or a folder of any size."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.images import ModelOption, is_picture
from flows.folders import Conversion, Tally, convert_file, convert_folder
from gen.errors import BadParamsError, UserError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.use import Model

Source = Annotated[Path, typer.Argument(metavar="IN", help="An image, or a folder of images.")]
Target = Annotated[Path, typer.Argument(metavar="OUT", help="A PNG for an image, a folder for a folder.")]


def translate(
    source: Source,
    target: Target,
    model: ModelOption = None,
    back: Annotated[bool, typer.Option("--back", help="From domain B to A.")] = False,
) -> None:
    """Translate images from one domain to the other; interrupted, the same command goes on."""
    from flows.published import load

    _check(source, target)
    translator = load(Workspace.find(), model, "translate")
    _convert(
        source,
        target,
        Conversion(
            translator.shape,
            lambda pixels: translator.translate(pixels, back=back),
            _made_by(translator, "translated back" if back else "translated"),
        ),
    )


def reconstruct(source: Source, target: Target, model: ModelOption = None) -> None:
    """Encode images with a VAE and decode them again; interrupted, the same command goes on."""
    from flows.published import load

    _check(source, target)
    autoencoder = load(Workspace.find(), model, "sample")
    autoencoder.require_images("a folder of pictures")
    _convert(
        source,
        target,
        Conversion(autoencoder.shape, autoencoder.reconstruct, _made_by(autoencoder, "reconstructed")),
    )


def _check(source: Path, target: Path) -> None:
    """Raise BadParamsError where the one cannot become the other, before a model is loaded."""
    if not source.exists():
        raise BadParamsError(f"{source} does not exist. Name an image or a folder of images.")
    if source.is_dir() and (target.is_file() or is_picture(target)):
        raise BadParamsError(f"{source} is a folder, so its translations need a folder too: {target} names a file.")


def _made_by(model: "Model", verb: str) -> dict[str, str]:
    return {"what": verb, "by": model.name, "digest": model.digest}


def _convert(source: Path, target: Path, conversion: Conversion) -> None:
    if source.is_dir():
        tally = convert_folder(source, target, conversion)
    else:
        wanted = target if is_picture(target) else target / f"{source.stem}.png"
        reason = convert_file(source, wanted, conversion)
        tally = Tally(unusable=1, examples=[f"{source} ({reason})"]) if reason else Tally(made=1)
    there = f", {tally.kept} were there already" if tally.kept else ""
    if tally.made or tally.kept:
        print(f"{tally.made} images {conversion.made_by['what']} by {conversion.made_by['by']}{there}: {target}")
    if tally.unusable:
        more = "; ..." if tally.unusable > len(tally.examples) else ""
        raise UserError(
            f"{tally.unusable} of {tally.seen} files could not be used: {'; '.join(tally.examples)}{more}. "
            "Replace or remove them."
        )
