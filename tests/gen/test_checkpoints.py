"""Checkpoints: what is read back is what was written, and no damage goes unnoticed."""

import random
from pathlib import Path

import pytest
import torch

from gen.checkpoints import KEPT, Checkpoints

TENSORS = {
    "weights": torch.arange(600, dtype=torch.float32).reshape(2, 3, 10, 10).to(memory_format=torch.channels_last),
    "seen": torch.tensor(7),
    "randomness": torch.Generator().manual_seed(3).get_state(),
}
FACTS = {"journal": 1200, "sums": {"loss": 0.1 + 0.2}}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def checkpoints(tmp_path: Path, said: list[str]) -> Checkpoints:
    return Checkpoints(tmp_path / "model-0123", said.append)


def save(checkpoints: Checkpoints, *images: int, milestone: bool = True) -> None:
    for number in images:
        checkpoints.save(number, TENSORS, FACTS | {"images": number}, milestone=milestone)


def names(checkpoints: Checkpoints) -> list[str]:
    return sorted(folder.name.lstrip("0") for folder in checkpoints.folder.iterdir())


def test_what_is_read_is_what_was_written(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None
    save(checkpoints, 10)
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.facts == FACTS | {"images": 10}
    assert newest.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(newest.tensors[name], tensor) for name, tensor in TENSORS.items())


def test_the_two_newest_of_each_kind_are_kept(checkpoints: Checkpoints) -> None:
    save(checkpoints, 10, 20, 30)
    save(checkpoints, 31, 32, 33, milestone=False)
    assert names(checkpoints) == ["20", "30", "32-between", "33-between"]
    save(checkpoints, 40)
    assert names(checkpoints) == ["30", "33-between", "40"]
    assert KEPT == 2


def test_to_go_back_is_to_a_milestone_and_forgets_what_came_after(checkpoints: Checkpoints) -> None:
    save(checkpoints, 10, 20)
    save(checkpoints, 21, 22, milestone=False)
    milestone, newest = checkpoints.newest(milestone=True), checkpoints.newest()
    assert milestone is not None
    assert newest is not None
    assert (milestone.facts["images"], newest.facts["images"]) == (20, 22)
    checkpoints.forget_after(20)
    assert names(checkpoints) == ["10", "20"]


def _flip(path: Path, place: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[place.randrange(len(data))] ^= 1 << place.randrange(8)
    path.write_bytes(data)


def _truncate(path: Path, place: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: place.randrange(len(data))])


@pytest.mark.parametrize(("damage", "times"), [(_flip, 300), (_truncate, 50)])
def test_no_damage_goes_unnoticed(checkpoints: Checkpoints, said: list[str], damage, times: int) -> None:  # type: ignore[no-untyped-def]
    save(checkpoints, 10, 20)
    place = random.Random(0)  # noqa: S311
    for number in range(times):
        path = place.choice(sorted((checkpoints.folder / f"{20:012d}").iterdir()))
        whole = path.read_bytes()
        damage(path, place)
        newest = checkpoints.newest()
        assert newest is not None
        assert newest.facts["images"] == 10, f"damage {number} to {path.name} went unnoticed"
        assert len(said) == number + 1
        assert "A checkpoint is damaged, so the one before it is used." in said[-1]
        path.write_bytes(whole)
    assert checkpoints.newest().facts["images"] == 20  # type: ignore[union-attr]


def test_when_all_are_damaged_there_is_none(checkpoints: Checkpoints, said: list[str]) -> None:
    save(checkpoints, 10, 20)
    for path in checkpoints.folder.glob("*/tensors.safetensors"):
        path.unlink()
    assert checkpoints.newest() is None
    assert len(said) == 2
