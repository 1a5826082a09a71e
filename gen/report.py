"""The report: one self-contained HTML file, made from files alone."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gen import changes, charts, files, pages, pin, plane
from gen.changes import Change
from gen.config import Params
from gen.pictures import Picture, picture, shown
from gen.ruling import Gain
from gen.workspace import Workspace

TEMPLATE = "report.html.j2"
FORMAT = 2
"""Of what is remembered from one report to the next."""
EVOLUTION = 8
"""Sample grids shown of a training, and the corner of each that is cut out."""
CORNER = 4
GAP = 2
"""Pixels between the images of a grid: see gen.images.grid."""
TRANSLATED = "inputs, each with its translation, and the true image where it is known"
DONE = {"promote": "promoted", "keep": "not promoted", "undecided": "undecided"}


def write(workspace: Workspace, params: Params, unsent: Sequence[str] = ()) -> Path:
    """Write report.html, and remember what it said, so that the next one can tell what changed. Returns its path.

    `unsent` names what MLflow could not be told. What is not there yet (a figure, a verdict) is left out.
    """
    memory = workspace.private / "report-state.json"
    known = _read(memory) or {}
    known = known if known.get("format") == FORMAT else {"state": None, "changes": []}
    now = changes.state(workspace, params)
    news = changes.differences(known["state"], now) if known["state"] else []
    latest = news or [Change(*change) for change in known["changes"]]
    text = render(workspace, params, news=latest, is_new=bool(news), is_first=not known["state"], unsent=unsent)
    files.write(workspace.report, text)
    files.write_json(memory, {"format": FORMAT, "state": now, "changes": latest})
    return workspace.report


def render(
    workspace: Workspace,
    params: Params,
    news: Iterable[Change] = (),
    is_new: bool = False,
    is_first: bool = True,
    unsent: Sequence[str] = (),
) -> str:
    """The report as HTML: no script, no address of another file.

    `news` is what changed since the last report, or (not `is_new`) the latest change before it.
    """
    models = [_model(workspace, name) for name in params.blocks if workspace.train(name).exists()]
    return pages.render(
        TEMPLATE,
        news=list(news),
        is_new=is_new,
        is_first=is_first,
        unsent=unsent,
        latest=max(
            (model["made"] for model in models if model["made"]), key=lambda made: made["started"], default=None
        ),
        verdicts=_verdicts(workspace),
        groups=_groups(workspace),
        models=models,
        datasets=[_dataset(workspace, name) for name in params.datasets if workspace.prepared(name).exists()],
    )


def _groups(workspace: Workspace) -> list[dict[str, Any]]:
    """The rows of the comparison, by dataset and task, with the reasons why some have no order."""
    table, apart = (_read(workspace.compare / f"{name}.json") or [] for name in ("table", "apart"))
    found = []
    for (task, dataset), group in groupby(table, key=lambda row: (row["task"], row["dataset"])):
        rows = list(group)
        # What models are ranked by comes first.
        deciding = [row for row in rows if row["metric"] == rows[0]["metric"]]
        found.append(
            {
                "dataset": dataset,
                "task": task,
                "deciding": deciding,
                "others": [row for row in rows if row not in deciding],
                "apart": [note["text"] for note in apart if (note["task"], note["dataset"]) == (task, dataset)],
            }
        )
    return found


def _verdicts(workspace: Workspace) -> list[dict[str, Any]]:
    found = []
    for path in sorted((workspace.private / "verdicts").glob("*/verdict.json")):
        verdict = files.read_json(path)
        dataset, _, task = path.parent.name.rpartition("-")
        caption, room = (TRANSLATED, 720) if task == "translate" else ("from fixed noise", 540)
        sides = [
            {"who": who, "score": verdict[who], "picture": shown(path.with_name(f"{who}.png"), caption, room)}
            for who in ("challenger", "champion")
            if verdict[who]
        ]
        gain = verdict["gain"] and charts.gain(Gain(**verdict["gain"]), verdict["metric"].replace("_", " "))
        facts = {"dataset": dataset, "task": task, "done": DONE[verdict["decision"]], "sides": sides, "chart": gain}
        found.append({**verdict, **facts})
    return found


def _model(workspace: Workspace, name: str) -> dict[str, Any]:
    train, evaluate = workspace.train(name), workspace.evaluate(name)
    config, made = files.read_json(train / "config.json"), _read(workspace.provenance(name))
    metrics, run = _read(evaluate / "metrics.json"), files.read_json(train / "run.json")
    side = plane.SIDE if config.get("box") else config["shape"][1]
    return {
        "name": name,
        "config": config,
        "run": run,
        "measured": _read(evaluate / "run.json"),
        "made": made and {**made, "started": datetime.fromisoformat(made["started"])},
        "classes": _classes(metrics) if metrics else [],
        "closest": [
            _closest(evaluate / f"closest-{space}.png", space, pairs)
            for space, pairs in ((metrics or {}).get("closest") or {}).items()
        ],
        "curves": charts.curves(files.Journal.read(train / "journal.jsonl")),
        "evolution": _evolution(sorted((train / "samples").glob("*.png")), side),
        "samples": shown(evaluate / "samples.png", "samples from fixed noise", 540),
        "reconstructions": shown(evaluate / "reconstructions.png", "unseen images, each with its reconstruction", 720),
        "translations": shown(evaluate / "translations.png", TRANSLATED, 720),
    }


def _classes(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each class that the extractor knows."""
    columns = metrics["classes"] or {}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _closest(path: Path, space: str, pairs: dict[str, Any]) -> Picture | None:
    distances, usual = pairs["distances"], pairs["usual"]
    caption = (
        f"in {space}: distances of {changes.figure(distances[0])} to {changes.figure(distances[-1])}; half of the real "
        f"images that were held out lie within {changes.figure(usual)} of a training image"
    )
    return shown(path, caption, 720)


def _evolution(paths: Sequence[Path], side: int) -> list[Picture]:
    """How the samples came to be: the same corner of a few of the grids, first and last among them."""
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(EVOLUTION, len(paths))).round().astype(int))
    found = []
    for path in (paths[index] for index in chosen):
        with Image.open(path, formats=["PNG"]) as image:
            edge = CORNER * (side + GAP) - GAP
            corner = image.crop((0, 0, min(edge, image.width), min(edge, image.height)))
        found.append(picture(corner, f"{int(path.stem):,} images", 150))
    return found


def _dataset(workspace: Workspace, name: str) -> dict[str, Any]:
    folder = workspace.prepared(name)
    profile, summary = files.read_json(folder / "profile.json"), _read(workspace.raw(name) / "summary.json")
    return {
        "name": name,
        "profile": profile,
        "quarantined": (summary or {}).get("quarantined", {}),
        "digest": files.manifest_digest(folder),
        "mean": shown(folder / "mean.png", "mean of the train split", 140)
        or shown(folder / "points.png", "points of the train split", plane.SIDE),
        "labels": list(zip(profile["labels"], profile["label_counts"], strict=True)),
        "drift": _drift(workspace, name),
    }


def _drift(workspace: Workspace, dataset: str) -> list[str]:
    """What was found of the images that are here now; nothing where drift was not measured since they came."""
    found = [files.read_json(path) for path in sorted((workspace.private / "drift").glob("*.json"))]
    images = pin.images_digest(workspace.raw(dataset)) if (workspace.raw(dataset) / "index.csv").exists() else None
    return [each["reason"] for each in found if (each["dataset"], each["images"]) == (dataset, images)]


def _read(path: Path) -> Any:
    return files.read_json(path) if path.exists() else None
