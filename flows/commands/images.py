"""Commands that make images from noise."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.completion import names
from gen.errors import BadParamsError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.images import Pixels
    from gen.plane import Box

MODEL = "A model of params.yaml, a registered version, or a folder with one; the champion by default."
OF_CLASS = (
    "Of this class: asked for, of a model that knows classes; else told by the dataset's classifier, if it is sure."
)
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL|NAME@ALIAS|NAME/N", help=MODEL, autocompletion=names("models")),
]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Image i depends on the seed and i alone.")]
Truncation = Annotated[
    float, typer.Option(min=0, max=1, help="Scales the noise: below 1 images are more usual and vary less.")
]


def generate(
    model: ModelOption = None,
    count: Annotated[int, typer.Option("-n", "--n", "--count", min=1, help="How many images.")] = 64,
    seed: Seed = 0,
    label: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help=OF_CLASS),
    ] = None,
    truncation: Truncation = 1.0,
    out: Annotated[
        Path, typer.Option(help="A grid (NAME.png), or a folder of single files; of points a picture, or NAME.csv.")
    ] = Path("samples.png"),
) -> None:
    """Make images from noise."""
    from flows.published import classifier, load
    from gen.images import write_png

    if is_picture(out) and out.is_dir():
        raise BadParamsError(f"--out {out} is a folder that is called like a picture. Name another.")
    workspace = Workspace.find()
    generator = load(workspace, model, "sample")
    if generator.box is not None and label is None:
        _write_points(out, generator.sample(count, seed, truncation=truncation), generator.box)
        print(f"{count} points of {generator.name} (seed {seed}): {out}")
        return
    if label is None or generator.classes:
        chunks = generator.chunks(count, seed, truncation=truncation, label=label)
        images = enumerate(image for chunk in chunks for image in chunk)
    else:
        from gen.balanced import DRAWS, SURE, Draw

        draw = Draw(generator, classifier(workspace, generator), count, seed, SURE, DRAWS * count, truncation, label)
        images = ((kept.number, kept.pixels) for kept in draw)
    if is_picture(out):
        import numpy as np

        from gen.images import grid

        write_png(out, grid(np.stack([image for _, image in images])))
    else:
        for number, image in images:
            write_png(out / f"{number:06d}.png", image)
    of_class = f", all of class {label}" if label is not None else ""
    print(f"{count} images of {generator.name} (seed {seed}{of_class}): {out}")


def interpolate(
    model: ModelOption = None,
    images: Annotated[
        str, typer.Option(metavar="I,J,...", help="Numbers of two or more images of the seed, in the order of the way.")
    ] = "0,1",
    seed: Seed = 0,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="From each of them to the next.")] = 8,
    truncation: Truncation = 1.0,
    out: Annotated[Path, typer.Option(help="A strip (NAME.png), or an animation (NAME.webp).")] = Path("way.png"),
) -> None:
    """Show the way from image to image, along the arc between their noises."""
    from flows.published import load

    numbers = _numbers(images)
    if out.suffix.lower() != ".webp" and not is_picture(out):
        raise BadParamsError(f"--out {out} is neither a strip nor an animation. Name it NAME.png or NAME.webp.")
    generator = load(Workspace.find(), model, "sample")
    generator.require_images("a way between images")
    _write_way(out, generator.walk(numbers, seed, steps, truncation))
    print(f"{len(numbers)} images of {generator.name} (seed {seed}) and the way between them: {out}")


def is_picture(path: Path) -> bool:
    """Whether it is to be a PNG. Raises BadParamsError where it would have to be another kind of picture."""
    if path.suffix.lower() in (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"):
        raise BadParamsError(f"{path} would have to be another format than PNG. Name it {path.with_suffix('.png')}.")
    return path.suffix.lower() == ".png"


def _write_points(out: Path, stored: "Pixels", box: "Box") -> None:
    from gen import files
    from gen.images import write_png
    from gen.plane import scatter

    if is_picture(out):
        write_png(out, scatter(stored))
    elif out.suffix.lower() == ".csv":
        files.write(out, "\n".join(["x,y", *(f"{x:.9g},{y:.9g}" for x, y in box.outside(stored)), ""]))
    else:
        raise BadParamsError(f"--out {out} is neither a table of points nor a picture. Name it NAME.csv or NAME.png.")


def _numbers(text: str) -> list[int]:
    """Numbers of images, as typed."""
    words = text.split(",")
    if len(words) < 2 or not all(word.strip().isascii() and word.strip().isdecimal() for word in words):
        raise BadParamsError(f"--images is {text!r}, but takes the numbers of two images or more, like 0,5,12.")
    return [int(word) for word in words]


def _write_way(out: Path, pixels: "Pixels") -> None:
    from gen import files
    from gen.animation import webp
    from gen.images import grid, write_png

    if out.suffix.lower() == ".webp":
        files.write(out, webp(pixels))
    else:
        write_png(out, grid(pixels, columns=len(pixels)))
