"""Runs that belong together in MLflow: those of one retrain, or of one sweep, nested in a run of their own.

There is none where no run belongs to it.
"""

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
GROUP = "genflows.group"
"""Tag: the key of the group that a run stands for."""


@dataclass(frozen=True)
class Group:
    """One retrain, or one sweep."""

    what: str
    """`retrain`, `sweep of vae`."""
    key: str
    """Another for each."""
    started: datetime


def nested(store: "Store", group: Group) -> dict[str, str]:
    """The tag that nests a run in the one of a group, which is made for the first. MLflow's own errors come through."""
    run = _find(store, group)
    if run is None:
        name = f"{group.what} {group.started:%Y-%m-%d %H:%M}"
        start = int(group.started.timestamp() * 1000)
        made = store.client.create_run(store.experiment, start_time=start, tags={GROUP: group.key}, run_name=name)
        run = str(made.info.run_id)
        # At once, or one that is killed would be shown as running for ever.
        store.client.set_terminated(run)
    return {PARENT: run}


def end(store: "Store", group: Group, tags: Mapping[str, str], artifacts: Sequence[Path], *, failed: bool) -> None:
    """Say how a group ended, where a run belongs to it. Raises TrackingUnavailable."""
    with files.lock(store.lock("publish")), store.asking(f"saying how the {group.what} ended"):
        run = _find(store, group)
        if run is None:
            return
        for name, value in tags.items():
            store.client.set_tag(run, name, value)
        for path in artifacts:
            store.client.log_artifact(run, str(path))
        store.client.set_terminated(run, "FAILED" if failed else "FINISHED")


def _find(store: "Store", group: Group) -> str | None:
    found = store.client.search_runs([store.experiment], f"tags.`{GROUP}` = '{group.key}'")
    return str(found[0].info.run_id) if found else None
