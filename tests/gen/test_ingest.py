import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gen import files
from gen.errors import BadParamsError, TooFewImagesError, UserError
from gen.snapshot import Snapshot
from gen.sources import KINDS, decoding, parse_block
from gen.steps.ingest import ingest
from gen.workspace import Workspace
from tests.gen.raw_images import labels_of, noise, params, save, write_folder, write_idx

TRAIN, TEST = noise(70), noise(20, seed=1)


def ingested(root: Path, **source: Any) -> dict[str, Any]:
    """Ingest one source as dataset `mine` of a workspace; its lines of progress under `said`."""
    said: list[str] = []
    summary = ingest(Workspace(root), params(mine=source), "mine", said.append)
    return summary | {"said": said}


def canonical(root: Path) -> dict[str, Any]:
    """Digests of what must not depend on the way."""
    listed = files.verify(root / "data" / "raw" / "mine")
    return {name: listed[name] for name in listed if name not in ("summary.json", "quarantine.csv")}


def test_the_same_images_give_the_same_snapshot_whichever_way_they_come(tmp_path: Path) -> None:
    ways = []
    for packed in (False, True):
        root = tmp_path / f"idx{packed}"
        write_idx(root / "images", TRAIN, TRAIN[:0], packed=packed)
        assert ingested(root, kind="mnist", path="images")["kept"] == {"images": 70}
        ways.append(canonical(root))
    for ending, options in (("png", {}), ("bmp", {}), ("webp", {"lossless": True})):
        root = tmp_path / ending
        for number in np.random.default_rng(5).permutation(70):
            label = str(labels_of(70)[number])
            save(root / "images" / label / f"{number:03d}.{ending}", TRAIN[number], **options)
        assert ingested(root, kind="folder", path="images")["kept"] == {"images": 70}
        ways.append(canonical(root))
    assert set(ways[0]) == {"index.csv", "pixels-00000.bin"}
    assert all(way == ways[0] for way in ways)


def test_ingesting_again_changes_no_byte_and_names_no_place(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", TRAIN, TEST)
    ingested(tmp_path, kind="mnist", path="images")
    folder = tmp_path / "data" / "raw" / "mine"
    before = files.contents(folder)
    summary = ingested(tmp_path, kind="mnist", path="images")
    assert files.contents(folder) == before
    assert str(tmp_path) not in (folder / "summary.json").read_text() + (folder / "index.csv").read_text()
    assert summary["official"] == 20
    assert summary["labels"] == list("0123456789")
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_the_embedded_digits_are_5000_in_ten_classes(tmp_path: Path) -> None:
    summary = ingested(tmp_path, kind="mnist-5k")
    assert (summary["kept"], summary["duplicates"]) == ({"images": 5000}, 0)
    counts = Snapshot(tmp_path / "data" / "raw" / "mine").index["label"].value_counts()
    assert dict(counts) == dict.fromkeys("0123456789", 500)


def test_one_corrupt_image_among_good_ones_is_left_out_and_said(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", TRAIN)
    broken = tmp_path / "images" / "7.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    (tmp_path / "images" / "notes.txt").write_text("x")
    summary = ingested(tmp_path, kind="folder", path="images")
    assert summary["kept"] == {"images": 69}
    assert summary["quarantined"] == {decoding.DAMAGED: 1, decoding.NO_IMAGE: 1}
    lines = (tmp_path / "data" / "raw" / "mine" / "quarantine.csv").read_text().splitlines()
    assert lines[0] == "name,reason,detail"
    assert lines[1].startswith(f"7.png,{decoding.DAMAGED},OSError: ")
    assert lines[2].startswith("notes.txt,")
    assert "69 images kept, 2 left out" in summary["said"][-1]


def test_copies_are_dropped_and_counted(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", TRAIN, labels_of(70))
    save(tmp_path / "images" / "9" / "copy.png", TRAIN[0])
    summary = ingested(tmp_path, kind="folder", path="images")
    assert (summary["kept"], summary["duplicates"], summary["conflicts"]) == ({"images": 70}, 1, 1)


def test_an_image_bomb_is_left_out(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", TRAIN)
    # A GIF's header says its size in bytes 6 to 9.
    data = bytearray(save(tmp_path / "images" / "bomb.gif", TRAIN[0]).read_bytes())
    data[6:10] = b"\xff\xff\xff\xff"
    (tmp_path / "images" / "bomb.gif").write_bytes(data)
    assert ingested(tmp_path, kind="folder", path="images")["quarantined"] == {decoding.TOO_LARGE: 1}


def test_a_folder_of_text_files_says_how_many_and_why(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(5):
        (tmp_path / "images" / f"{number}.txt").write_text("no image")
    with pytest.raises(TooFewImagesError, match=r"none kept, 5 left out: 5 no image .*e\.g\. 0\.txt.*At least 64"):
        ingested(tmp_path, kind="folder", path="images")


def test_too_few_images_leave_the_last_snapshot_as_it_was(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", TRAIN)
    ingested(tmp_path, kind="folder", path="images")
    before = files.verify(tmp_path / "data" / "raw" / "mine")
    for number in range(10):
        (tmp_path / "images" / f"{number}.png").unlink()
    with pytest.raises(TooFewImagesError, match="60 images kept"):
        ingested(tmp_path, kind="folder", path="images")
    assert files.verify(tmp_path / "data" / "raw" / "mine") == before
    assert [path.name for path in (tmp_path / "data" / "raw").iterdir()] == ["mine"]


@pytest.mark.parametrize("prepare", [None, "mkdir", "touch"])
def test_a_path_that_is_missing_empty_or_a_file_is_an_error(tmp_path: Path, prepare: str | None) -> None:
    if prepare:
        getattr(tmp_path / "images", prepare)()
    with pytest.raises(UserError, match="path: images"):
        ingested(tmp_path, kind="folder", path="images")


def test_a_truncated_idx_file_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    folder = write_idx(tmp_path / "images", TRAIN, TEST)
    path = folder / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="cut short"):
        ingested(tmp_path, kind="mnist", path="images")
    assert list((tmp_path / "data" / "raw").iterdir()) == []


def test_the_mirror_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "public" / "mnist", TRAIN, TEST)
    monkeypatch.setenv("GENFLOWS_MIRROR", str(tmp_path / "public"))
    assert ingested(tmp_path, kind="mnist")["source"] == "mnist, four idx files from the mirror"


def test_a_derived_dataset_needs_one_that_is_named_and_ingested(tmp_path: Path) -> None:
    sources = {"digits": {"kind": "mnist-5k"}, "edges": {"kind": "derived", "of": "digits", "drawing": "edges"}}
    with pytest.raises(UserError, match="Run `genflows ingest digits`"):
        ingest(Workspace(tmp_path), params(**sources), "edges")
    sources["edges"]["of"] = "digit"
    with pytest.raises(UserError, match="Did you mean `digits`"):
        ingest(Workspace(tmp_path), params(**sources), "edges")


def test_a_source_that_is_not_known_names_the_nearest() -> None:
    for block, hint in (
        ({"kind": "mnst"}, "Did you mean `mnist`"),
        ({"kind": "fashion"}, "Did you mean `fashion-mnist`"),
        ({}, "Valid: mnist-5k, "),
        ({"kind": "folder"}, "`datasets.x.source.path` is missing"),
        ({"kind": "folder", "path": "x", "labels": True}, "`datasets.x.source.labels` is not a known key"),
        ({"kind": "derived", "of": "x", "drawing": "edge"}, "Did you mean `edges`"),
    ):
        with pytest.raises(UserError, match=hint):
            parse_block(block, "datasets.x.source")
    with pytest.raises(BadParamsError):
        parse_block({"kind": "mnst"}, "datasets.x.source")


def test_every_kind_is_known_to_the_parser() -> None:
    needs: dict[str, dict[str, Any]] = {
        "folder": {"path": "x"}, "derived": {"of": "x", "drawing": "edges"}, "points": {"of": "ring"},
    }  # fmt: skip
    for kind in KINDS:
        assert parse_block({"kind": kind, **needs.get(kind, {})}, "x").kind == kind


@pytest.mark.skipif("GENFLOWS_MIRROR" not in os.environ, reason="needs the mirror of public data")
@pytest.mark.parametrize(
    ("kind", "kept", "official"), [("mnist", 70_000, 10_000), ("cifar10", 20_000, 0)], ids=["mnist", "cifar10"]
)
def test_the_real_files_are_read(tmp_path: Path, kind: str, kept: int, official: int) -> None:
    summary = ingested(tmp_path, kind=kind)
    assert (summary["kept"], summary["official"], summary["duplicates"]) == ({"images": kept}, official, 0)
    assert len(summary["labels"]) == 10
