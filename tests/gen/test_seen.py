"""What a model was trained on travels with it: features of the images that the reference knows."""

from pathlib import Path

import numpy as np
import pytest

from gen import artifact, files, seen
from gen.config import Params
from gen.datasets import Prepared
from gen.features import Extractor
from gen.workspace import Workspace
from tests.gen import fabricated


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    workspace, params = fabricated.workspace(tmp_path_factory.mktemp("seen"))
    for model in ("vae", "edges2digits"):
        fabricated.trained(workspace, params, model)
    return workspace, params


@pytest.mark.parametrize(("model", "domains"), [("vae", ["images"]), ("edges2digits", ["a", "b"])])
def test_a_training_keeps_features_of_its_first_images(
    made: tuple[Workspace, Params], model: str, domains: list[str]
) -> None:
    workspace, params = made
    artifact.verify(workspace.train(model))
    found = seen.read(workspace.train(model) / artifact.SEEN)
    extractor = Extractor.load(workspace.extractor("digits"))
    prepared = Prepared(workspace.prepared(params.model(model).dataset))
    assert found is not None
    assert found.extractor == extractor.digest
    assert sorted(found.features) == domains
    for domain, features in found.features.items():
        # In other batches the last bits of features differ.
        wanted = extractor.features(prepared.images("train", domain)[:32])
        np.testing.assert_allclose(features, wanted, rtol=1e-5, atol=1e-6)


def test_a_model_without_it_is_still_a_model(made: tuple[Workspace, Params]) -> None:
    folder = made[0].train("vae")
    (folder / artifact.SEEN).unlink()
    files.write_manifest(folder)
    artifact.verify(folder)
    assert seen.read(folder / artifact.SEEN) is None
    assert seen.read(Path("nowhere")) is None


def test_no_more_than_half_of_few_and_a_thousand_of_many() -> None:
    assert [seen.count(images) for images in (16, 17, 2000, 10**6)] == [8, 8, 1000, 1000]
