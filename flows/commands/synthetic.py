"""The command that makes a dataset of generated images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.images import ModelOption, Seed, Truncation
from gen import files
from gen.errors import UserError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.balanced import Draw


def augment(
    out: Annotated[Path, typer.Option(help="A folder that is not there yet.")],
    model: ModelOption = None,
    each: Annotated[int, typer.Option("--per-class", min=1, help="Images of each class.")] = 100,
    seed: Seed = 0,
    truncation: Truncation = 1.0,
    confidence: Annotated[
        float, typer.Option(min=0, max=1, help="How sure the classifier has to be of an image's class.")
    ] = 0.9,
    most: Annotated[
        int | None, typer.Option(min=1, help="Images to make at most; 50 for each one wanted by default.")
    ] = None,
) -> None:
    """Make a synthetic dataset: as many images of each class, DIR/CLASS/NUMBER.png, and a card."""
    from flows.published import classifier, load
    from gen import config
    from gen.balanced import DRAWS, Draw
    from gen.images import write_png

    if out.exists():
        raise UserError(f"{out} is there already, and a dataset is made whole or not at all. Name a new folder.")
    workspace = Workspace.find()
    generator = load(workspace, model, "sample")
    name = config.load(workspace.params_file).dataset(generator.dataset).extractor
    extractor = classifier(workspace, generator)
    wanted = each * len(extractor.labels)
    draw = Draw(generator, extractor, each, seed, confidence, most or DRAWS * wanted, truncation)
    with files.fresh_folder(out) as folder:
        for image in draw:
            write_png(folder / image.label / f"{image.number:06d}.png", image.pixels)
        card = _card(draw, name)
        files.write_json(folder / "card.json", card)
        files.write(folder / "card.md", _in_words(card))
    print(f"{wanted} images of {generator.name}, {each} of each of {len(extractor.labels)} classes: {out}")


def _card(draw: "Draw", extractor: str) -> dict[str, Any]:
    """All that the images depend on, and what they were chosen from."""
    return {
        "model": {name: getattr(draw.model, name) for name in ("name", "family", "dataset", "digest")},
        "seed": draw.seed,
        "truncation": draw.truncation,
        "per_class": draw.each,
        "classes": draw.extractor.labels,
        "told_by": {
            "extractor": extractor,
            "architecture": draw.extractor.description.architecture,
            "digest": draw.extractor.digest,
            "confidence": draw.sure,
        },
        "made": draw.made,
        "surely_of_class": draw.found,
    }


def _in_words(card: dict[str, Any]) -> str:
    model, told_by = card["model"], card["told_by"]
    found = "\n".join(f"| {name} | {card['per_class']} | {count} |" for name, count in card["surely_of_class"].items())
    return f"""\
# Synthetic images of {model["dataset"]}

Generated, not taken: {card["per_class"]} images of each class by `{model["name"]}` ({model["family"]}), trained on
`{model["dataset"]}`. The artifact's digest is `{model["digest"]}`.

Image CLASS/NUMBER.png is number NUMBER of seed {card["seed"]} at truncation {card["truncation"]}. The classes are not
the generator's: the classifier of the extractor `{told_by["extractor"]}` ({told_by["architecture"]}, digest
`{told_by["digest"]}`) gave them, and what it gave a probability of {told_by["confidence"]} or less was left out. So
labels can be wrong, and images that are hard to tell apart are missing.

Of {card["made"]} images made, in the order of their numbers:

| class | kept | surely of the class |
|---|---|---|
{found}
"""
