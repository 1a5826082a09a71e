"""publish: what the files say of one model, sent to MLflow."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gen import artifact, card, files, mlmodel
from gen.config import Params
from gen.errors import UserError
from gen.tracking import runs
from gen.tracking.groups import Group
from gen.tracking.points import Point, of_training, span
from gen.tracking.runs import Record, TrainedOn
from gen.tracking.store import Store, connect
from gen.workspace import Workspace

FORMAT = 3
"""Of a published model: it is raised when its files change, so that MLflow gets the new ones."""


def publish(
    workspace: Workspace, params: Params, model: str, store: Store | None = None, group: Group | None = None
) -> str:
    """Make MLflow hold the run of `model`, as trained and evaluated in this workspace; returns the run's id.

    Doing it twice, or into a fresh database, gives the same run; a new one is nested in that of `group`. Raises
    UserError when the model is not evaluated yet or its files were changed, TrackingUnavailable when MLflow does not
    answer.
    """
    record = describe(workspace, params, model)
    return runs.publish(store or connect(workspace), record, group)


def run_key(workspace: Workspace, model: str) -> str:
    """The key of a model's MLflow run and registered version: that of its training and that of its evaluation.

    Raises UserError when one of them is missing.
    """
    stages = {"train": workspace.train(model), "evaluate": workspace.evaluate(model)}
    keys = {stage: files.read_json(folder / "run.json")["key"] for stage, folder in stages.items()}
    return files.digest({**keys, "format": FORMAT})


def assemble(workspace: Workspace, params: Params, model: str) -> Path:
    """Make the published model of the verified files of a training and its evaluation, and return its folder.

    It holds what the training wrote, and beside it a card, pictures and what MLflow needs to load it. Equal files make
    an equal folder. Raises UserError when a file is missing or was changed.
    """
    train, evaluate = workspace.train(model), workspace.evaluate(model)
    config, metrics = artifact.verify(train), files.read_json(evaluate / "metrics.json")
    identity, dataset = files.read_json(train / "run.json"), config["dataset"]
    prepared = identity["inputs"][workspace.prepared(dataset).relative_to(workspace.root).as_posix()]
    source = ", ".join(f"{key}: {value}" for key, value in params.dataset(dataset).source.items())
    pictures = (evaluate / f"{title}.png" for title in ("samples", "translations"))
    added = {
        artifact.GRID: next(path for path in pictures if path.exists()).read_bytes(),
        artifact.CARD: card.text(config, identity, metrics, prepared, source).encode(),
        mlmodel.MLMODEL: mlmodel.text(config["task"]).encode(),
    }
    wanted = dict(files.verify(train)) | {
        name: {"bytes": len(data), "sha256": files.sha256(data)} for name, data in added.items()
    }
    target = workspace.published(model)
    with files.lock(target.with_name(f"{model}.lock")):
        # What is whole stays: another process may be sending it.
        if not _holds(target, wanted):
            with files.fresh_folder(target) as folder:
                shutil.copytree(train, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(files.MANIFEST))
                for name, data in added.items():
                    files.write(folder / name, data)
    return target


def _holds(folder: Path, wanted: Mapping[str, Any]) -> bool:
    try:
        return files.verify(folder) == wanted
    except UserError:
        return False


def describe(workspace: Workspace, params: Params, model: str) -> Record:
    """All that MLflow is told of a model, read from its verified files alone."""
    train, evaluate = workspace.train(model), workspace.evaluate(model)
    for folder in (train, evaluate):
        files.verify(folder)
    identity, metrics = files.read_json(train / "run.json"), files.read_json(evaluate / "metrics.json")
    provenance, journal = files.read_json(workspace.provenance(model)), files.Journal.read(train / "journal.jsonl")
    start, end = span(provenance)
    dataset = metrics["dataset"]
    return Record(
        name=model,
        key=run_key(workspace, model),
        training=identity["key"],
        params=flat(identity["params"]["model"]) | flat({"machine": identity["params"]["machine"]}),
        tags=_tags(metrics, provenance) | _space(metrics, params.dataset(dataset).extractor),
        points=[
            *of_training(journal, provenance),
            *_figures(metrics, journal[-1]["images"], end),
        ],
        dataset=TrainedOn(
            name=dataset,
            digest=identity["inputs"][workspace.prepared(dataset).relative_to(workspace.root).as_posix()],
            source=params.dataset(dataset).source,
        ),
        grids={int(path.stem): path for path in sorted((train / "samples").glob("*.png"))},
        artifacts=[(assemble(workspace, params, model), "model"), (evaluate, "evaluate"), *_attached(workspace, model)],
        start=start,
        end=end,
    )


def flat(block: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values as dotted names and text: what MLflow calls params."""
    lines: dict[str, str] = {}
    for key, value in block.items():
        if isinstance(value, Mapping):
            lines |= flat(value, f"{prefix}{key}.")
        else:
            lines[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return lines


def _tags(metrics: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, str]:
    ranked = next(figure for figure in metrics["figures"] if figure["name"] == metrics["rank_by"])
    facts = {
        **{name: metrics[name] for name in ("model", "family", "task", "dataset", "rank_by")},
        "eval_id": ranked["eval_id"],
        **{name: provenance.get(name) for name in ("commit", "dirty", "device")},
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}


def _space(metrics: Mapping[str, Any], name: str) -> dict[str, str]:
    """The extractor in whose features a model was measured: what it is called here, and the digest that pins it."""
    digests = {figure["card"]["extractor"] for figure in metrics["figures"] if figure["card"].get("extractor")}
    return {"extractor": name, "extractor_digest": ", ".join(sorted(digests))}


def _figures(metrics: Mapping[str, Any], step: int, end: int) -> Iterator[Point]:
    """What was measured at the end, with what it is to be held against: `final/frechet`, `floor/frechet`..."""
    for figure in metrics["figures"]:
        for group, field in (("final", "value"), ("floor", "floor"), ("baseline", "baseline"), ("spread", "spread")):
            if figure.get(field) is not None:
                yield Point(f"{group}/{figure['name']}", figure[field], step, end)


def _attached(workspace: Workspace, model: str) -> Iterator[tuple[Path, str | None]]:
    """What tells how the run came about: provenance, params, and the digests of stages and data."""
    root = workspace.root
    yield workspace.provenance(model), "provenance"
    for path in (workspace.params_file, root / "dvc.lock"):
        if path.exists():
            yield path, None
    for path in sorted((root / "data").rglob("*.dvc")):
        yield path, path.parent.relative_to(root).as_posix()
