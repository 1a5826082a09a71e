"""Folder to folder: whatever is in it, whenever it is stopped."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from flows.folders import Conversion, convert_folder
from gen import files
from gen.errors import BadParamsError, BusyError, UserError
from gen.images import Pixels, write_png

MADE_BY = {"what": "inverted", "by": "nobody", "digest": "0" * 64}
CHILD = """
import sys, time
from pathlib import Path
from flows import folders
from tests.flows.test_folders import MADE_BY, invert
def slowly(pixels):
    time.sleep(0.02)
    return invert(pixels)
folders.convert_folder(Path(sys.argv[1]), Path(sys.argv[2]), folders.Conversion((1, 8, 8), slowly, MADE_BY))
"""


def invert(pixels: Pixels) -> Pixels:
    return 255 - pixels


def conversion(made_by: dict[str, str] = MADE_BY) -> tuple[Conversion, list[str]]:
    """One that inverts images, and what it says."""
    said: list[str] = []
    return Conversion((1, 8, 8), invert, made_by, said.append), said


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty images in three folders."""
    folder = tmp_path / "in"
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 1), np.uint8)
        write_png(folder / ["", "deep", "deep/deeper"][number % 3] / f"{number}.png", pixels)
    return folder


def shown_in(folder: Path) -> dict[str, bytes]:
    """Every file that is not hidden."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_every_image_keeps_its_place_and_what_is_none_is_named(source: Path, tmp_path: Path) -> None:
    (source / "deep" / "notes.txt").write_text("no image")
    (source / ".hidden").write_text("not looked at")
    (source / os.fsdecode(b"\xff.png")).write_bytes(b"")
    (source / "round").symlink_to(source, target_is_directory=True)
    todo, said = conversion()
    tally = convert_folder(source, tmp_path / "out", todo)
    assert (tally.made, tally.kept, tally.unusable) == (40, 0, 2)
    assert sorted(shown_in(tmp_path / "out")) == sorted(
        f"{folder}{number}.png" for number in range(40) for folder in [["", "deep/", "deep/deeper/"][number % 3]]
    )
    assert ["notes.txt" in line or "\\xff" in line for line in said] == [True, True]
    assert all("no image" in line for line in said)


def test_what_is_there_is_not_made_again_but_for_what_changed(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    todo, _ = conversion()
    convert_folder(source, out, todo)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    (out / "deep" / "1.png").unlink()
    later = (out / "0.png").stat().st_mtime_ns + 1
    os.utime(source / "0.png", ns=(later, later))
    tally = convert_folder(source, out, todo)
    assert (tally.made, tally.kept) == (2, 38)
    assert {path for path, when in before.items() if path.stat().st_mtime_ns != when} == {
        out / "0.png",
        out / "deep" / "1.png",
    }


def test_a_killed_run_ends_with_the_bytes_of_one_that_was_not(source: Path, tmp_path: Path) -> None:
    todo, _ = conversion()
    convert_folder(source, tmp_path / "whole", todo)
    out = tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-c", CHILD, source, out])
    try:
        while not shown_in(out) and child.poll() is None:
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
    there = shown_in(out)
    assert 0 < len(there) < 40
    assert there.items() <= shown_in(tmp_path / "whole").items(), "none is half-written"
    (out / "deep").mkdir(exist_ok=True)
    (out / "deep" / ".1.png.77.partial").write_bytes(b"half")  # where a kill may strike too
    tally = convert_folder(source, out, todo)
    assert tally.kept == len(there)
    assert shown_in(out) == shown_in(tmp_path / "whole")
    assert not list(out.rglob("*.partial"))


def test_a_folder_inside_the_other_is_not_converted_again(source: Path) -> None:
    todo, _ = conversion()
    for kept in (0, 40):
        tally = convert_folder(source, source / "out", todo)
        assert (tally.made, tally.kept) == (40 - kept, kept)


def test_nothing_is_made_where_it_would_harm(source: Path, tmp_path: Path) -> None:
    todo, _ = conversion()
    with pytest.raises(BadParamsError, match="folder of the originals"):
        convert_folder(source, source / "deep" / "..", todo)
    before, out = shown_in(source), tmp_path / "out"
    write_png(out / "0.png", np.zeros((8, 8, 1), np.uint8))
    with pytest.raises(UserError, match="is not empty"):
        convert_folder(source, out, todo)
    assert len(shown_in(out)) == 1
    convert_folder(source, tmp_path / "mine", todo)
    other, _ = conversion({**MADE_BY, "digest": "1" * 64})
    with pytest.raises(UserError, match="what another model"):
        convert_folder(source, tmp_path / "mine", other)
    with files.lock(tmp_path / "mine" / ".lock"), pytest.raises(BusyError):
        convert_folder(source, tmp_path / "mine", todo)
    assert shown_in(source) == before


@pytest.mark.parametrize("name", ["0.jpg", "deep/1.bmp"])
def test_two_files_never_become_one(source: Path, tmp_path: Path, name: str) -> None:
    (source / name).write_bytes(b"")
    todo, _ = conversion()
    with pytest.raises(BadParamsError, match="would both become one file"):
        convert_folder(source, tmp_path / "out", todo)
    assert not (tmp_path / "out").exists()


def test_an_image_and_a_folder_never_become_one(source: Path, tmp_path: Path) -> None:
    (source / "deep").rename(source / "0.png.d")
    (source / "0.png").rename(source / "0.jpg")
    (source / "0.png.d").rename(source / "0.png")
    todo, _ = conversion()
    with pytest.raises(BadParamsError, match="would both become one file"):
        convert_folder(source, tmp_path / "out", todo)
