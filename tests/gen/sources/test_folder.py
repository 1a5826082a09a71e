import os
from pathlib import Path

import pytest

from gen.errors import UserError
from gen.snapshot import Picture
from gen.sources import decoding, folder
from gen.sources.base import Rejected
from gen.sources.folder import FolderSource
from tests.gen.raw_images import labels_of, noise, places, save, write_folder

IMAGE = noise(1)[0]


def items(root: Path) -> list[Picture | Rejected]:
    return list(FolderSource(kind="folder", path="mine").open(places(root)).items)


def labels(root: Path) -> list[str]:
    return [item.label for item in items(root) if isinstance(item, Picture)]


def rejected(root: Path) -> dict[str, str]:
    return {item.name: item.reason for item in items(root) if isinstance(item, Rejected)}


def test_sub_folders_are_labels_and_what_lies_deeper_belongs_to_them(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", noise(4), labels_of(4))
    save(tmp_path / "mine" / "3" / "deeper" / "x.png", IMAGE)
    save(tmp_path / "mine" / "beside.png", IMAGE)
    assert labels(tmp_path) == ["0", "1", "2", "3", "3"]
    assert rejected(tmp_path) == {"beside.png": folder.NO_LABEL}


def test_one_sub_folder_or_none_is_no_labelling(tmp_path: Path) -> None:
    save(tmp_path / "mine" / "photos" / "x.png", IMAGE)
    assert labels(tmp_path) == [""]
    save(tmp_path / "mine" / "y.png", IMAGE)
    assert labels(tmp_path) == ["", ""]


def test_two_domains_with_their_test_sets(tmp_path: Path) -> None:
    for name in folder.DOMAINS:
        save(tmp_path / "mine" / name / "x.png", IMAGE)
    save(tmp_path / "mine" / "extra" / "x.png", IMAGE)
    found = [(item.domain, item.official) for item in items(tmp_path) if isinstance(item, Picture)]
    assert sorted(found) == [("a", False), ("a", True), ("b", False), ("b", True)]
    assert rejected(tmp_path) == {"extra": folder.NO_DOMAIN}


def test_one_domain_of_two_is_an_error(tmp_path: Path) -> None:
    save(tmp_path / "mine" / "trainA" / "x.png", IMAGE)
    with pytest.raises(UserError, match="only one of trainA and trainB"):
        items(tmp_path)


def test_hidden_files_are_passed_over_and_others_counted(tmp_path: Path) -> None:
    save(tmp_path / "mine" / "x.png", IMAGE)
    (tmp_path / "mine" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "mine" / "notes.txt").write_text("x")
    (tmp_path / "mine" / "cut.png").write_bytes((tmp_path / "mine" / "x.png").read_bytes()[:-30])
    assert labels(tmp_path) == [""]
    assert rejected(tmp_path) == {"notes.txt": decoding.NO_IMAGE, "cut.png": decoding.DAMAGED}


def test_links_are_not_followed_out_of_the_folder_nor_in_circles(tmp_path: Path) -> None:
    save(tmp_path / "secret" / "x.png", IMAGE)
    inside = save(tmp_path / "mine" / "x.png", IMAGE)
    (tmp_path / "mine" / "out.png").symlink_to(tmp_path / "secret" / "x.png")
    (tmp_path / "mine" / "outer").symlink_to(tmp_path / "secret", target_is_directory=True)
    (tmp_path / "mine" / "round").symlink_to(tmp_path / "mine", target_is_directory=True)
    (tmp_path / "mine" / "same.png").symlink_to(inside)
    (tmp_path / "mine" / "broken.png").symlink_to(tmp_path / "mine" / "nothing")
    names = rejected(tmp_path)
    assert {name for name, why in names.items() if why == folder.LINK} == {"out.png", "outer", "round"}
    assert names["broken.png"] == decoding.DAMAGED
    assert labels(tmp_path) == ["", ""]


def test_a_name_of_any_bytes_is_told_as_text(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / os.fsdecode(b"b\xffd\n.txt")).write_text("x")
    assert list(rejected(tmp_path)) == ["b\\xffd\n.txt"]


def test_a_folder_that_is_missing_a_file_or_empty_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; check the path"):
        items(tmp_path)
    (tmp_path / "mine").write_bytes(b"zip")
    with pytest.raises(UserError, match="is a file; unpack it"):
        items(tmp_path)
    (tmp_path / "mine").unlink()
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="is empty"):
        items(tmp_path)
