"""What was deleted from MLflow's own database, and would stay in it for ever: previews of trainings that are over."""

import shutil
import time
from datetime import timedelta

from mlflow.entities import Run, ViewType
from mlflow.tracking._tracking_service.utils import _get_store

from gen.tracking.abandoned import OWNER, owned
from gen.tracking.store import Store


def purge(store: Store, age: timedelta) -> int:
    """Remove for good what this workspace deleted and what ended so long ago; returns how many runs.

    Nothing where a server stands before the database: it lets nobody do that but who runs `mlflow gc` beside it.
    Raises TrackingUnavailable.
    """
    if store.uri.startswith(("http://", "https://")):
        return 0
    (owner,) = owned(store).values()
    with store.asking("removing previews of old trainings"):
        database = _get_store(store.uri)  # type: ignore[no-untyped-call]
        ours = f"tags.`{OWNER}` = '{owner}'"
        found = store.client.search_runs([store.experiment], ours, run_view_type=ViewType.DELETED_ONLY)
        old = [run for run in found if _ended_before(run, age)]
        for run in old:
            # What `mlflow gc` calls; that command takes whatever else a person has deleted along.
            database._hard_delete_run(run.info.run_id)
            # A half-written publication has some; what is published for good is never deleted.
            shutil.rmtree(store.private / "artifacts" / str(run.info.run_id), ignore_errors=True)
    return len(old)


def _ended_before(run: Run, age: timedelta) -> bool:
    moment = run.info.end_time or run.info.start_time
    return bool(moment < 1000 * (time.time() - age.total_seconds()))
