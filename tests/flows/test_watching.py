"""Folders of images are watched: what changed and came to rest is told to a real server, once."""

import json
import shutil
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from flows.watching import NEW_DATA, Watch, fingerprint, resource
from gen.workspace import Workspace
from tests.flows.toy import PARAMS, eventually


@pytest.fixture
def watch(tmp_path: Path, prefect_url: str) -> Watch:
    (tmp_path / "params.yaml").write_text(PARAMS.replace("{kind: mnist-5k}", "{kind: folder, path: images}"))
    (tmp_path / ".genflows").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(bytes(10))
    return Watch(Workspace(tmp_path), prefect_url)


def told(watch: Watch) -> list[list[str]]:
    """The datasets of each event that the server has heard of this workspace."""
    wanted = {"filter": {"event": {"name": [NEW_DATA]}, "resource": {"id": [resource(watch.workspace)]}}}
    request = Request(f"{watch.api}/events/filter", json.dumps(wanted).encode(), {"Content-Type": "application/json"})
    return [event["payload"]["datasets"] for event in json.load(urlopen(request))["events"]]


def test_what_changed_is_told_once_when_it_has_come_to_rest(watch: Watch) -> None:
    images = watch.workspace.root / "images"
    assert [watch.look() for _ in range(3)] == [[], ["digits"], []]
    (images / "b.png").write_bytes(bytes(10))
    assert watch.look() == []
    (images / "c.png").write_bytes(bytes(10))  # somebody still copies
    assert [watch.look() for _ in range(3)] == [[], ["digits"], []]
    assert eventually(lambda: told(watch) == [["digits"], ["digits"]], seconds=30)


def test_another_process_does_not_tell_it_again(watch: Watch) -> None:
    assert [watch.look() for _ in range(2)] == [[], ["digits"]]
    again = Watch(watch.workspace, watch.api)
    assert [again.look() for _ in range(3)] == [[], [], []]


def test_what_nobody_heard_is_told_later(watch: Watch) -> None:
    deaf = Watch(watch.workspace, "http://127.0.0.1:9/api")
    deaf.look()
    with pytest.raises(OSError, match="refused"):
        deaf.look()
    assert [watch.look() for _ in range(2)] == [[], ["digits"]]


def test_a_folder_that_is_away_is_not_new_when_it_is_back(watch: Watch, tmp_path: Path) -> None:
    images = watch.workspace.root / "images"
    assert [watch.look() for _ in range(2)] == [[], ["digits"]]
    images.rename(tmp_path / "away")
    assert [watch.look() for _ in range(2)] == [[], []]
    (tmp_path / "away").rename(images)
    assert [watch.look() for _ in range(2)] == [[], []]


def test_names_sizes_and_times_make_a_difference(tmp_path: Path) -> None:
    file = tmp_path / "images" / "label" / "a.png"
    file.parent.mkdir(parents=True)
    seen = {fingerprint(tmp_path / "images")}
    for change in (
        lambda: file.write_bytes(b"1"),
        lambda: file.write_bytes(b"12"),
        lambda: file.rename(file.with_name("b.png")),
        lambda: shutil.copy(file.with_name("b.png"), file),
    ):
        change()
        found = fingerprint(tmp_path / "images")
        assert found == fingerprint(tmp_path / "images")
        assert found not in seen
        seen.add(found)
