"""Models side by side: one self-contained HTML page of their figures, pictures, curves, and of what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gen import charts, clock, files, pages
from gen.pictures import shown
from gen.steps.compare import apart, deciding
from gen.steps.publish import flat

TEMPLATE = "comparison.html.j2"
GRIDS = {"samples.png": "samples from fixed noise", "translations.png": "inputs, translations, true images"}
ROOM = 360
"""CSS pixels for one model's picture."""


@dataclass(frozen=True)
class Compared:
    """One model of the comparison."""

    name: str
    """As the user names it: `vae`, `digits-sample/3`."""
    train: Path
    """Its published model: journal.jsonl, run.json and config.json lie there."""
    evaluate: Path
    """What `evaluate` wrote: metrics.json and grids."""
    provenance: Path | None
    """Where it was made, and how long that took."""

    @property
    def metrics(self) -> dict[str, Any]:
        """Its metrics.json, under its name here. Raises UserError when it is missing or no JSON."""
        return {**files.read_json(self.evaluate / "metrics.json"), "model": self.name}


@dataclass(frozen=True)
class Group:
    """The models of one task on one dataset, the best first where they can be ranked."""

    dataset: str
    task: str
    metric: str
    rows: Sequence[Mapping[str, Any]]
    figures: Mapping[str, Sequence[Mapping[str, Any] | None]]
    """Every figure by name: what each of the models has."""
    differing: Mapping[str, Sequence[str]]
    """Parameters that are not the same for all: what each of the models has."""
    curves: Sequence[tuple[Markup, Markup | None]]
    """Each loss over images seen, and over seconds where they are known."""
    apart: Sequence[str]
    """Why some are not ranked with others."""


def render(models: Sequence[Compared]) -> str:
    """The page. Raises UserError when files of a model are missing or no JSON."""
    rows = [_row(model) for model in models]
    contests = sorted({(row["metrics"]["dataset"], row["metrics"]["task"]) for row in rows})
    groups = [_group(rows, *contest) for contest in contests]
    return pages.render(TEMPLATE, groups=groups, models=models)


def _row(model: Compared) -> dict[str, Any]:
    metrics = model.metrics
    identity = files.read_json(model.train / "run.json")
    made = files.read_json(model.provenance) if model.provenance and model.provenance.exists() else {}
    return {
        "name": model.name,
        "metrics": metrics,
        "deciding": deciding(metrics),
        "params": flat(identity["params"]["model"]) | flat({"machine": identity["params"]["machine"]}),
        "journal": list(files.Journal.read(model.train / "journal.jsonl")),
        "made": made,
        "picture": next(filter(None, (shown(model.evaluate / name, GRIDS[name], ROOM) for name in GRIDS)), None),
    }


def _group(rows: Sequence[dict[str, Any]], dataset: str, task: str) -> Group:
    ours = [row for row in rows if (row["metrics"]["dataset"], row["metrics"]["task"]) == (dataset, task)]
    # Figures of different eval cards have no order: those of one stand together.
    ours = sorted(ours, key=lambda row: (row["deciding"]["eval_id"], _cost(row["deciding"])))
    for row, color in zip(ours, charts.colors(len(ours)), strict=True):
        row["color"] = color
    names = dict.fromkeys(figure["name"] for row in ours for figure in row["metrics"]["figures"])
    return Group(
        dataset=dataset,
        task=task,
        metric=ours[0]["metrics"]["rank_by"],
        rows=ours,
        figures={name: [_figure(row, name) for row in ours] for name in names},
        differing=_differing([row["params"] for row in ours]),
        curves=_curves(ours),
        apart=[note["text"] for note in apart([row["metrics"] for row in ours])],
    )


def _cost(figure: Mapping[str, Any]) -> float:
    """Lower is better, and what has no value comes last."""
    if figure["value"] is None:
        return float("inf")
    return -figure["value"] if figure["lower_is_better"] is False else float(figure["value"])


def _figure(row: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return next((figure for figure in row["metrics"]["figures"] if figure["name"] == name), None)


def _differing(params: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for values in params for name in values)
    found = {name: [values.get(name, "–") for values in params] for name in names}
    return {name: values for name, values in found.items() if len(set(values)) > 1}


def _curves(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Markup, Markup | None]]:
    """A chart for each loss, a line for each model that has it."""
    seen: dict[str, list[tuple[str, list[tuple[float, float]]]]] = {}
    timed: dict[str, list[tuple[str, list[tuple[float, float]]]]] = {}
    for row in rows:
        for name, points in charts.series(row["journal"]).items():
            seen.setdefault(name, []).append((row["color"], points))
            if row["made"]:
                seconds = clock.seconds_at(row["made"], [images for images, _ in points])
                later = list(zip(seconds, (value for _, value in points), strict=True))
                timed.setdefault(name, []).append((row["color"], later))
    return [
        (
            charts.lines(name, lines, "images seen"),
            charts.lines(name, timed[name], "seconds") if name in timed else None,
        )
        for name, lines in seen.items()
    ]
