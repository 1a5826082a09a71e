"""card.md: what a published model is, for people. Its text follows from the model's files alone."""

from collections.abc import Mapping
from typing import Any


def text(
    config: Mapping[str, Any], identity: Mapping[str, Any], metrics: Mapping[str, Any], data: str, source: str
) -> str:
    """The card of a model, as Markdown, of its config.json, run.json and metrics.json.

    `data` is the digest of the prepared dataset, `source` says where its images come from.
    """
    block, (channels, height, width) = config["config"], config["shape"]
    box = config.get("box")
    size = f"{width} x {height} px, {'grey' if channels == 1 else 'RGB'}"
    if box:
        size = f"points of the plane, at most {box['half']:g} from ({box['x']:g}, {box['y']:g}) along each axis"
    does = "images from noise" if config["task"] == "sample" else "images of domain A to images of domain B, and back"
    knows = config.get("classes") is not None
    facts = {
        "family": f"{config['family']} (network `{block['network']}`)",
        "task": f"`{config['task']}`: {does}",
        "images": size,
        **({"classes": f"{len(config['classes']['names'])}, of each of which it can be asked"} if knows else {}),
        "dataset": f"`{config['dataset']}`, prepared: `{data}`",
        "source": source,
        "budget": f"{block['images']:,} images seen, in batches of {block['batch']}",
        "begun from": f"`{block['init']}`",
        "seed": str(block["seed"]),
        "training": f"`{identity['key']}`",
    }
    rows = [
        "| figure | value | floor | spread | seed | eval_id |",
        "|---|---|---|---|---|---|",
        *(_row(figure, metrics["rank_by"]) for figure in metrics["figures"]),
    ]
    call = "sample(64, seed=0)" if config["task"] == "sample" else "translate(images)"
    usage = [f'images = gen.load("FOLDER").{call}  # uint8 [N, H, W, C]']
    if box:
        usage = ['model = gen.load("FOLDER")', f"points = model.box.outside(model.{call})  # float64 [N, 2]"]
    return "\n".join(
        [
            f"# {config['model']}",
            "",
            f"A generator of `{config['dataset']}`, trained, measured and registered by Genflows.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {fact} |" for name, fact in facts.items()),
            "",
            "## Figures",
            "",
            "Measured on images that it was not trained on. The floor is what a perfect generator would score; figures "
            "with different eval_ids are not comparable. It is ranked by the figure in bold.",
            "",
            *rows,
            "",
            "![What it makes](grid.png)",
            "",
            "## Use",
            "",
            "It holds weights and JSON, and no code: genflows, which verifies it before it loads, has to be installed.",
            "",
            "```python",
            "import mlflow",
            "",
            f'model = mlflow.pyfunc.load_model("models:/{config["dataset"]}-{config["task"]}@champion")',
            "```",
            "",
            "```python",
            "import gen",
            "",
            *usage,
            "```",
            "",
        ]
    )


def _row(figure: Mapping[str, Any], ranked_by: str) -> str:
    name = f"**{figure['name']}**" if figure["name"] == ranked_by else figure["name"]
    numbers = ["-" if figure.get(part) is None else f"{figure[part]:.5g}" for part in ("value", "floor", "spread")]
    return f"| {' | '.join([name, *numbers, str(figure['card']['seed']), figure['eval_id'][:16]])} |"
