from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen import files, snapshot
from gen.errors import UserError
from gen.snapshot import PAIRS, Picture, Snapshot, Tally, changes, label_names, pixel_digest, read_index, resized
from tests.gen.raw_images import noise

IMAGES = noise(12)


def written(folder: Path, pictures: list[Picture]) -> Tally:
    folder.mkdir(parents=True, exist_ok=True)
    tally = snapshot.write(folder, iter(pictures))
    files.write_json(folder / "summary.json", {"domains": list(tally.kept)})
    files.write_manifest(folder)
    return tally


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(range(len(IMAGES))), twice=st.sets(st.integers(0, len(IMAGES) - 1)))
def test_neither_order_nor_copies_change_a_byte(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], twice: set[int]
) -> None:
    base = tmp_path_factory.mktemp("snapshot")
    pictures = [Picture(image, label=str(number % 3)) for number, image in enumerate(IMAGES)]
    written(base / "plain", pictures)
    tally = written(base / "mixed", [pictures[number] for number in [*order, *twice]])
    assert files.contents(base / "plain") == files.contents(base / "mixed")
    assert tally.duplicates == len(twice)
    assert tally.conflicts == 0


def test_images_of_any_size_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "SHARD_BYTES", 1000)
    images = [noise(1, size, channels, seed=size)[0] for size in (8, 11, 20, 40) for channels in (1, 3)]
    written(tmp_path, [Picture(image) for image in images])
    opened = Snapshot(tmp_path)
    assert len(list(tmp_path.glob("pixels-*.bin"))) > 4
    assert not (tmp_path / "spool").exists()
    found = {sha256: opened.pixels(row) for row, sha256 in enumerate(opened.index["sha256"])}
    assert list(found) == sorted(pixel_digest(image) for image in images)
    for image in images:
        assert (found[pixel_digest(image)] == image).all()


def test_colour_without_colour_is_grey(tmp_path: Path) -> None:
    tally = written(tmp_path, [Picture(IMAGES[0]), Picture(np.repeat(IMAGES[0], 3, axis=2))])
    assert (tally.kept, tally.duplicates) == ({"images": 1}, 1)


def test_of_copies_the_official_flag_and_the_first_label_are_kept(tmp_path: Path) -> None:
    copies = [Picture(IMAGES[0], label="cat", official=True), Picture(IMAGES[0], label="ant"), Picture(IMAGES[0])]
    for number, pictures in enumerate((copies, copies[::-1])):
        tally = written(tmp_path / str(number), pictures)
        row = read_index(tmp_path / str(number) / "index.csv").iloc[0]
        assert (row["label"], row["official"], tally.duplicates) == ("ant", 1, 2)
        assert tally.conflicts > 0


def test_a_pair_whose_drawing_was_a_copy_goes_with_it(tmp_path: Path) -> None:
    digests = [pixel_digest(image) for image in IMAGES[:2]]
    pictures = [
        picture
        for digest, image in zip(digests, IMAGES[:2], strict=True)
        for picture in (Picture(IMAGES[5], domain="a", group=digest), Picture(image, domain=PAIRS, group=digest))
    ]
    written(tmp_path, pictures)
    index = read_index(tmp_path / "index.csv")
    assert list(index["domain"]) == ["a", PAIRS]
    assert index["group"][0] == index["sha256"][1] == min(digests)


def test_huge_images_are_reduced_once_but_known_by_their_own_pixels(tmp_path: Path) -> None:
    image = noise(1, 1100, seed=3)[0][:1030]
    written(tmp_path, [Picture(image)])
    opened = Snapshot(tmp_path)
    assert opened.pixels(0).shape == (512, round(1100 * 512 / 1030), 1)
    assert opened.index["sha256"][0] == pixel_digest(image)


def test_a_digest_knows_the_shape() -> None:
    assert pixel_digest(np.zeros((4, 9, 1), np.uint8)) != pixel_digest(np.zeros((6, 6, 1), np.uint8))
    assert pixel_digest(IMAGES[0]) == pixel_digest(np.asfortranarray(IMAGES[0]))


def test_resizing_keeps_a_flat_image_flat_and_the_same_size_untouched() -> None:
    assert (resized(np.full((40, 30, 3), 99, np.uint8), 8, 8) == 99).all()
    assert (resized(IMAGES[0], 12, 12) == IMAGES[0]).all()


def test_labels_are_ordered_by_value_then_alphabet(tmp_path: Path) -> None:
    names = ["10", "9", "b", "a", "0"]
    written(tmp_path, [Picture(image, label=name) for image, name in zip(IMAGES, names, strict=False)])
    assert label_names(read_index(tmp_path / "index.csv")) == ["0", "9", "10", "a", "b"]


def test_labels_that_look_like_nothing_stay_names(tmp_path: Path) -> None:
    written(tmp_path, [Picture(IMAGES[0], label="nan"), Picture(IMAGES[1], label="NULL"), Picture(IMAGES[2])])
    assert label_names(read_index(tmp_path / "index.csv")) == ["NULL", "nan"]


def test_changes_are_counted_by_domain(tmp_path: Path) -> None:
    old = [Picture(IMAGES[0], label="x"), Picture(IMAGES[1], label="x"), Picture(IMAGES[2], domain="b")]
    new = [Picture(IMAGES[0], label="y"), Picture(IMAGES[3]), Picture(IMAGES[4]), Picture(IMAGES[2], domain="b")]
    written(tmp_path / "old", old)
    written(tmp_path / "new", new)
    indexes = [read_index(tmp_path / name / "index.csv") for name in ("old", "new")]
    assert changes(*indexes) == {
        "images": {"added": 2, "removed": 1, "relabelled": 1},
        "b": {"added": 0, "removed": 0, "relabelled": 0},
    }


def test_a_flipped_bit_or_a_missing_snapshot_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Run `genflows ingest digits`"):
        Snapshot(tmp_path / "digits")
    written(tmp_path / "digits", [Picture(image) for image in IMAGES])
    shard = tmp_path / "digits" / "pixels-00000.bin"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(UserError, match="was changed"):
        Snapshot(tmp_path / "digits")
