"""Commands that make images with a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.completion import names
from gen.errors import BadParamsError, UserError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.artifact import Published
    from gen.images import Pixels

CHUNK = 64
"""Images made at once, always: the arithmetic of a smaller batch may differ in the last bit."""
Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL|NAME@ALIAS|NAME/N",
        help="Whose images: a model of params.yaml or a registered version; the champion by default.",
        autocompletion=names("models"),
    ),
]


def generate(
    model: Model = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many images.")] = 64,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Image i depends on the seed and i alone.")] = 0,
    out: Annotated[Path, typer.Option(help="A grid (NAME.png), or a folder of single files.")] = Path("samples.png"),
) -> None:
    """Make images from noise."""
    from flows.published import load
    from gen.images import write_png

    if _is_picture(out) and out.is_dir():
        raise BadParamsError(f"--out {out} is a folder that is called like a picture. Name another.")
    generator = load(Workspace.find(), model, "sample")
    if _is_picture(out):
        import numpy as np

        from gen.images import grid

        write_png(out, grid(np.concatenate(list(_chunks(generator, count, seed)))))
    else:
        numbers = iter(range(count))
        for chunk in _chunks(generator, count, seed):
            for image in chunk:
                write_png(out / f"{next(numbers):06d}.png", image)
    print(f"{count} images of {generator.name} (seed {seed}): {out}")


def translate(
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image, or a folder of images.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A PNG for an image, a folder for a folder.")],
    model: Model = None,
    back: Annotated[bool, typer.Option("--back", help="From domain B to A.")] = False,
) -> None:
    """Translate images from one domain to the other."""
    from flows.published import load
    from gen.images import write_png

    inputs = _inputs(source, target)
    translator = load(Workspace.find(), model, "translate")
    unusable = []
    for path, wanted in inputs:
        pixels = _read(path, translator)
        if isinstance(pixels, str):
            unusable.append(f"{path} ({pixels})")
        else:
            write_png(wanted, translator.translate(pixels, back=back)[0])
    done = len(inputs) - len(unusable)
    if done:
        print(f"{done} images translated by {translator.name}: {target}")
    if unusable:
        shown = "; ".join(unusable[:5]) + ("; ..." if len(unusable) > 5 else "")
        raise UserError(f"{len(unusable)} of {len(inputs)} files could not be used: {shown}. Replace or remove them.")


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() in (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"):
        raise BadParamsError(f"{path} would have to be another format than PNG. Name it {path.with_suffix('.png')}.")
    return path.suffix.lower() == ".png"


def _chunks(generator: "Published", count: int, seed: int) -> "Iterator[Pixels]":
    """Images 0 to `count` - 1 of a seed, CHUNK at a time."""
    for start in range(0, count, CHUNK):
        yield generator.generate(CHUNK, seed, start)[: count - start]


def _inputs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Each image to translate, and where its translation goes. Sub-folders are kept; hidden files are passed over."""
    if not source.exists():
        raise BadParamsError(f"{source} does not exist. Name an image or a folder of images.")
    if source.is_file():
        return [(source, target if _is_picture(target) else target / f"{source.stem}.png")]
    if target.is_file() or _is_picture(target):
        raise BadParamsError(f"{source} is a folder, so its translations need a folder too: {target} names a file.")
    found = sorted(
        path
        for path in source.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(source).parts)
    )
    if not found:
        raise UserError(f"{source} holds no files. Name a folder of images.")
    pairs = {target / path.relative_to(source).with_suffix(".png"): path for path in found}
    for path in found:
        same = pairs[target / path.relative_to(source).with_suffix(".png")]
        if same != path:
            raise BadParamsError(f"{path} and {same} would both be translated to one file. Rename one of them.")
    return [(path, wanted) for wanted, path in pairs.items()]


def _read(path: Path, translator: "Published") -> "Pixels | str":
    """An image as the translator takes it, uint8 [1, H, W, C], or why it is none."""
    import numpy as np

    from gen.sources.decoding import Unusable, decode
    from gen.steps.prepare import square

    channels, size, _ = translator.shape
    try:
        # A copy: Pillow's memory is read only, and torch wants none of that.
        return np.array(square(decode(path), size, channels))[None]
    except Unusable as fault:
        return fault.reason
