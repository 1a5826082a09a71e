"""MLflow's tables in a database that no MLflow has opened yet, or an older one."""

import logging

from mlflow.entities import Experiment
from mlflow.store.db.utils import _safe_initialize_tables, _upgrade_db, create_sqlalchemy_engine
from sqlalchemy import text

from gen.tracking.store import EXPERIMENT, TELLS_OF_TABLES, asking

UNUSED = """
    DELETE FROM experiments WHERE name IN (:default, :ours)
    AND NOT EXISTS (SELECT 1 FROM runs) AND NOT EXISTS (SELECT 1 FROM experiment_tags)
    AND NOT EXISTS (SELECT 1 FROM trace_info) AND NOT EXISTS (SELECT 1 FROM registered_models)
"""


def bring_up_to_date(address: str) -> None:
    """Make MLflow's tables, or change them to what this MLflow wants. Raises TrackingUnavailable."""
    logging.getLogger(TELLS_OF_TABLES).setLevel(logging.WARNING)
    engine = create_sqlalchemy_engine(address)  # type: ignore[no-untyped-call]
    try:
        with asking(address, "making its tables"):
            _safe_initialize_tables(engine)
            _upgrade_db(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


def forget_the_unused(address: str) -> None:
    """Take the experiments away that a mere look at an empty database has made. Raises TrackingUnavailable."""
    engine = create_sqlalchemy_engine(address)  # type: ignore[no-untyped-call]
    try:
        with asking(address, "looking whether it is empty"), engine.begin() as connection:
            connection.execute(text(UNUSED), {"default": Experiment.DEFAULT_EXPERIMENT_NAME, "ours": EXPERIMENT})
    finally:
        engine.dispose()
