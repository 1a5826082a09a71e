"""Publishing: one MLflow run a trained and evaluated model, found by its key or rebuilt wholly from the files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from PIL import Image

from gen import files
from gen.tracking import live
from gen.tracking.abandoned import owned
from gen.tracking.groups import Group, nested
from gen.tracking.points import Point
from gen.tracking.store import Store

KEY = "genflows.key"
COMPLETE = "genflows.complete"
METRICS_OF_A_BATCH = 1000
PARAMS_OF_A_BATCH = 100
LONGEST_PARAM = 6000
LONGEST_DIGEST = 36
"""MLflow's limits."""


@dataclass(frozen=True)
class TrainedOn:
    """The dataset of a run."""

    name: str
    digest: str
    source: Mapping[str, object]
    """Where its images come from, as params.yaml says it."""


@dataclass(frozen=True)
class Record:
    """All that MLflow is told of one model. Equal records make equal runs."""

    name: str
    key: str
    training: str
    """The key of the training alone, which a preview may show."""
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: Sequence[Point]
    dataset: TrainedOn
    grids: Mapping[int, Path]
    """Sample grids (PNG) by images seen."""
    artifacts: Sequence[tuple[Path, str | None]]
    """Files or folders, and the folder of the run that they go to."""
    start: int
    end: int
    """Milliseconds since 1970."""


def publish(store: Store, record: Record, group: Group | None = None) -> str:
    """Make MLflow hold the run of `record`, and return the run's id. Done before, it changes nothing.

    A new run is nested in that of `group`; one that a killed publisher left half-written is replaced. Raises
    TrackingUnavailable.
    """
    with files.lock(store.lock("publish")), store.asking(f"publishing `{record.name}`"):
        for run in _with_key(store, record.key):
            if COMPLETE in run.data.tags:
                live.end(store, record.training)
                return str(run.info.run_id)
            store.client.delete_run(run.info.run_id)
        written = _write(store, record, nested(store, group) if group else {})
        live.end(store, record.training)
        return written


@dataclass(frozen=True)
class Attempt:
    """A training that nobody registers: one of a sweep."""

    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: Sequence[Point]
    status: Literal["FINISHED", "FAILED", "KILLED"]
    """In MLflow's words; killed is what was stopped before its time."""


def show(store: Store, attempts: Sequence[Attempt], group: Group) -> None:
    """Write a run for each attempt, nested in that of its group. Raises TrackingUnavailable."""
    with files.lock(store.lock("publish")), store.asking(f"showing the {group.what}"):
        for attempt in attempts:
            tags = {**attempt.tags, **nested(store, group), **owned(store)}
            run = store.client.create_run(store.experiment, tags=tags, run_name=attempt.name).info.run_id
            _log(store, run, attempt.params, attempt.points)
            store.client.set_terminated(run, attempt.status)


def _with_key(store: Store, key: str) -> list[Run]:
    """Runs with a key; more than one only when machines that share a server published at once."""
    return list(store.client.search_runs([store.experiment], f"tags.`{KEY}` = '{key}'", order_by=["attributes.run_id"]))


def _write(store: Store, record: Record, parent: Mapping[str, str]) -> str:
    client = store.client
    tags = {**record.tags, **parent, **owned(store), KEY: record.key}
    run = client.create_run(store.experiment, start_time=record.start, tags=tags, run_name=record.name).info.run_id
    _log(store, run, record.params, record.points)
    client.log_inputs(run, [_dataset_input(record.dataset)])
    for path, place in record.artifacts:
        (client.log_artifacts if path.is_dir() else client.log_artifact)(run, str(path), place)
    for step, path in record.grids.items():
        with Image.open(path, formats=["PNG"]) as image:
            client.log_image(run, image, key="samples", step=step, timestamp=record.end)
    client.set_terminated(run, end_time=record.end)
    # Last of all: a run without it is one whose publisher died.
    client.set_tag(run, COMPLETE, "true")
    return str(run)


def _log(store: Store, run: str, values: Mapping[str, str], points: Sequence[Point]) -> None:
    """Send params and curves in batches."""
    params = [Param(name, value[:LONGEST_PARAM]) for name, value in values.items()]
    for start in range(0, len(params), PARAMS_OF_A_BATCH):
        store.client.log_batch(run, params=params[start : start + PARAMS_OF_A_BATCH])
    metrics = [Metric(point.name, point.value, point.time, point.step) for point in points]
    for start in range(0, len(metrics), METRICS_OF_A_BATCH):
        store.client.log_batch(run, metrics=metrics[start : start + METRICS_OF_A_BATCH])


def _dataset_input(dataset: TrainedOn) -> DatasetInput:
    source = json.dumps(dataset.source, sort_keys=True)
    entity = Dataset(dataset.name, dataset.digest[:LONGEST_DIGEST], source_type="genflows", source=source)
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])
