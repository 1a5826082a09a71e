"""The report: one self-contained HTML file, made from run folders alone."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from gen import charts, files
from gen.config import Params
from gen.workspace import Workspace

TEMPLATE = "report.html.j2"
REBUILD = ("genflows ingest", "genflows extractor", "dvc repro")


@dataclass(frozen=True)
class Picture:
    """An image to show, with the words that stand for it."""

    source: str
    """A data: address, so that the file needs no other."""
    caption: str


def write(workspace: Workspace, params: Params) -> Path:
    """Write report.html, and remember what it said, so that the next one can tell what changed. Returns its path.

    It reads files only and shows what is there: a model that is not measured yet has no figures.
    """
    memory = workspace.private / "report-state.json"
    now = state(workspace, params)
    changes = differences(files.read_json(memory), now) if memory.exists() else ["This is the first report."]
    files.write(workspace.report, render(workspace, params, changes))
    files.write_json(memory, now)
    return workspace.report


def render(workspace: Workspace, params: Params, changes: Iterable[str]) -> str:
    """The report as HTML: no scripts, no address of another file."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gen", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["figure"] = figure
    return environment.get_template(TEMPLATE).render(
        changes=list(changes),
        rows=_read(workspace.compare / "table.json") or [],
        verdicts=_verdicts(workspace),
        models=[_model(workspace, params, name) for name in params.blocks if workspace.train(name).exists()],
        datasets=[_dataset(workspace, name) for name in params.datasets if workspace.prepared(name).exists()],
        rebuild=REBUILD,
    )


def state(workspace: Workspace, params: Params) -> dict[str, Any]:
    """What a report is about, in short: digests of data, and the key, params and figures of each model."""
    models = {}
    for name in params.blocks:
        run, metrics = _read(workspace.train(name) / "run.json"), _read(workspace.evaluate(name) / "metrics.json")
        if run and metrics:
            figures = {item["name"]: item["value"] for item in metrics["figures"]}
            models[name] = {"key": run["key"], "params": run["params"]["model"], "figures": figures}
    prepared = {name: workspace.prepared(name) / files.MANIFEST for name in params.datasets}
    data = {name: files.sha256_of_file(path) for name, path in prepared.items() if path.exists()}
    return {"datasets": data, "models": models}


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What changed between two states, in words; one sentence when nothing did."""
    said = []
    for name, digest in new["datasets"].items():
        if old["datasets"].get(name) != digest:
            said.append(f"Dataset {name} is {'new' if name not in old['datasets'] else 'another version'}.")
    for name, model in new["models"].items():
        before = old["models"].get(name)
        if before is None:
            said.append(f"Model {name} is new.")
        elif before["key"] != model["key"]:
            said.append(f"Model {name} was trained again{_params_changed(before['params'], model['params'])}.")
        if before and before["figures"] != model["figures"]:
            moved = (
                f"{metric} {figure(before['figures'].get(metric))} → {figure(value)}"
                for metric, value in model["figures"].items()
            )
            said.append(f"Figures of {name}: {', '.join(moved)}.")
    said += [f"Model {name} is gone." for name in old["models"].keys() - new["models"].keys()]
    return said or ["Nothing changed since the last report."]


def figure(value: float | None) -> str:
    """A number to four significant digits; a dash where there is none."""
    return "–" if value is None else f"{value:.4g}"


def _params_changed(old: dict[str, Any], new: dict[str, Any]) -> str:
    changed = [f"{key} {old.get(key)} → {new.get(key)}" for key in sorted(old | new) if old.get(key) != new.get(key)]
    return f" with {', '.join(changed)}" if changed else ", on other data or code"


def _model(workspace: Workspace, params: Params, name: str) -> dict[str, Any]:
    train, evaluate = workspace.train(name), workspace.evaluate(name)
    samples = sorted((train / "samples").glob("*.png"))
    # First, middle and last: how the pictures came to be.
    chosen = list(dict.fromkeys((samples[0], samples[len(samples) // 2], samples[-1]))) if samples else []
    metrics = _read(evaluate / "metrics.json")
    return {
        "name": name,
        "config": _read(train / "config.json"),
        "figures": metrics["figures"] if metrics else [],
        "shares": (metrics or {}).get("classes"),
        "curves": charts.curves(files.Journal.read(train / "journal.jsonl")),
        "steps": [_picture(path, f"after {int(path.stem):,} images") for path in chosen],
        "grids": [_picture(path, path.stem) for path in sorted(evaluate.glob("*.png"))],
        "run": _read(train / "run.json"),
        "provenance": _read(workspace.provenance(name)),
    }


def _dataset(workspace: Workspace, name: str) -> dict[str, Any]:
    folder = workspace.prepared(name)
    profile = files.read_json(folder / "profile.json")
    mean = folder / "mean.png"
    labels = list(zip(profile["labels"], profile["label_counts"], strict=True))
    return {
        "name": name,
        "profile": profile,
        "digest": files.manifest_digest(folder),
        "mean": _picture(mean, "mean image") if mean.exists() else None,
        "labels": labels,
        "most": max((count for _, count in labels), default=1),
    }


def _verdicts(workspace: Workspace) -> list[dict[str, Any]]:
    found = []
    for path in sorted((workspace.private / "verdicts").glob("*/verdict.json")):
        grids = [(path.with_name(f"{who}.png"), who) for who in ("challenger", "champion")]
        pictures = [_picture(grid, who) for grid, who in grids if grid.exists()]
        found.append({"name": path.parent.name, "pictures": pictures, **files.read_json(path)})
    return found


def _read(path: Path) -> Any:
    return files.read_json(path) if path.exists() else None


def _picture(path: Path, caption: str) -> Picture:
    return Picture(f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}", caption)
