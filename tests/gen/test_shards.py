"""Images on disk are what they are in memory, however they are read."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gen import shards
from gen.batches import Batches, opened
from gen.errors import UserError
from gen.images import Pixels, to_float
from gen.parallel import ALONE, Team
from gen.shards import Shards, write_shards


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)


@pytest.fixture
def stored(pixels: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shards:
    monkeypatch.setattr(shards, "SHARD_IMAGES", 16)
    write_shards(tmp_path, pixels)
    return Shards(tmp_path)


def test_what_is_read_is_what_was_written(pixels: Pixels, stored: Shards) -> None:
    assert stored.shape == pixels.shape
    assert len(stored) == 50
    assert stored.bytes == pixels.nbytes
    for rows in (slice(None), slice(3, 40), slice(16, 32), slice(45, 99), slice(7, 7), slice(-5, None)):
        np.testing.assert_array_equal(stored[rows], pixels[rows])
    indices = np.array([49, 0, 16, 15, 0, 33])
    np.testing.assert_array_equal(stored.at(indices), pixels[indices])
    assert [len(block) for block in stored.blocks()] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate(list(stored.blocks())), pixels)


def test_a_shard_that_is_cut_short_is_told(stored: Shards, tmp_path: Path) -> None:
    path = tmp_path / "00001.npy"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="shorter than it says"):
        stored.at(np.array([31]))


@pytest.mark.parametrize("readers", [0, 2, 4])
def test_batches_are_the_same_from_memory_and_from_disk(pixels: Pixels, stored: Shards, readers: int) -> None:
    """Also over the end of a pass, after a jump as a resumed training makes, and back."""
    memory, disk = Batches([pixels], 8, seed=3), Batches([stored], 8, seed=3, readers=readers)
    for images in (0, 8, 16, 24, 32, 40, 48, 400, 408, 8, 16):
        assert (memory.at(images)[0] == disk.at(images)[0]).all()


def test_the_parts_of_a_team_are_the_batch(pixels: Pixels) -> None:
    whole = Batches([pixels, pixels[:20]], 8, seed=3)
    parts = [Batches([pixels, pixels[:20]], 8, seed=3, team=Team(rank, 4)) for rank in range(4)]
    for images in (0, 8, 48):
        for domain in range(2):
            pieces = [part.at(images)[domain] for part in parts]
            assert [len(piece) for piece in pieces] == [2, 2, 2, 2]
            assert (np.concatenate(pieces) == whole.at(images)[domain].numpy()).all()


@pytest.mark.parametrize("size", [1, 4])
def test_a_step_of_several_updates_takes_batches_one_after_another(size: int, pixels: Pixels, stored: Shards) -> None:
    whole = Batches([pixels], 8, seed=3)
    several = [Batches([stored], 8, seed=3, team=Team(rank, size), updates=3) for rank in range(size)]
    for images in (0, 24, 48):
        parts = [each.at(images)[0].chunk(3) for each in several]
        for number in range(3):
            expected = whole.at(images + 8 * number)[0].numpy()
            assert (np.concatenate([part[number] for part in parts]) == expected).all()


@pytest.mark.parametrize("size", [1, 4])
def test_every_image_comes_with_its_own_label(size: int, pixels: Pixels, stored: Shards) -> None:
    """In each part of a team, of several updates a step, over the end of a pass, from memory and from disk."""
    labels = np.arange(50)
    for images in ([pixels], [stored]):
        for rank in range(size):
            batches = Batches(images, 8, seed=3, team=Team(rank, size), updates=3, labels=labels)
            for seen in (0, 24, 48, 400):
                shown, theirs = batches.at(seen)
                assert len(shown) == len(theirs) == 24 // size
                assert (shown == to_float(torch.from_numpy(pixels[theirs]))).all()


def test_what_fits_into_memory_is_read_once(stored: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(opened([stored], ALONE)[0], np.ndarray)
    monkeypatch.setattr("gen.batches.SHARE", 10**12)
    assert opened([stored], ALONE) == [stored]
