"""A retrain in MLflow: the run that the runs of its models are nested in. There is none where it published no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gen import files

if TYPE_CHECKING:
    from gen.tracking.store import Store

PARENT = "mlflow.parentRunId"
"""MLflow's tag. From there it would be imported with all of mlflow, which takes a flow that begins seconds."""
RETRAIN = "genflows.retrain"
"""Tag: the key of the retrain that a run stands for."""


@dataclass(frozen=True)
class Retrain:
    """One run of the whole pipeline."""

    key: str
    """Another for each."""
    started: datetime


def nested(store: "Store", retrain: Retrain) -> dict[str, str]:
    """The tag that nests a run in the one of a retrain, which is made when it is the first. MLflow's errors come."""
    run = _find(store, retrain)
    if run is None:
        name = f"retrain {retrain.started:%Y-%m-%d %H:%M}"
        start = int(retrain.started.timestamp() * 1000)
        made = store.client.create_run(store.experiment, start_time=start, tags={RETRAIN: retrain.key}, run_name=name)
        run = str(made.info.run_id)
        # At once, or one that is killed would be shown as running for ever.
        store.client.set_terminated(run)
    return {PARENT: run}


def end(store: "Store", retrain: Retrain, tags: Mapping[str, str], artifacts: Sequence[Path], *, failed: bool) -> None:
    """Say how a retrain ended, where it published a model. Raises TrackingUnavailable."""
    with files.lock(store.lock("publish")), store.asking("saying how the retrain ended"):
        run = _find(store, retrain)
        if run is None:
            return
        for name, value in tags.items():
            store.client.set_tag(run, name, value)
        for path in artifacts:
            store.client.log_artifact(run, str(path))
        store.client.set_terminated(run, "FAILED" if failed else "FINISHED")


def _find(store: "Store", retrain: Retrain) -> str | None:
    found = store.client.search_runs([store.experiment], f"tags.`{RETRAIN}` = '{retrain.key}'")
    return str(found[0].info.run_id) if found else None
