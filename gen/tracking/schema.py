"""MLflow's tables in a database that no MLflow has opened yet, or an older one."""

import logging

from mlflow.store.db.utils import _safe_initialize_tables, _upgrade_db, create_sqlalchemy_engine

from gen.tracking.store import TELLS_OF_TABLES, asking


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
