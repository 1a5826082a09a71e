"""MLflow as mirror and registry: real stores, a real server, real processes that race."""

import hashlib
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from gen import artifact, files
from gen.config import Params
from gen.errors import UserError
from gen.steps.publish import describe, publish
from gen.tracking import groups, promotion
from gen.tracking.abandoned import OWNER
from gen.tracking.groups import Group
from gen.tracking.promotion import ChampionMovedError, promote, rollback
from gen.tracking.registry import Version, champion, fetch, register, version, versions
from gen.tracking.runs import COMPLETE, KEY
from gen.tracking.store import Store, TrackingUnavailable, connect
from gen.workspace import Workspace
from tests import elsewhere
from tests.gen import fabricated
from tests.gen.rivals import NAME, RACERS, publish_dcgan, race


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    made, params = fabricated.workspace(tmp_path_factory.mktemp("made"))
    for model, value in (("dcgan", 30.0), ("vae", 40.0), ("edges2digits", 0.1)):
        fabricated.trained(made, params, model)
        fabricated.evaluated(made, model, value)
    return made, params


@pytest.fixture
def params(made: tuple[Workspace, Params]) -> Params:
    return made[1]


@pytest.fixture
def workspace(made: tuple[Workspace, Params], tmp_path: Path) -> Workspace:
    """The files of the trained workspace, with a private folder of its own."""
    for child in made[0].root.iterdir():
        if child.name != ".genflows":
            (tmp_path / child.name).symlink_to(child)
    return Workspace(tmp_path)


@pytest.fixture(scope="module")
def _schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: making its tables takes a second."""
    path = tmp_path_factory.mktemp("schema") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(workspace: Workspace, _schema: Path) -> Store:
    workspace.private.mkdir()
    shutil.copy(_schema, workspace.private / "mlflow.db")
    return connect(workspace)


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.long)])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A real MLflow server on the loopback, whose artifacts lie on its disk, or in S3."""
    with ExitStack() as stack:
        kept, environment = str(tmp_path / "kept"), {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        if request.param == "s3":
            if lacking := elsewhere.missing("s3"):
                pytest.skip(lacking)
            store = stack.enter_context(elsewhere.store("s3", tmp_path))
            kept, environment = store.url, environment | dict(store.environment)
        port = free_port()
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
        log = stack.enter_context((tmp_path / "log").open("w"))
        process = subprocess.Popen(
            [*command, "--artifacts-destination", kept], stdout=log, stderr=log, env=os.environ | environment
        )
        try:
            wait_for(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)
        if request.param == "s3":
            assert store.system.find(store.root)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(url: str) -> None:
    for _ in range(600):
        try:
            if requests.get(f"{url}/health", timeout=1).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} did not start")


def content(store: Store, run: str) -> dict[str, Any]:
    """All that a reader of a run can see, with the names that MLflow draws by lot left out."""
    found = store.client.get_run(run)
    histories = {
        name: [(point.value, point.step, point.timestamp) for point in store.client.get_metric_history(run, name)]
        for name in found.data.metrics
    }
    (dataset,) = found.inputs.dataset_inputs
    # Whose it is, as MLflow says it and as we do, differs by nature.
    system = {"mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit", OWNER}
    return {
        "name": found.info.run_name,
        "status": found.info.status,
        "times": (found.info.start_time, found.info.end_time),
        "params": found.data.params,
        "metrics": histories,
        "tags": {name: value for name, value in found.data.tags.items() if name not in system},
        "dataset": (dataset.dataset.name, dataset.dataset.digest, dataset.dataset.source),
        "artifacts": artifacts(store, run),
    }


def artifacts(store: Store, run: str) -> Counter[tuple[str, str]]:
    """Paths and digests of a run's artifacts; of an image logged by step, the path without its random part."""
    folder = Path(store.client.download_artifacts(run, ""))
    found: Counter[tuple[str, str]] = Counter()
    for path in folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            if name.startswith("images/"):
                name = name.rsplit("+timestamp", 1)[0] + path.suffix
            found[name, hashlib.sha256(path.read_bytes()).hexdigest()] += 1
    return found


def registered(workspace: Workspace, params: Params, store: Store, model: str, name: str = NAME) -> Version:
    run = publish(workspace, params, model, store)
    digest = files.manifest_digest(workspace.published(model))
    return register(store, name, describe(workspace, params, model).key, run, digest, {"model": model})


# Publishing


def test_run_holds_everything(workspace: Workspace, params: Params, store: Store) -> None:
    seen = content(store, publish(workspace, params, "dcgan", store))
    assert seen["name"] == "dcgan"
    assert seen["status"] == "FINISHED"
    assert seen["params"]["learning_rate"] == "0.0002"
    assert seen["params"]["machine.threads"] == "1"
    assert [point[1] for point in seen["metrics"]["loss/generator"]] == [16, 32, 48, 64]
    assert seen["metrics"]["final/frechet"][0][:2] == (30.0, 64)
    assert {name for name in seen["metrics"] if name.endswith("/frechet")} == {
        "final/frechet",
        "floor/frechet",
        "baseline/frechet",
        "spread/frechet",
    }
    assert seen["tags"].items() >= {"family": "gan", "task": "sample", "dataset": "digits", "eval_id": "e" * 64}.items()
    assert seen["tags"]["commit"] == "null"
    name, digest, source = seen["dataset"]
    assert (name, source) == ("digits", '{"kind": "mnist-5k"}')
    assert files.manifest_digest(workspace.prepared("digits")).startswith(digest)
    names = {name for name, _ in seen["artifacts"]}
    assert names >= {
        "provenance/dcgan.json",
        "params.yaml",
        "dvc.lock",
        "data/raw/digits.dvc",
        "model/model.safetensors",
    }
    assert names >= {"evaluate/metrics.json", "evaluate/samples.png"}
    assert names >= {f"images/samples+step+{step}.png" for step in (0, 32, 64)}


def test_run_tells_the_published_step_from_the_last_and_what_it_took(
    workspace: Workspace, params: Params, store: Store
) -> None:
    seen = content(store, publish(workspace, params, "vae", store))["metrics"]
    made = files.read_json(workspace.provenance("vae"))
    measured = {step: value for value, step, _ in seen["select/kernel"]}
    assert [point[:2] for point in seen["best/kernel"]] == [
        (measured[made["published_after"]], made["published_after"])
    ]
    start = 1000 * int(datetime.fromisoformat(made["started"]).timestamp())
    (loss, *_) = (points for name, points in seen.items() if name.startswith("loss/"))
    assert [time - start for _, _, time in loss] == [int(1000 * row[1]) for row in made["clock"]]
    assert [point[1] for point in seen["system/memory_megabytes"]] == [16, 32, 48, 64]
    assert all(value > 0 for value, *_ in seen["system/images_per_second"])


def test_models_of_one_retrain_are_nested_in_it(workspace: Workspace, params: Params, store: Store) -> None:
    first, second = (Group("retrain", key, datetime(2026, 3, 1, 4, 30, tzinfo=UTC)) for key in ("first", "second"))
    groups.end(store, first, {}, [], failed=False)
    assert store.client.search_runs([store.experiment]) == [], "where nothing was published there is nothing to show"
    nested = [publish(workspace, params, model, store, first) for model in ("dcgan", "vae")]
    assert publish(workspace, params, "vae", store, second) == nested[1], "it stays where it was"
    groups.end(store, first, {"digits-sample": "promote"}, [workspace.params_file], failed=True)
    parents = {store.client.get_run(run).data.tags["mlflow.parentRunId"] for run in nested}
    found = store.client.get_run(parents.pop())
    assert parents == set()
    assert (found.info.run_name, found.info.status) == ("retrain 2026-03-01 04:30", "FAILED")
    assert found.data.tags["digits-sample"] == "promote"
    assert [each.path for each in store.client.list_artifacts(found.info.run_id)] == ["params.yaml"]
    assert len(store.client.search_runs([store.experiment])) == 3


def test_published_twice_is_the_same_run_with_nothing_doubled(
    workspace: Workspace, params: Params, store: Store
) -> None:
    run = publish(workspace, params, "vae", store)
    before = content(store, run)
    assert publish(workspace, params, "vae") == run
    assert content(store, run) == before


def test_fresh_database_gets_equal_runs(
    workspace: Workspace, params: Params, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first, elsewhere = connect(workspace), Workspace(tmp_path_factory.mktemp("elsewhere"))
    second = connect(elsewhere)
    for model in ("dcgan", "edges2digits"):
        runs = [(store, publish(workspace, params, model, store)) for store in (first, second)]
        contents = [content(*run) for run in runs]
        assert contents[0] == contents[1]


def test_half_written_run_is_replaced(workspace: Workspace, params: Params, store: Store) -> None:
    record = describe(workspace, params, "dcgan")
    half = store.client.create_run(store.experiment, tags={KEY: record.key}, run_name="dcgan").info.run_id
    store.client.log_metric(half, "loss/generator", 99.0)
    run = publish(workspace, params, "dcgan", store)
    (found,) = store.client.search_runs([store.experiment])
    assert found.info.run_id == run != half
    assert found.data.tags[COMPLETE] == "true"
    assert 99.0 not in [point[0] for point in content(store, run)["metrics"]["loss/generator"]]


def test_changed_files_are_not_published(
    made: tuple[Workspace, Params], params: Params, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("changed") / "workspace"
    workspace = Workspace(Path(shutil.copytree(made[0].root, root)))
    (workspace.evaluate("dcgan") / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match=r"metrics\.json was changed"):
        publish(workspace, params, "dcgan")
    assert not (workspace.private / "mlflow.db").exists()


def test_long_curves_are_sent_whole(workspace: Workspace, params: Params, store: Store) -> None:
    from dataclasses import replace

    from gen.tracking import runs
    from gen.tracking.runs import Point

    points = [Point("loss/generator", 1 / step, step, 1_700_000_000_000 + step) for step in range(1, 2501)]
    record = replace(describe(workspace, params, "dcgan"), key="0" * 64, points=points, artifacts=[], grids={})
    run = runs.publish(store, record)
    assert len(store.client.get_metric_history(run, "loss/generator")) == 2500


def test_processes_that_publish_first_and_at_once_make_one_run(workspace: Workspace, in_parallel: "InParallel") -> None:
    runs = in_parallel(3, publish_dcgan, workspace.root)
    assert len(set(runs)) == 1
    assert len(connect(workspace).client.search_runs([connect(workspace).experiment])) == 1


# The connection


def test_store_does_not_depend_on_the_current_folder(
    workspace: Workspace, params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("cwd")
    monkeypatch.chdir(elsewhere)
    publish(workspace, params, "dcgan")
    assert list(elsewhere.iterdir()) == []
    assert {path.name for path in workspace.private.iterdir()} >= {"mlflow.db", "artifacts"}


DOWNGRADE = """
import alembic.command, sys
from mlflow.store.db.utils import _get_alembic_config
alembic.command.downgrade(_get_alembic_config(sys.argv[1]), "-1")
"""


def test_database_of_an_older_mlflow_is_upgraded_by_whoever_comes_first(
    workspace: Workspace, params: Params, store: Store, in_parallel: "InParallel"
) -> None:
    run = publish(workspace, params, "dcgan", store)
    uri = f"sqlite:///{workspace.private / 'mlflow.db'}"
    subprocess.run([sys.executable, "-c", DOWNGRADE, uri], check=True, capture_output=True)
    assert in_parallel(2, publish_dcgan, workspace.root) == [run, run]


def test_moved_workspace_does_not_write_to_the_old_place(
    workspace: Workspace, params: Params, tmp_path_factory: pytest.TempPathFactory
) -> None:
    publish(workspace, params, "dcgan")
    moved = tmp_path_factory.mktemp("moved") / "w"
    workspace.root.rename(moved)
    with pytest.raises(TrackingUnavailable, match="was moved or copied"):
        connect(Workspace(moved))


def test_dead_server_says_what_is_unsent(workspace: Workspace, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{free_port()}")
    with pytest.raises(TrackingUnavailable, match="genflows publish") as caught:
        publish(workspace, params, "dcgan")
    assert "secret" not in str(caught.value)


@pytest.mark.timeout(60)
def test_server_that_never_answers_is_given_up(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TrackingUnavailable):
            connect(workspace)


def test_server_holds_the_same_runs_and_versions(
    workspace: Workspace, params: Params, store: Store, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = content(store, publish(workspace, params, "vae", store))
    credentials = server.replace("//", "//user:secret@")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", credentials)
    remote = connect(workspace)
    assert (remote.uri, remote.place) == (credentials, server)
    run = publish(workspace, params, "vae")
    assert content(remote, run) == local
    challenger = registered(workspace, params, remote, "vae")
    assert challenger.aliases == ("challenger",)
    promote(remote, challenger, None, "first")
    crowned = champion(remote, NAME)
    assert crowned is not None
    assert crowned.number == challenger.number
    assert artifact.load(fetch(remote, crowned)).name == "vae"


# The registry


def test_version_is_registered_once(workspace: Workspace, params: Params, store: Store) -> None:
    first = registered(workspace, params, store, "dcgan")
    again = registered(workspace, params, store, "dcgan")
    assert (first.number, first.aliases, first.tags["model"]) == (1, ("challenger",), "dcgan")
    assert again == first
    other = registered(workspace, params, store, "vae")
    assert (other.number, other.aliases) == (2, ("challenger",))
    assert [(found.number, found.aliases) for found in versions(store)] == [(1, ()), (2, ("challenger",))]


def test_renewed_tags_reach_the_version(workspace: Workspace, params: Params, store: Store) -> None:
    found = registered(workspace, params, store, "dcgan")
    renewed = register(store, NAME, found.key, found.run, found.digest, {"value": "12.5"})
    assert (renewed.number, renewed.tags["value"], renewed.tags["model"]) == (1, "12.5", "dcgan")


def test_version_is_found_by_number_and_alias_alone(workspace: Workspace, params: Params, store: Store) -> None:
    found = registered(workspace, params, store, "dcgan")
    assert version(store, NAME, "1") == version(store, NAME, "challenger") == found
    with pytest.raises(UserError, match="no version `7`. It has: 1"):
        version(store, NAME, "7")
    with pytest.raises(UserError, match="genflows retrain"):
        version(store, "cats-sample", "champion")
    assert champion(store, "cats-sample") is None


def test_fetched_copy_is_kept_mended_and_loads(workspace: Workspace, params: Params, store: Store) -> None:
    found = registered(workspace, params, store, "dcgan")
    folder = fetch(store, found)
    assert files.manifest_digest(folder) == files.manifest_digest(workspace.published("dcgan"))
    (folder / "model.safetensors").write_bytes(b"spoilt")
    assert fetch(store, found) == folder
    assert artifact.load(folder).generate(1, seed=0).shape == (1, 16, 16, 1)


def test_tampered_artifact_is_neither_fetched_nor_promoted(workspace: Workspace, params: Params, store: Store) -> None:
    found = registered(workspace, params, store, "dcgan")
    (kept,) = (workspace.private / "artifacts").rglob("model/config.json")
    config = files.read_json(kept)
    files.write_json(kept, {**config, "model": "other"})
    with pytest.raises(UserError, match="is not what was registered"):
        fetch(store, found)
    # Even when the manifest was made to fit.
    files.write_manifest(kept.parent)
    with pytest.raises(UserError, match="is not what was registered"):
        promote(store, found, None, "first")
    assert champion(store, NAME) is None


def test_version_numbers_of_a_fresh_database_do_not_serve_old_copies(
    workspace: Workspace, params: Params, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fetch(store, registered(workspace, params, store, "dcgan"))
    elsewhere = Workspace(tmp_path_factory.mktemp("elsewhere"))
    shutil.copytree(workspace.private / "models", elsewhere.private / "models")
    fresh = connect(elsewhere)
    found = registered(workspace, params, fresh, "vae")
    assert found.number == 1
    assert artifact.load(fetch(fresh, found)).name == "vae"


# Promotion


def aliases(store: Store) -> dict[str, int]:
    return {alias: found.number for found in versions(store, NAME) for alias in found.aliases}


def test_promotion_keeps_the_previous_and_the_history(workspace: Workspace, params: Params, store: Store) -> None:
    first, second = (registered(workspace, params, store, model) for model in ("dcgan", "vae"))
    promote(store, first, None, "none before it")
    assert aliases(store) == {"challenger": 2, "champion": 1}
    promote(store, second, 1, "better by 3")
    assert aliases(store) == {"challenger": 2, "champion": 2, "previous": 1}
    moves = promotion.history(store, NAME)
    assert [(move["before"], move["after"], move["by"]) for move in moves] == [(None, 1, "judge"), (1, 2, "judge")]
    assert moves[-1]["reason"] == "better by 3"


def test_promotion_on_a_stale_look_is_refused(workspace: Workspace, params: Params, store: Store) -> None:
    first, second = (registered(workspace, params, store, model) for model in ("dcgan", "vae"))
    promote(store, first, None, "")
    with pytest.raises(ChampionMovedError, match="compared with none, but by now version 1 is champion"):
        promote(store, second, None, "")
    assert aliases(store)["champion"] == 1
    promote(store, first, 1, "already")
    assert len(promotion.history(store, NAME)) == 1


def test_rollback_swaps_and_withdraws_until_a_human_promotes(
    workspace: Workspace, params: Params, store: Store
) -> None:
    first, second = (registered(workspace, params, store, model) for model in ("dcgan", "vae"))
    promote(store, first, None, "")
    with pytest.raises(UserError, match="no previous champion"):
        rollback(store, NAME)
    promote(store, second, 1, "")
    assert rollback(store, NAME, "blurred").number == 1
    assert aliases(store) == {"challenger": 2, "champion": 1, "previous": 2}
    assert version(store, NAME, "2").withdrawn == "blurred"
    promote(store, version(store, NAME, "2"), 1, "not that bad", by="human")
    assert version(store, NAME, "2").withdrawn is None
    assert [move["by"] for move in promotion.history(store, NAME)] == ["judge", "judge", "rollback", "human"]


def test_alias_moved_behind_our_back_enters_the_history(workspace: Workspace, params: Params, store: Store) -> None:
    first, second = (registered(workspace, params, store, model) for model in ("dcgan", "vae"))
    promote(store, first, None, "")
    store.client.set_registered_model_alias(NAME, "champion", "2")
    promote(store, first, 2, "back")
    assert [(move["before"], move["after"], move["by"]) for move in promotion.history(store, NAME)][1:] == [
        (1, 2, "unknown"),
        (2, 1, "judge"),
    ]
    assert second.number == 2


def test_history_stays_within_mlflows_limit(workspace: Workspace, params: Params, store: Store) -> None:
    pair = [registered(workspace, params, store, model) for model in ("dcgan", "vae")]
    promote(store, pair[0], None, "")
    for turn in range(1, 20):
        promote(store, pair[turn % 2], pair[(turn + 1) % 2].number, "ö" * 400)
    moves = promotion.history(store, NAME)
    assert moves[-1]["after"] == 2
    assert 5 < len(moves) < 20


def test_racing_promotions_lose_nothing(workspace: Workspace, params: Params, in_parallel: "InParallel") -> None:
    store = connect(workspace)
    for model in ("dcgan", "vae"):
        registered(workspace, params, store, model)
    won = [name for racer in in_parallel(RACERS, race, workspace.root) for name in racer]
    moves = promotion.history(store, NAME)
    # Each move began where the one before ended, and each is one that somebody was told had succeeded.
    assert [move["before"] for move in moves] == [None, *(move["after"] for move in moves[:-1])]
    assert Counter(move["reason"] for move in moves) == Counter(won)
    assert all(count == 1 for count in Counter(won).values())
    assert aliases(store)["champion"] == moves[-1]["after"]
    assert aliases(store)["previous"] == moves[-1]["before"]


# Several processes


class InParallel:
    """Run a function in several fresh processes that begin together."""

    def __call__(self, count: int, function: Any, root: Path) -> list[Any]:
        with multiprocessing.get_context("spawn").Pool(count) as pool:
            return pool.starmap(function, [(root, number) for number in range(count)], chunksize=1)


@pytest.fixture
def in_parallel() -> InParallel:
    return InParallel()


def test_whoever_asks_the_registry_does_not_wait_for_torch() -> None:
    code = "import sys; from gen.tracking import promotion, registry, runs, store; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
