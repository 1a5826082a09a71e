"""From the workspace's own databases to PostgreSQL: every row, or none; and the work goes on there."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, MetaData, NullPool, create_engine, select, text

from gen import files
from gen.tracking.promotion import history
from gen.tracking.registry import champion, fetch, versions
from gen.tracking.store import connect
from gen.workspace import Workspace
from tests.conftest import make_workspace
from tests.flows import boxes
from tests.flows.boxes import add_images
from tests.flows.test_postgres import MODEL, done, genflows, stores
from tests.gen.fabricated import drawn
from tests.gen.test_tracking import free_port, wait_for
from tests.postgres import Postgres, running

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with its own stores, after a retrain that promoted a model."""
    made = make_workspace(tmp_path_factory.mktemp("trained") / "workspace", boxes.PARAMS + MODEL)
    add_images(made, drawn(400, seed=1), "first")
    done(made, "retrain")
    return made


def own(made: Workspace) -> tuple[Path, Path]:
    return made.private / "mlflow.db", made.private / "prefect" / "prefect.db"


def everything(database: Engine, metadata: MetaData) -> dict[str, list[str]]:
    """All rows of all tables as the program that made them reads them."""
    with database.connect() as connection:
        return {
            name: sorted(repr([ordered(value) for value in row]) for row in connection.execute(select(table)))
            for name, table in metadata.tables.items()
        }


def ordered(value: Any) -> Any:
    """The same without the order of keys, which PostgreSQL does not keep."""
    if isinstance(value, BaseModel):
        return ordered(value.model_dump())
    if isinstance(value, dict):
        return sorted((key, ordered(inner)) for key, inner in value.items())
    return [ordered(inner) for inner in value] if isinstance(value, list) else value


def metadata() -> tuple[MetaData, MetaData]:
    import mlflow.store.model_registry.dbmodels.models
    import mlflow.store.tracking.dbmodels.models  # noqa: F401
    from mlflow.store.db.base_sql_model import Base as Mlflow
    from prefect.server.database.orm_models import Base as Prefect

    return Mlflow.metadata, Prefect.metadata


@contextmanager
def refusing(database: Engine, table: str) -> Iterator[None]:
    """Meanwhile no row can be written into a table."""
    function = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''the disk is full''; END'"
    with database.begin() as connection:
        connection.execute(text(function))
        connection.execute(text(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION refuse()"))
    yield
    with database.begin() as connection:
        connection.execute(text("DROP FUNCTION refuse CASCADE"))


def rows(database: Engine, table: str) -> int:
    with database.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


def test_a_workspace_moves_to_postgresql_and_goes_on_there(
    postgres: Postgres, trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: files.sha256_of_file(path) for path in own(trained)}
    asked = genflows(trained, "migrate")
    assert asked.returncode == 2
    assert "MLFLOW_TRACKING_URI" in asked.stderr

    named = stores(postgres, "moved")
    named["PREFECT_API_DATABASE_CONNECTION_URL"] += "?ssl=prefer"
    mlflow, prefect = postgres.engine("moved_mlflow"), postgres.engine("moved_prefect")
    with files.lock(trained.private / "retrain.lock"):
        assert genflows(trained, "migrate", **named).returncode == 4

    # Whoever looks first finds nothing, and leaves the database as good as empty.
    assert "0 versions registered" in " ".join(done(trained, "doctor", **named).split())
    said = done(trained, "migrate", **named)
    assert said.count("compared: equal") == 2
    assert postgres.password[:16] not in said
    assert {path: files.sha256_of_file(path) for path in own(trained)} == before
    for source, target, tables in zip(own(trained), (mlflow, prefect), metadata(), strict=True):
        there = everything(create_engine(f"sqlite:///file:{source}?mode=ro&uri=true", poolclass=NullPool), tables)
        assert sum(map(len, there.values())) > 50
        assert everything(target, tables) == there
    assert done(trained, "migrate", **named).count("already") == 2

    # Counters go on behind what was copied, keys hold, and what is promoted is found.
    old = connect(trained)
    moves, known = history(old, "boxes-sample"), versions(old)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", named["MLFLOW_TRACKING_URI"])
    store = connect(trained)
    assert history(store, "boxes-sample") == moves
    assert versions(store) == known
    assert int(store.client.create_experiment("another")) > int(store.experiment)
    add_images(trained, drawn(50, seed=2), "second")
    again = done(trained, "retrain", **named)
    assert "boxes sample: " in again
    assert "There is no champion yet" not in again
    assert len(versions(store)) == 2
    found = champion(store, "boxes-sample")
    assert found
    assert fetch(store, found).is_dir()

    refused = genflows(trained, "migrate", **named)
    assert refused.returncode == 1
    assert "holds other rows already" in refused.stderr
    assert {path: files.sha256_of_file(path) for path in own(trained)} == before


def test_what_breaks_in_the_midst_leaves_nothing_behind(postgres: Postgres, trained: Workspace) -> None:
    named = stores(postgres, "broken")
    target = postgres.engine("broken_prefect")
    with closing(sqlite3.connect(own(trained)[1])) as database:
        (count,) = database.execute("SELECT count(*) FROM task_run").fetchone()
    assert count
    first = {"MLFLOW_TRACKING_URI": named["MLFLOW_TRACKING_URI"]}
    assert "compared: equal" in done(trained, "migrate", **first)
    empty = postgres.url("broken_prefect", "postgresql+asyncpg")
    subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env=os.environ | {"PREFECT_API_DATABASE_CONNECTION_URL": empty}, check=True, capture_output=True,
    )  # fmt: skip
    with refusing(target, "task_run_state"):
        broken = genflows(trained, "migrate", **named)
    assert broken.returncode == 1
    assert "the disk is full" in broken.stderr
    for table in ("flow_run", "task_run", "task_run_state", "log", "artifact"):
        assert rows(target, table) == 0
    said = done(trained, "migrate", **named)
    assert "already" in said
    assert "compared: equal" in said
    assert rows(target, "task_run") == count


def test_artifacts_that_a_server_hands_out_are_found_by_their_new_address(
    postgres: Postgres, trained: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another workspace, that sees nothing of the first one's disk, gets the champion through the server."""
    postgres.create("served")
    named = {"MLFLOW_TRACKING_URI": postgres.url("served")}
    done(trained, "migrate", "--served", **named)
    direct = genflows(trained, "models", **named)
    assert direct.returncode == 3
    assert "Set MLFLOW_TRACKING_URI to the http address" in direct.stderr

    kept, port = tmp_path / "kept", free_port()
    shutil.move(trained.private / "artifacts", kept)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    variables = {
        "MLFLOW_BACKEND_STORE_URI": postgres.url("served"), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ARTIFACTS_DESTINATION": str(kept),
    }  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=os.environ | variables)
    try:
        wait_for(f"http://127.0.0.1:{port}")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        store = connect(Workspace(tmp_path / "elsewhere"))
        found = champion(store, "boxes-sample")
        assert found
        assert files.manifest_digest(fetch(store, found)) == found.digest
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.move(kept, trained.private / "artifacts")
