"""One pass over real images finds what all of them at once would show."""

from pathlib import Path

import numpy as np
import pytest

from gen import survey as module
from gen.metrics.frechet import fit
from gen.shards import Shards, write_shards
from gen.survey import survey
from tests.gen.world import bars, small_extractor


@pytest.mark.parametrize("block", [256, 512, 4096])
def test_blocks_find_what_the_whole_shows(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    extractor, pixels = small_extractor(budget=640), bars(1100, seed=3)[0]
    write_shards(tmp_path, pixels)
    every = extractor.features(pixels)
    rows = np.random.default_rng(0).choice(1100, 700, replace=False)
    found = survey(extractor, Shards(tmp_path), rows)
    assert found.count == 1100
    assert found.shares == extractor.shares(every)
    np.testing.assert_array_equal(found.at(rows), every[rows])
    np.testing.assert_allclose(found.gaussian.mean, fit(every).mean, rtol=1e-12)
    np.testing.assert_allclose(found.gaussian.covariance, fit(every).covariance, rtol=1e-9, atol=1e-12)


def test_rotations_are_no_classes() -> None:
    extractor = small_extractor(budget=640, labelled=False)
    assert survey(extractor, bars(100, seed=3)[0], np.arange(5)).shares is None


def test_no_more_features_are_held_than_asked_for() -> None:
    found = survey(small_extractor(budget=640), bars(100, seed=3)[0], np.array([7, 3, 7]))
    assert found.kept.shape == (2, 16)
