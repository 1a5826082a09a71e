"""Images on disk are what they are in memory, however they are read."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from gen import files, shards
from gen.batches import Batches, opened
from gen.datasets import COPIES
from gen.errors import UserError
from gen.images import Pixels, to_float
from gen.parallel import ALONE, Team
from gen.shards import Shards, write_shards
from gen.workspace import Workspace
from tests import elsewhere
from tests.gen import test_resume


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


@pytest.fixture
def address(stored: Shards, tmp_path: Path) -> Iterator[str]:
    """A copy of the shards in fsspec's own file system in memory."""
    assert len(stored) == 50
    system = fsspec.filesystem("memory")
    system.put(f"{tmp_path}/", "/bucket/shards", recursive=True)
    yield "memory://bucket/shards"
    system.rm("/bucket", recursive=True)


def test_images_at_an_address_are_those_on_disk(pixels: Pixels, stored: Shards, address: str) -> None:
    away = Shards(address)
    assert (away.shape, away.dtype, away.bytes) == (stored.shape, stored.dtype, stored.bytes)
    np.testing.assert_array_equal(away[3:40], pixels[3:40])
    np.testing.assert_array_equal(away.at(np.array([49, 0, 16, 0])), pixels[[49, 0, 16, 0]])
    near, far = (Batches([each], 8, seed=3, readers=2) for each in (stored, away))
    for images in (0, 8, 48, 400):
        assert (near.at(images)[0] == far.at(images)[0]).all()


@pytest.mark.parametrize("kind", ["file", pytest.param("s3", marks=pytest.mark.long)])
def test_a_training_reads_a_copy_at_an_address(kind: str, tmp_path: Path) -> None:
    near, far = (test_resume.workspace(tmp_path / name) for name in ("near", "far"))
    for made in (near, far):
        made.root.joinpath("dvc.yaml").touch()
    with bucket(kind, tmp_path) as store:
        store.system.put(f"{far.prepared('digits')}/", f"{store.root}/digits", recursive=True)
        for shard in far.prepared("digits").rglob("0*.npy"):
            shard.unlink()
        address = {COPIES: store.url, **store.environment}
        assert trained(near) == trained(far, **address) == ""
        assert files.contents(far.train("vae")) == files.contents(near.train("vae"))
        manifest = f"{store.root}/digits/manifest.json"
        for content in (b"{}", store.system.cat_file(manifest) + b"more"):
            store.system.pipe_file(manifest, content)
            assert "/digits is no copy of" in trained(far, **address)


@contextmanager
def bucket(kind: str, folder: Path) -> Iterator[elsewhere.Store]:
    if kind == "file":
        yield elsewhere.Store(f"file://{folder}/bucket", fsspec.filesystem("file"), f"{folder}/bucket")
        return
    if lacking := elsewhere.missing(kind):
        pytest.skip(lacking)
    with elsewhere.store(kind, folder) as store:
        yield store


def trained(made: Workspace, **environment: str) -> str:
    """What was wrong with it."""
    command = [sys.executable, "-m", "gen", "train", "vae"]
    done = subprocess.run(command, cwd=made.root, env=os.environ | environment, text=True, capture_output=True)
    return done.stderr


def test_who_does_not_answer_is_told() -> None:
    with pytest.raises(
        UserError, match=r"http://127.0.0.1:9/x could not be read \(Client\w+Error: .*\). Check the address"
    ):
        Shards("http://127.0.0.1:9/x")


def test_what_is_at_no_address_is_told(address: str) -> None:
    with pytest.raises(UserError, match=r"memory://bucket/nothing holds no images"):
        Shards("memory://bucket/nothing")
    with pytest.raises(UserError, match=r"carrier-pigeon://x cannot be read from here"):
        Shards("carrier-pigeon://x")
    system = fsspec.filesystem("memory")
    system.pipe("/bucket/shards/00001.npy", system.cat("/bucket/shards/00001.npy")[:-40])
    with pytest.raises(UserError, match=r"00001.npy is shorter than it says"):
        Shards(address).at(np.array([31]))
