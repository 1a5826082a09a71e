"""The connection to MLflow: a private SQLite store in the workspace, or the one that MLFLOW_TRACKING_URI names."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from gen import files
from gen.errors import UserError
from gen.tracking.environment import without_secrets
from gen.workspace import Workspace

EXPERIMENT = "genflows"


class TrackingUnavailable(UserError):
    """MLflow did not answer, or refused. What it was to be told is in the files and can be sent later."""

    exit_code = 3


@dataclass(frozen=True)
class Store:
    """MLflow as one workspace sees it."""

    client: MlflowClient
    experiment: str
    """Id of the experiment that holds the runs."""
    uri: str
    private: Path
    """The workspace's private folder: locks and fetched versions."""

    @property
    def place(self) -> str:
        """The address, fit to be shown: without the user and password that it may hold."""
        return without_secrets(self.uri)

    def lock(self, name: str) -> Path:
        """The file whose lock serialises one kind of change, among the processes of this workspace."""
        return self.private / f"mlflow-{name}.lock"

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Turn MLflow's errors inside the block into TrackingUnavailable; `what` completes "while ..."."""
        with _asking(self.uri, what):
            yield


def connect(workspace: Workspace) -> Store:
    """Connect to MLflow; the private store is made, or brought up to date, by the first who comes.

    Raises TrackingUnavailable within seconds (given `mlflow_environment`) when MLflow does not answer.
    """
    private = workspace.private.resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    # A fresh SQLite file breaks when several processes create it at once, so even opening it is under the lock.
    with files.lock(private / "mlflow-connect.lock"):
        if uri:
            with _asking(uri, "connecting"):
                client = MlflowClient(uri)
                return Store(client, _experiment(client, None), uri, private)
        uri = f"sqlite:///{private / 'mlflow.db'}"
        with _asking(uri, "opening its database"):
            client = _open_private(uri)
            return Store(client, _experiment(client, (private / "artifacts").as_uri()), uri, private)


def _open_private(uri: str) -> MlflowClient:
    """Open the workspace's own database; one that an older MLflow wrote is upgraded."""
    # It tells of every table it makes, and MLFLOW_LOGGING_LEVEL is heard only where mlflow is not imported yet.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    try:
        return MlflowClient(uri)
    except MlflowException as error:
        if "out-of-date database schema" not in str(error):
            raise
        from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

        _upgrade_db(create_sqlalchemy_engine(uri))  # type: ignore[no-untyped-call]
        return MlflowClient(uri)


def _experiment(client: MlflowClient, artifacts: str | None) -> str:
    """Id of the experiment, created when missing; `artifacts` is where the private store's have to lie."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        return str(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
    if artifacts and found.artifact_location != artifacts:
        raise TrackingUnavailable(
            f"This workspace was moved or copied: its MLflow database keeps artifacts in {found.artifact_location}, "
            f"which belongs to the old place. Move the workspace back, or delete .genflows/mlflow.db here and send "
            "everything anew with `genflows publish` and `genflows judge`."
        )
    return str(found.experiment_id)


@contextmanager
def _asking(uri: str, what: str) -> Iterator[None]:
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        reason = " ".join(without_secrets(str(error)).split())[:300]
        raise TrackingUnavailable(
            f"MLflow at {without_secrets(uri)} did not answer as it should while {what} ({reason}). Nothing is lost: "
            "it mirrors the files under runs/. See that it runs (`genflows doctor` checks it), "
            "then send what is unsent with `genflows publish` and `genflows judge`."
        ) from error
