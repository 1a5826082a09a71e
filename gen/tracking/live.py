"""A training while it goes on, in MLflow: what its journal says, soon after it says it.

It is a preview. The run that stays is written from the files when all is done (gen.tracking.runs) and takes its place,
so nothing depends on what was sent here: an outage or a kill costs a view, never a point.
"""

import json
import time
from pathlib import Path
from typing import Any, Literal

from mlflow.entities import Metric, Param

from gen import files
from gen.tracking.abandoned import owned
from gen.tracking.store import Store

TRAINING = "genflows.training"
"""Tag: the key of the training that a preview shows."""
FOLDER = "genflows.unfinished"
"""Tag: the name of its folder, which stays when it goes on on another machine; the key then does not."""
JOURNAL = "journal.jsonl"
IDENTITY = "run.json"
POINTS_OF_A_BATCH = 1000
"""MLflow's limit."""


class Preview:
    """The run of one training that is not over, in the folder that gen.unfinished keeps for it."""

    def __init__(self, store: Store, folder: Path, name: str, finished: Path) -> None:
        """Find the preview that an earlier process began, or begin one. Raises TrackingUnavailable.

        The journal lies in `folder` while the training goes on, and in `finished` when it is over.
        """
        self.store = store
        self.journals = (folder / JOURNAL, finished / JOURNAL)
        identity = files.read_json(folder / IDENTITY)
        with store.asking(f"beginning to show the training of `{name}`"):
            found = _tagged(store, FOLDER, folder.name)
            self.run = found[0] if found else self._begin(name, folder, identity)
            store.client.set_tag(self.run, TRAINING, str(identity["key"]))
            store.client.update_run(self.run, status="RUNNING")
            self.sent = {
                (metric, point.step, point.value)
                for metric in store.client.get_run(self.run).data.metrics
                for point in store.client.get_metric_history(self.run, metric)
            }

    def _begin(self, name: str, folder: Path, identity: dict[str, Any]) -> str:
        model = identity["params"]["model"]
        about = {"model": name, "family": model["family"], "dataset": model["dataset"]}
        tags = {FOLDER: folder.name, **about, **owned(self.store)}
        run = self.store.client.create_run(self.store.experiment, tags=tags, run_name=f"{name}, in training")
        params = [Param(key, json.dumps(value)) for key, value in model.items()]
        self.store.client.log_batch(run.info.run_id, params=params)
        return str(run.info.run_id)

    def send(self) -> int:
        """Send what the journal holds and the run does not, and return how many points. Raises TrackingUnavailable."""
        clock = int(time.time() * 1000)
        journal = next((path for path in self.journals if path.exists()), self.journals[0])
        metrics = [
            Metric(f"{group}/{name}", value, clock, record["images"])
            for record in files.Journal.read(journal)
            for group, values in (("loss", record["losses"]), ("select", record.get("select", {})))
            for name, value in values.items()
            if (f"{group}/{name}", record["images"], value) not in self.sent
        ]
        with self.store.asking("showing a training"):
            for start in range(0, len(metrics), POINTS_OF_A_BATCH):
                batch = metrics[start : start + POINTS_OF_A_BATCH]
                self.store.client.log_batch(self.run, metrics=batch)
                self.sent |= {(metric.key, metric.step, metric.value) for metric in batch}
        return len(metrics)

    def close(self, status: Literal["FINISHED", "FAILED"]) -> None:
        """Send the rest and say how the training ended. Raises TrackingUnavailable."""
        self.send()
        with self.store.asking("showing the end of a training"):
            self.store.client.set_terminated(self.run, status)


def previews(store: Store, training: str) -> list[str]:
    """Ids of the runs that show the training with this key."""
    return _tagged(store, TRAINING, training)


def _tagged(store: Store, tag: str, value: str) -> list[str]:
    found = store.client.search_runs([store.experiment], f"tags.`{tag}` = '{value}'")
    return [str(run.info.run_id) for run in found]


def end(store: Store, training: str) -> None:
    """Take the previews of a training away: the run that stays is there."""
    for run in previews(store, training):
        store.client.delete_run(run)
