"""As many images of each class; the dataset that is made of them is in tests/flows/test_synthetic.py."""

import numpy as np
import pytest
import torch
from torch import nn

from gen import use
from gen.balanced import Draw
from gen.errors import BadParamsError, TooFewImagesError, UserError
from gen.extractors.description import Taught
from gen.extractors.strided import StridedNetwork
from gen.features import Extractor
from gen.use import Model
from tests.gen import fabricated


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    made, params = fabricated.workspace(tmp_path_factory.mktemp("workspace"))
    fabricated.trained(made, params, "dcgan")
    return use.load(made.train("dcgan"))


def telling(model: Model, labels: list[str], meaning: str = "labels") -> Extractor:
    """It gives half of a model's images the first of `labels` and half the second, surely, and none another."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = StridedNetwork(16, 1, 16, len(labels))
    described = {"size": 16, "channels": 1, "dimension": 16, "meaning": meaning, "labels": labels}
    description = Taught.model_validate(described | {"accuracy": 1.0, "dataset": "digits", "data": "0" * 64})
    extractor = Extractor.of(network, description, torch.device("cpu"))
    features = extractor.features(model.sample(256, seed=1))
    place = int(features.var(axis=0).argmax())
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.weight[1, place] = 1e6
        network.head.bias.fill_(-1e9)
        network.head.bias[:2] = torch.tensor([0.0, -1e6 * float(np.median(features[:, place]))])
    assert isinstance(network.head, nn.Linear)
    return Extractor.of(network, description, torch.device("cpu"))


def test_of_one_class_they_are_those_that_a_draw_of_all_gives_it(model: Model) -> None:
    extractor = telling(model, ["box", "cup"])
    both = Draw(model, extractor, each=9, seed=1, sure=0.9, most=10_000)
    cups = Draw(model, extractor, each=9, seed=1, sure=0.9, most=10_000, only="cup")
    assert [kept.number for kept in cups] == [kept.number for kept in both if kept.label == "cup"]
    with pytest.raises(BadParamsError, match="no class `cap`. Did you mean `cup`"):
        Draw(model, extractor, each=1, seed=1, sure=0.9, most=10, only="cap")


def test_images_are_those_of_their_numbers_and_of_their_class(model: Model) -> None:
    extractor = telling(model, ["box", "cup"])
    draw = Draw(model, extractor, each=9, seed=1, sure=0.9, most=10_000, truncation=0.9)
    kept = list(draw)
    assert sorted(image.label for image in kept) == ["box"] * 9 + ["cup"] * 9
    for image in kept:
        (again,) = model.sample(1, 1, image.number, truncation=0.9)
        np.testing.assert_array_equal(image.pixels, again)
        (row,) = extractor.probabilities(extractor.features(again[None]))
        assert row[extractor.labels.index(image.label)] > 0.9
    numbers = [image.number for image in kept]
    assert numbers == sorted(set(numbers))
    assert draw.made > numbers[-1]
    assert [image.number for image in Draw(model, extractor, 9, 1, 0.9, 10_000, 0.9)] == numbers


def test_a_class_that_is_never_made_is_told(model: Model) -> None:
    draw = Draw(model, telling(model, ["box", "cup", "unicorn"]), each=3, seed=1, sure=0.9, most=100)
    kept = []
    with pytest.raises(TooFewImagesError, match=r"Of 100 images that `dcgan` made.*: `unicorn` 0 of 3\."):
        kept.extend(image.label for image in draw)
    assert draw.made == 100
    assert sorted(kept) == ["box"] * 3 + ["cup"] * 3
    assert draw.found["unicorn"] == 0


def test_what_tells_no_classes_is_refused(model: Model) -> None:
    with pytest.raises(UserError, match="was not taught labels"):
        Draw(model, telling(model, ["0", "90"], meaning="rotations"), 3, 1, 0.9, 100)


@pytest.mark.parametrize("label", ["", "..", ".git", "a/b", "/etc"])
def test_a_class_that_would_leave_its_folder_is_refused(model: Model, label: str) -> None:
    with pytest.raises(BadParamsError, match="cannot be the name of a folder"):
        Draw(model, telling(model, ["box", label]), 3, 1, 0.9, 100)
