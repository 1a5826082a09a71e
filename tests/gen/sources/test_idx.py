import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gen.errors import UserError
from gen.snapshot import Picture
from gen.sources.idx import IdxSource, read_idx
from tests.gen.raw_images import idx, noise, places, write_idx


@settings(deadline=None)
@given(
    array=npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6)), packed=st.booleans()
)
def test_what_is_written_as_idx_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / f"array{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    read = read_idx(path, array.ndim)
    assert read.shape == array.shape
    assert (read == array).all()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "does not begin"),
        (b"\x89PNG\r\n\x1a\n and so on", "does not begin"),
        (bytes([0, 0, 8, 1, 0, 0]), "does not begin"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0]), "does not begin"),
        (idx(np.zeros(9, np.uint8))[:-1], "cut short after 8 bytes"),
        (idx(np.zeros(9, np.uint8)) + b"x", "longer"),
        (bytes([0, 0, 8, 1, 255, 255, 255, 255]), "declares 4294967295"),
    ],
)
def test_a_damaged_idx_file_is_an_error_that_says_how(tmp_path: Path, data: bytes, why: str) -> None:
    for name, content in (("plain", data), ("packed.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=why):
            read_idx(tmp_path / name, 1)


def test_a_gzip_cut_short_or_wrong_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    whole = gzip.compress(idx(noise(1, 40)[0, :, :, 0].reshape(-1)))
    for data in (whole[:-20], b"no gzip at all", whole[:60] + b"damage" + whole[66:]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="cannot be unpacked"):
            read_idx(path, 1)


def test_images_come_with_names_of_labels_and_the_official_test_set(tmp_path: Path) -> None:
    train, test = noise(12), noise(3, seed=1)
    write_idx(tmp_path / "mine", train, test)
    stream = IdxSource(kind="fashion-mnist", path="mine").open(places(tmp_path))
    pictures = [item for item in stream.items if isinstance(item, Picture)]
    assert [picture.official for picture in pictures] == [False] * 12 + [True] * 3
    assert [picture.label for picture in pictures[:3]] == ["T-shirt", "Trouser", "Pullover"]
    assert (np.stack([picture.pixels for picture in pictures[:12]]) == train).all()


def test_labels_that_do_not_match_are_an_error(tmp_path: Path) -> None:
    source = IdxSource(kind="mnist", path="mine")
    folder = write_idx(tmp_path / "mine", noise(12), noise(3))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(11, np.uint8)))
    with pytest.raises(UserError, match="11 labels, but .* 12 images"):
        list(source.open(places(tmp_path)).items)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.full(12, 10, np.uint8)))
    with pytest.raises(UserError, match="label 10, but there are 10 classes"):
        list(source.open(places(tmp_path)).items)
