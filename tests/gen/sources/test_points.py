"""Points, drawn or from a table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gen import files, patterns
from gen.errors import TooFewImagesError, UserError
from gen.snapshot import Snapshot
from gen.steps.ingest import ingest
from gen.workspace import Workspace
from tests.gen.raw_images import params


def ingested(root: Path, **source: Any) -> dict[str, Any]:
    """Ingest one source of points as dataset `mine`."""
    settings = params(mine={"kind": "points", **source}, size=1, channels=2)
    return ingest(Workspace(root), settings, "mine", lambda _: None)


def canonical(root: Path) -> dict[str, bytes]:
    folder = root / "data" / "raw" / "mine"
    return {name: (folder / name).read_bytes() for name in ("index.csv", "pixels-00000.bin")}


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_table_of_the_same_points_is_the_same_snapshot(tmp_path: Path) -> None:
    summary = ingested(tmp_path / "drawn", of="ring", count=200)
    assert (summary["kept"], summary["distribution"]) == ({"images": 200}, "ring")
    rows = [f"{x!r},{y!r}" for x, y in patterns.draw("ring", 200)[::-1].tolist()]
    (tmp_path / "read").mkdir()
    table(tmp_path / "read" / "points.csv", "x,y", *rows)
    summary = ingested(tmp_path / "read", path="points.csv")
    assert canonical(tmp_path / "read") == canonical(tmp_path / "drawn")
    assert "distribution" not in summary


def test_a_snapshot_gives_back_every_point(tmp_path: Path) -> None:
    ingested(tmp_path, of="moons", count=100)
    snapshot = Snapshot(tmp_path / "data" / "raw" / "mine")
    found = np.stack([snapshot.pixels(row)[0, 0] for row in range(100)])
    wanted = patterns.draw("moons", 100).astype(np.float32)
    assert found.dtype == np.float32
    assert {tuple(point) for point in found.tolist()} == {tuple(point) for point in wanted.tolist()}


def test_rows_that_are_no_points_are_left_out_and_counted(tmp_path: Path) -> None:
    good = [f"{number}, {number / 7:.6f}" for number in range(70)]
    table(tmp_path / "points.csv", *good[:5], "1,2,3", "", "4", "a,5", "nan,1", "1e300,0", "-0,0", *good[5:])
    summary = ingested(tmp_path, path="points.csv")
    assert summary["kept"] == {"images": 70}
    # -0,0 is 0,0, which is there already.
    assert summary["duplicates"] == 1
    assert summary["quarantined"] == {
        "not two columns": 2, "no number": 1, "a number that float32 cannot hold": 2,
    }  # fmt: skip
    assert "line 6,not two columns,3" in (tmp_path / "data" / "raw" / "mine" / "quarantine.csv").read_text()
    files.verify(tmp_path / "data" / "raw" / "mine")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "of: ring"),
        ({"of": "ring", "path": "points.csv"}, "either drawn"),
        ({"path": "points.csv", "count": 100}, "remove it"),
        ({"of": "rign"}, "Did you mean `ring`"),
        ({"path": "other.csv"}, "no file"),
        ({"path": "picture.png"}, "UTF-8"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, source: dict[str, Any], message: str) -> None:
    table(tmp_path / "points.csv", "1,2")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(UserError, match=message):
        ingested(tmp_path, **source)


def test_a_table_of_other_columns_is_too_few_points(tmp_path: Path) -> None:
    table(tmp_path / "points.csv", "x,y,z", *["1,2,3"] * 70)
    with pytest.raises(TooFewImagesError, match="70 not two columns"):
        ingested(tmp_path, path="points.csv")
