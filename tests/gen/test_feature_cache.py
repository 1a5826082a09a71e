"""Features that were computed once are found again; what is damaged, or was made otherwise, is computed anew."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gen import config, files
from gen.feature_cache import FEATURES, key, remembered
from gen.features import Extractor
from gen.images import Pixels
from gen.metrics.distribution import Features
from gen.steps.evaluate import evaluate
from gen.steps.judge import judge
from gen.workspace import Workspace
from tests.gen.world import bars, small_extractor

PIXELS = bars(300, seed=5)[0]


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return small_extractor(budget=640)


@pytest.fixture
def blind(extractor: Extractor) -> Extractor:
    """It has the name of the other, and cannot compute a thing: what it gives was found."""
    return replace(extractor, network=torch.nn.Identity())


def entries(folder: Path) -> dict[str, int]:
    """The names of what is kept, and when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("[!.]*")}


def test_what_was_computed_is_found_again(extractor: Extractor, blind: Extractor, tmp_path: Path) -> None:
    first = remembered(extractor, tmp_path)(PIXELS)
    np.testing.assert_array_equal(first, extractor.features(PIXELS))
    np.testing.assert_array_equal(remembered(blind, tmp_path)(PIXELS.copy()), first)
    with pytest.raises(AttributeError):
        remembered(blind, tmp_path)(PIXELS[1:])


@pytest.mark.parametrize("name", [FEATURES, files.MANIFEST])
@pytest.mark.parametrize("damage", [lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:-9]])
def test_a_damaged_entry_is_computed_anew_and_replaced(
    name: str, damage: Callable[[bytes], bytes], extractor: Extractor, tmp_path: Path
) -> None:
    first = remembered(extractor, tmp_path)(PIXELS)
    (entry,) = entries(tmp_path)
    file = tmp_path / entry / name
    file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(remembered(extractor, tmp_path)(PIXELS), first)
    files.verify(tmp_path / entry)
    assert list(entries(tmp_path)) == [entry]


def test_a_key_holds_all_that_features_depend_on(extractor: Extractor) -> None:
    changed = PIXELS.copy()
    changed[17, 3, 4, 0] ^= 1
    threads = torch.get_num_threads()
    keys = [key(extractor, made) for made in (PIXELS, changed, PIXELS.reshape(150, 24, 12, 1))]
    keys.append(key(replace(extractor, digest="0" * 64), PIXELS))
    torch.set_num_threads(threads + 1)
    keys.append(key(extractor, PIXELS))
    torch.set_num_threads(threads)
    assert len(set(keys)) == 5
    assert key(extractor, PIXELS) == keys[0]


def test_what_was_written_first_makes_room(extractor: Extractor, tmp_path: Path) -> None:
    names = []
    for number in range(4):
        remembered(extractor, tmp_path, most=45_000)(PIXELS[number:])
        names.append(next(name for name in entries(tmp_path) if name not in names))
    assert set(entries(tmp_path)) == set(names[2:]), "two of some 19,000 bytes each"


def test_what_a_dead_process_left_goes_and_a_full_disk_is_no_error(extractor: Extractor, tmp_path: Path) -> None:
    (tmp_path / f".{'a' * 64}.1.partial").mkdir()
    remembered(extractor, tmp_path)(PIXELS)
    assert not list(tmp_path.glob(".*.partial"))
    (tmp_path / "file").touch()
    found = remembered(extractor, tmp_path / "file")(PIXELS)
    np.testing.assert_array_equal(found, extractor.features(PIXELS))


def test_many_at_once_find_or_make_the_same(extractor: Extractor, tmp_path: Path) -> None:
    look: Callable[[Pixels], Features] = remembered(extractor, tmp_path, most=25_000)
    wanted = [PIXELS[number % 2 :] for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        for found, pixels in zip(pool.map(look, wanted), wanted, strict=True):
            assert len(found) == len(pixels)
    assert len(entries(tmp_path)) == 1


def test_the_judge_computes_no_features_of_what_was_measured(copied: Workspace) -> None:
    params = config.load(copied.params_file)
    before = {model: files.contents(copied.evaluate(model)) for model in ("gan", "vae")}
    for model in ("gan", "vae"):
        evaluate(copied, params, model, files.read_json(copied.evaluate(model) / "run.json")["code"])
    kept = entries(copied.feature_cache)
    assert len(kept) >= 2
    assert {model: files.contents(copied.evaluate(model)) for model in ("gan", "vae")} == before
    assert judge(copied, params, "digits", "sample").decision == "promote"
    assert entries(copied.feature_cache) == kept
    # The same bytes come of features that were found.
    evaluate(copied, params, "gan", files.read_json(copied.evaluate("gan") / "run.json")["code"])
    assert files.contents(copied.evaluate("gan")) == before["gan"]
    assert entries(copied.feature_cache) == kept
