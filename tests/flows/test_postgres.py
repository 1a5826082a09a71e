"""MLflow and Prefect on PostgreSQL: a real server, the commands as they are typed."""

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from sqlalchemy import text

from flows import standing
from gen.tracking.registry import champion
from gen.tracking.store import TrackingUnavailable, connect
from gen.workspace import Workspace
from tests.conftest import environment, make_workspace
from tests.flows import boxes
from tests.flows.boxes import add_images
from tests.gen import writing
from tests.gen.fabricated import drawn
from tests.gen.test_tracking import free_port
from tests.postgres import OWNER, Postgres, running

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

GENFLOWS = [sys.executable, "-m", "flows.cli"]
MODEL = """\
models:
  vae: {family: vae, dataset: boxes, network: convolutional, init: random, latent_dim: 4, width: 4, images: 1024,
        batch: 16, learning_rate: 0.003, log_every: 128, checkpoint_every: 256}
"""
WRITERS = 16


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


def genflows(made: Workspace, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*GENFLOWS, *arguments], cwd=made.root, env=environment(made.root) | variables, capture_output=True, text=True
    )


def done(made: Workspace, *arguments: str, **variables: str) -> str:
    ended = genflows(made, *arguments, **variables)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def stores(postgres: Postgres, name: str) -> dict[str, str]:
    """Two new databases, as the environment names them."""
    postgres.create(f"{name}_mlflow")
    postgres.create(f"{name}_prefect")
    return {
        "MLFLOW_TRACKING_URI": postgres.url(f"{name}_mlflow"),
        "PREFECT_API_DATABASE_CONNECTION_URL": postgres.url(f"{name}_prefect", "postgresql+asyncpg"),
    }


def secrets_in(postgres: Postgres, folder: Path) -> list[str]:
    """The files in which a part of the password stands."""
    secret = postgres.password[:16].encode()
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_the_main_job_passes_on_postgresql(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_workspace(tmp_path / "workspace", boxes.PARAMS + MODEL)
    add_images(made, drawn(400, seed=1), "first")
    named = stores(postgres, "job")
    said = done(made, "doctor", **named) + done(made, "retrain", **named)
    assert "promote" in said, said
    again = done(made, "retrain", **named)
    assert "othing" in again, again

    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    said += done(made, "up", "--cron", "0 3 29 2 *", *ports, **named)
    try:
        there = standing.read(made)
        assert there
        assert there.healthy
        family = [psutil.Process(int(there.supervisor.partition(":")[0]))]
        family += family[0].children(recursive=True)
        spoken = " ".join(word for process in family for word in process.cmdline())
    finally:
        said += done(made, "down", **named)

    assert not list(made.root.rglob("mlflow.db")), "nothing went into the workspace's own store"
    assert not list(made.root.rglob("prefect.db"))
    assert not (made.root / "mlruns").exists()
    for told in (said, again, spoken):
        assert postgres.password[:16] not in told
    assert secrets_in(postgres, made.root) == []

    monkeypatch.setenv("MLFLOW_TRACKING_URI", named["MLFLOW_TRACKING_URI"])
    found = champion(connect(made), "boxes-sample")
    assert found
    assert found.number == 1


@pytest.mark.parametrize(
    ("variable", "commands"),
    [
        ("MLFLOW_TRACKING_URI", ["doctor", "models", "up"]),
        ("PREFECT_API_DATABASE_CONNECTION_URL", ["doctor", "retrain", "up"]),
    ],
)
def test_what_cannot_be_logged_in_to_is_told_in_a_paragraph(
    postgres: Postgres, tmp_path: Path, variable: str, commands: list[str]
) -> None:
    made = make_workspace(tmp_path / "workspace", boxes.PARAMS + MODEL)
    add_images(made, drawn(40, seed=1), "first")
    driver = "postgresql+asyncpg" if variable.startswith("PREFECT") else "postgresql"
    named = {variable: postgres.url("postgres", driver, password="pass/word")}  # noqa: S106
    for command in commands:
        ended = genflows(made, command, *(["--cron", "0 3 29 2 *"] if command == "up" else []), **named)
        told = " ".join((ended.stdout + ended.stderr).split())
        assert ended.returncode in (1, 3), told
        assert f"that {variable} names cannot be used: " in told
        assert "password authentication failed" in told
        for fault in ("Traceback", "pass/word", "pass%2Fword"):
            assert fault not in told


def test_one_who_may_not_make_tables_is_told_so(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.create("closed")
    with postgres.engine("closed").begin() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN PASSWORD 'guest'"))
    address = postgres.url("closed").replace(f"{OWNER}:", "guest:").replace(quote(postgres.password, safe=""), "guest")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(TrackingUnavailable, match="permission denied for schema public"):
        connect(Workspace(tmp_path))


def test_of_many_writers_no_point_is_lost(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.create("crowd")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.url("crowd"))
    store = connect(Workspace(tmp_path))
    with multiprocessing.get_context("spawn").Pool(WRITERS) as pool:
        pool.starmap(writing.write, [(tmp_path, writer) for writer in range(WRITERS)], chunksize=1)
    for writer in range(WRITERS):
        (run,) = store.client.search_runs([store.experiment], f"tags.writer = '{writer}'")
        points = store.client.get_metric_history(run.info.run_id, "loss/total")
        assert sorted((point.step, point.value) for point in points) == [
            (step, writing.value(writer, step)) for step in range(writing.POINTS)
        ]
