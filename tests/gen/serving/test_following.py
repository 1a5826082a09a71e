"""The model in use, when the registry changes, breaks, or is away: whatever happens, something whole serves."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from gen import files
from gen.serving.following import Follower, InUse, take
from gen.tracking import registry
from gen.tracking.store import Store, connect
from gen.workspace import Workspace
from tests.gen.serving.conftest import NAME


@pytest.fixture
def store(registered: Workspace, tmp_path: Path) -> Iterator[Store]:
    """The registry, with nothing fetched yet; its aliases are put back afterwards."""
    shared = connect(registered)
    yield replace(shared, private=tmp_path)
    for alias, number in (("champion", "1"), ("challenger", "2")):
        shared.client.set_registered_model_alias(NAME, alias, number)


def name(store: Store, number: int) -> None:
    """Move the alias as MLflow's own pages do, without any check."""
    store.client.set_registered_model_alias(NAME, "champion", str(number))


def following(store: Store, said: list[str]) -> Follower:
    in_use = InUse(take(store, registry.version(store, NAME, "1"), "cpu"))
    return Follower(store, in_use, "champion", "cpu", said.append)


def test_it_takes_what_the_alias_names(store: Store) -> None:
    said: list[str] = []
    follower = following(store, said)
    follower.look()
    assert said == []
    old = follower.in_use.served
    name(store, 2)
    follower.look()
    follower.look()
    assert follower.in_use.served.label == f"{NAME}/2"
    assert said == [f"{NAME}/2 serves now, as {NAME}@champion; {NAME}/1 has ended."]
    assert len(old.generated(3, 0, 0)) > 0, "whoever took the old one keeps it"


def test_a_broken_version_leaves_the_old_one_and_is_told_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    follower = following(store, said)
    spoiled = MlflowClient.download_artifacts

    def download(client: MlflowClient, run: str, path: str, target: str) -> str:
        # What the registry sends was changed on its way, or in its store.
        spoiled(client, run, path, target)
        with (Path(target) / path / "model.safetensors").open("r+b") as weights:
            weights.seek(-1, 2)
            weights.write(b"\x7f")
        return target

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "download_artifacts", download)
        name(store, 2)
        follower.look()
        follower.look()
    assert follower.in_use.served.label == f"{NAME}/1"
    trouble = f"{NAME}/2 does not verify or does not load. {NAME}/1 goes on serving."
    assert follower.in_use.trouble == trouble
    (told,) = said
    assert told.startswith(f"{trouble} Version 2 of `{NAME}` is not what was registered: ")
    assert re.search(r"model\.safetensors was changed", told)
    # Back, and there again: it is tried anew.
    name(store, 1)
    follower.look()
    assert follower.in_use.trouble is None
    name(store, 2)
    follower.look()
    assert (follower.in_use.served.label, follower.in_use.trouble) == (f"{NAME}/2", None)


def test_weights_that_no_network_takes_leave_the_old_one(store: Store, registered: Workspace) -> None:
    said: list[str] = []
    follower = following(store, said)
    folder = store.private / "models" / NAME / "2"
    shutil.copytree(registered.train("vae"), folder)
    config = files.read_json(folder / "config.json")
    config["config"]["width"] = 5
    files.write_json(folder / "config.json", config)
    files.write_manifest(folder)
    version = replace(registry.version(store, NAME, "2"), digest=files.manifest_digest(folder))
    follower._replace(version)
    assert follower.in_use.served.label == f"{NAME}/1"
    assert "do not fit the networks of this version" in said[0]


def test_without_mlflow_it_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    follower = following(store, said)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = "http://user:secret@127.0.0.1:9"
    follower.store = replace(store, client=MlflowClient(address, address), uri=address)
    follower.look()
    follower.look()
    trouble = (
        f"The registry does not answer as it should, so a new version would not be seen. {NAME}/1 goes on serving."
    )
    assert follower.in_use.trouble == trouble
    (told,) = said
    assert told.startswith(f"{trouble} MLflow at http://127.0.0.1:9 did not answer")
    assert "secret" not in told
    follower.store = store
    follower.look()
    assert follower.in_use.trouble is None


def test_a_version_that_others_made_leaves_the_old_one(store: Store) -> None:
    follower = following(store, [])
    run = registry.version(store, NAME, "1").run
    foreign = store.client.create_model_version(NAME, f"runs:/{run}/model", run)
    name(store, int(foreign.version))
    follower.look()
    assert follower.in_use.served.label == f"{NAME}/1"
    assert follower.in_use.trouble is not None
    name(store, 2)
    follower.look()
    assert follower.in_use.served.label == f"{NAME}/2"


def test_an_alias_that_is_gone_is_told(store: Store) -> None:
    follower = following(store, [])
    store.client.delete_registered_model_alias(NAME, "champion")
    follower.look()
    assert follower.in_use.trouble == f"`{NAME}@champion` names no version any more. {NAME}/1 goes on serving."
