"""The command that makes a dataset of generated images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.images import ModelOption, Seed, Truncation
from gen import files
from gen.errors import BadParamsError, UserError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.balanced import Draw

CHOSEN = "Only of a model that knows no classes."


def augment(
    out: Annotated[Path, typer.Option(help="A folder that is not there yet.")],
    model: ModelOption = None,
    each: Annotated[int, typer.Option("--per-class", min=1, help="Images of each class.")] = 100,
    seed: Seed = 0,
    truncation: Truncation = 1.0,
    confidence: Annotated[
        float | None,
        typer.Option(min=0, max=1, help=f"How sure the classifier has to be of a class; 0.9 by default. {CHOSEN}"),
    ] = None,
    most: Annotated[
        int | None, typer.Option(min=1, help=f"Images to make at most; 50 for each one wanted by default. {CHOSEN}")
    ] = None,
) -> None:
    """Make a synthetic dataset: as many images of each class, DIR/CLASS/NUMBER.png, and a card.

    A model that knows classes is asked for each, and all that it makes is kept. Of any other those images are kept that
    the dataset's classifier is sure of.
    """
    from flows.published import classifier, load
    from gen import config
    from gen.balanced import DRAWS, SURE, Draw, asked
    from gen.images import write_png

    if out.exists():
        raise UserError(f"{out} is there already, and a dataset is made whole or not at all. Name a new folder.")
    workspace = Workspace.find()
    generator = load(workspace, model, "sample")
    generator.require_images("a dataset of classes")
    draw = None
    if generator.classes:
        if confidence is not None or most is not None:
            raise BadParamsError(
                f"`{generator.name}` knows classes and is asked for each, so there is nothing to choose from. Leave "
                "out --confidence and --most."
            )
        labels = list(generator.classes.names)
    else:
        extractor = classifier(workspace, generator)
        labels = extractor.labels
        sure = SURE if confidence is None else confidence
        draw = Draw(generator, extractor, each, seed, sure, most or DRAWS * each * len(labels), truncation)
    card = {
        "model": {name: getattr(generator, name) for name in ("name", "family", "dataset", "digest")},
        "seed": seed,
        "truncation": truncation,
        "per_class": each,
        "classes": labels,
    }
    with files.fresh_folder(out) as folder:
        for image in draw or asked(generator, each, seed, truncation):
            write_png(folder / image.label / f"{image.number:06d}.png", image.pixels)
        if draw:
            card |= _choice(draw, config.load(workspace.params_file).dataset(generator.dataset).extractor)
        files.write_json(folder / "card.json", card)
        files.write(folder / "card.md", _in_words(card))
    print(f"{each * len(labels)} images of {generator.name}, {each} of each of {len(labels)} classes: {out}")


def _choice(draw: "Draw", extractor: str) -> dict[str, Any]:
    """What images were chosen by, and from what."""
    return {
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
    model = card["model"]
    return f"""\
# Synthetic images of {model["dataset"]}

Generated, not taken: {card["per_class"]} images of each class by `{model["name"]}` ({model["family"]}), trained on
`{model["dataset"]}`. The artifact's digest is `{model["digest"]}`.

Image CLASS/NUMBER.png is number NUMBER of seed {card["seed"]} at truncation {card["truncation"]}\
{_of_classifier(card) if "told_by" in card else OF_GENERATOR}"""


OF_GENERATOR = """, asked for as CLASS.
The classes are the generator's own: it was trained with the labels of its images and asked for each class. Nothing was
left out, and no classifier has looked at them, so an image may look like another class than it was asked for.
"""


def _of_classifier(card: dict[str, Any]) -> str:
    told_by = card["told_by"]
    found = "\n".join(f"| {name} | {card['per_class']} | {count} |" for name, count in card["surely_of_class"].items())
    return f"""\
. The classes are not
the generator's: the classifier of the extractor `{told_by["extractor"]}` ({told_by["architecture"]}, digest
`{told_by["digest"]}`) gave them, and what it gave a probability of {told_by["confidence"]} or less was left out. So
labels can be wrong, and images that are hard to tell apart are missing.

Of {card["made"]} images made, in the order of their numbers:

| class | kept | surely of the class |
|---|---|---|
{found}
"""
