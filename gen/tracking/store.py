"""The connection to MLflow: a private SQLite store in the workspace, or the one that MLFLOW_TRACKING_URI names."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from gen import databases, files
from gen.errors import UserError
from gen.tracking.environment import without_secrets
from gen.workspace import Workspace

EXPERIMENT = "genflows"
ADDRESS = "MLFLOW_TRACKING_URI"
ARTIFACTS = "MLFLOW_ARTIFACTS_DESTINATION"
"""MLflow's own variable: where artifacts go, s3://BUCKET/FOLDER say, where there is no server that knows."""
TELLS_OF_TABLES = "mlflow.store.db.utils"
"""The logger that tells of every table made; MLFLOW_LOGGING_LEVEL is heard only where mlflow is not imported yet."""


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
        with asking(self.uri, what):
            yield


def connect(workspace: Workspace) -> Store:
    """Connect to MLflow; the private store is made, or brought up to date, by the first who comes.

    Raises TrackingUnavailable within seconds (given `mlflow_environment`) when MLflow does not answer.
    """
    private = workspace.private.resolve()
    uri = os.environ.get(ADDRESS)
    # A fresh SQLite file breaks when several processes create it at once, so even opening it is under the lock.
    with files.lock(private / "mlflow-connect.lock"):
        if uri and databases.is_database(uri):
            return _connect_to_database(uri, private)
        if uri:
            with asking(uri, "connecting"):
                client = MlflowClient(uri)
                return Store(client, _id(_experiment(client, None)), uri, private)
        uri = f"sqlite:///{private / 'mlflow.db'}"
        with asking(uri, "opening its database"):
            client = _open_private(uri)
            location = (private / "artifacts").as_uri()
            experiment = _experiment(client, location)
        if experiment.artifact_location != location:
            raise TrackingUnavailable(
                f"This workspace was moved or copied: its MLflow database keeps artifacts in "
                f"{experiment.artifact_location}, which belongs to the old place. Move the workspace back, or delete "
                ".genflows/mlflow.db here and send everything anew with `genflows publish` and `genflows judge`."
            )
        return Store(client, _id(experiment), uri, private)


def _connect_to_database(uri: str, private: Path) -> Store:
    """Connect to a PostgreSQL database that no server of MLflow's stands before; an empty one gets its tables."""
    try:
        # MLflow itself asks one that is away for minutes.
        databases.check(uri, ADDRESS)
    except UserError as error:
        raise TrackingUnavailable(str(error)) from None
    logging.getLogger(TELLS_OF_TABLES).setLevel(logging.WARNING)
    with asking(uri, "opening its database"):
        client = MlflowClient(uri)
        experiment = _experiment(client, os.environ.get(ARTIFACTS) or (private / "artifacts").as_uri())
    place = urlsplit(experiment.artifact_location)
    away = place.scheme == "file" and not Path(unquote(place.path)).parent.is_dir()
    if away or place.scheme == "mlflow-artifacts":
        raise TrackingUnavailable(
            f"MLflow at {without_secrets(uri)} keeps artifacts in {experiment.artifact_location}, which cannot be "
            f"reached from here without a server. Set {ADDRESS} to the http address of the MLflow server that runs on "
            "this database, instead of to the database."
        )
    return Store(client, _id(experiment), uri, private)


def _open_private(uri: str) -> MlflowClient:
    """Open the workspace's own database; one that an older MLflow wrote is upgraded."""
    logging.getLogger(TELLS_OF_TABLES).setLevel(logging.WARNING)
    try:
        return MlflowClient(uri)
    except MlflowException as error:
        if "out-of-date database schema" not in str(error):
            raise
        from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

        _upgrade_db(create_sqlalchemy_engine(uri))  # type: ignore[no-untyped-call]
        return MlflowClient(uri)


def _experiment(client: MlflowClient, artifacts: str | None) -> Experiment:
    """The experiment, made where it is missing, with its artifacts in `artifacts` or where the server wants them."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return found
    try:
        return client.get_experiment(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
    except MlflowException:
        # Another machine that shares the database may have come first.
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            raise
        return found


def _id(experiment: Experiment) -> str:
    return str(experiment.experiment_id)


@contextmanager
def asking(uri: str, what: str) -> Iterator[None]:
    """Turn MLflow's errors inside the block into TrackingUnavailable; `what` completes "while ..."."""
    try:
        yield
    except (MlflowException, requests.RequestException, SQLAlchemyError) as error:
        reason = " ".join(without_secrets(str(error)).split())[:300]
        raise TrackingUnavailable(
            f"MLflow at {without_secrets(uri)} did not answer as it should while {what} ({reason}). Nothing is lost: "
            "it mirrors the files under runs/. See that it runs (`genflows doctor` checks it), "
            "then send what is unsent with `genflows publish` and `genflows judge`."
        ) from error
