import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from gen.errors import UserError
from gen.snapshot import Picture
from gen.sources.cifar import ARCHIVE, CifarSource
from tests.gen.raw_images import cifar, noise, places

TRAIN, TEST = noise(5, 32, 3), noise(2, 32, 3, seed=1)


def pictures(root: Path) -> list[Picture]:
    stream = CifarSource(kind="cifar10", path="mine").open(places(root))
    return [item for item in stream.items if isinstance(item, Picture)]


def archive(path: Path, members: list[tuple[str, bytes]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as file:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))


def test_batches_are_read_packed_or_not_and_missing_ones_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "data_batch_3.bin.gz").write_bytes(gzip.compress(cifar(TRAIN)))
    (folder / "test_batch.bin").write_bytes(cifar(TEST))
    found = pictures(tmp_path)
    assert [(picture.label, picture.official) for picture in found[:2]] == [("airplane", False), ("automobile", False)]
    assert [picture.official for picture in found] == [False] * 5 + [True] * 2
    assert (np.stack([picture.pixels for picture in found]) == np.concatenate([TRAIN, TEST])).all()
    description = CifarSource(kind="cifar10", path="mine").open(places(tmp_path)).description
    assert "data_batch_3.bin, test_batch.bin from" in description
    assert "data_batch_1.bin, data_batch_2.bin, data_batch_4.bin, data_batch_5.bin missing" in description


def test_the_archive_is_read_without_unpacking_and_nothing_in_it_escapes(tmp_path: Path) -> None:
    members = [
        ("../../escaped.bin", b"x"),
        ("cifar-10-batches-bin/readme.html", b"x"),
        ("cifar-10-batches-bin/data_batch_1.bin", cifar(TRAIN)),
        ("/test_batch.bin", cifar(TEST)),
    ]
    archive(tmp_path / "mine" / ARCHIVE, members)
    assert [picture.official for picture in pictures(tmp_path)] == [False] * 5 + [True] * 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == [ARCHIVE, "mine"]


@pytest.mark.parametrize(
    ("data", "why"),
    [(cifar(TRAIN)[:-1], "no multiple of 3073"), (b"\x0a" + cifar(TRAIN)[1:], "label 10"), (b"1234", "no multiple")],
)
def test_a_damaged_batch_is_an_error(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data_batch_1.bin").write_bytes(data)
    with pytest.raises(UserError, match=why):
        pictures(tmp_path)


def test_a_damaged_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mine" / ARCHIVE
    archive(path, [("cifar-10-batches-bin/data_batch_1.bin", cifar(TRAIN))])
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match="cannot be unpacked"):
        pictures(tmp_path)
    archive(path, [(f"{number}", b"") for number in range(200)])
    with pytest.raises(UserError, match="more than 100 members"):
        pictures(tmp_path)
