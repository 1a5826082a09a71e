"""A model that knows classes, from its training to its use: it makes images of those that are asked for."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gen import artifact, config, files, origin, use
from gen.balanced import Kept, asked
from gen.choice import Choice
from gen.classes import Classes
from gen.errors import BadParamsError, UserError
from gen.pin import Pin, write
from gen.serving import served
from gen.steps.train import train
from gen.use import Model
from gen.workspace import Workspace
from tests.gen import fabricated
from tests.gen.serving.process import pixels

PARAMS = fabricated.PARAMS.replace("network: dcgan,", "network: dcgan, classes: projection,").replace(
    "network: convolutional,", "network: convolutional, classes: embedding,"
)


def workspace(root: Path) -> Workspace:
    made, _ = fabricated.workspace(root)
    files.write(made.params_file, PARAMS)
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which a model of both families has learnt labels for some steps."""
    made = workspace(tmp_path_factory.mktemp("workspace"))
    for model in ("dcgan", "vae"):
        train(made, config.load(made.params_file), model, code={}, say=lambda _: None)
    return made


@pytest.fixture(params=["dcgan", "vae"])
def model(made: Workspace, request: pytest.FixtureRequest) -> Model:
    model = use.load(made.train(request.param))
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.mul_(4)  # so little trained, images of all classes are one grey
    return model


def test_names_and_shares_are_published(made: Workspace, model: Model) -> None:
    labels = np.arange(64) % 10
    assert model.classes is not None
    assert model.classes.names == tuple(map(str, range(10)))
    assert model.classes.shares == pytest.approx([(labels == number).mean() for number in range(10)])
    assert artifact.verify(made.train(model.name))["classes"]["names"] == model.classes.names


def test_image_i_of_a_class_is_image_i_with_another_last_number(model: Model) -> None:
    assert model.classes
    drawn = model.noise(20, seed=3)
    drawn[:, -1] = Choice.of(model.classes.shares).number(7)
    of_seven = model.sample(20, seed=3, label="7")
    np.testing.assert_array_equal(of_seven, model.from_noise(drawn))
    np.testing.assert_array_equal(of_seven[5:7], model.sample(2, seed=3, start=5, label="7"))
    assert (of_seven != model.sample(20, seed=3, label="2")).any()
    assert model.sample(3, seed=3, truncation=0.0, label="7").std(axis=0).max() == 0
    # Without a class it is the one that the noise chooses.
    chosen = Choice.of(model.classes.shares)(model.noise(20, seed=3)[:, -1])
    for number, label in enumerate(chosen.tolist()):
        (image,) = model.sample(1, 3, number)
        np.testing.assert_allclose(image.astype(int), model.sample(1, 3, number, label=str(label))[0], atol=1)


def test_a_class_that_is_not_known_is_told_with_the_nearest(model: Model) -> None:
    with pytest.raises(BadParamsError, match=f"`{model.name}` knows no class `77`. Did you mean `7`"):
        model.sample(1, seed=0, label="77")


def test_a_class_that_was_never_seen_is_told(model: Model) -> None:
    unseen = Classes(names=("0", "1", "2"), shares=(0.5, 0.0, 0.5))
    (other,) = [Model(**{**vars(model), "classes": unseen})]
    with pytest.raises(UserError, match="has seen no image of class `1`"):
        other.sample(1, seed=0, label="1")
    assert len(other.sample(1, seed=0, label="2")) == 1


def test_as_many_of_each_class_have_no_noise_in_common(model: Model) -> None:
    kept: list[Kept] = list(asked(model, each=3, seed=1))
    assert [each.label for each in kept] == [str(label) for label in range(10) for _ in range(3)]
    assert [each.number for each in kept] == list(range(30))
    for each in kept[4:6]:
        np.testing.assert_array_equal(each.pixels, model.sample(1, 1, each.number, label=each.label)[0])


def test_a_stranger_s_class_that_would_leave_its_folder_is_refused(model: Model) -> None:
    escaping = Classes(names=("box", "../cup"), shares=(0.5, 0.5))
    with pytest.raises(BadParamsError, match="cannot be the name of a folder"):
        next(asked(Model(**{**vars(model), "classes": escaping}), each=1, seed=1))


def test_a_server_makes_them_without_a_classifier(made: Workspace) -> None:
    serving = served.load(made.train("dcgan"), "cpu")
    answer = serving.of_class("7", count=2, seed=3, start=5, truncation=1.0, tell=None)
    images = json.loads(answer)["images"]
    np.testing.assert_array_equal(pixels(images), use.load(made.train("dcgan")).sample(2, 3, 5, label="7"))
    assert serving.facts()["classes"] == [str(number) for number in range(10)]


def test_images_without_labels_are_refused_before_training(tmp_path: Path) -> None:
    made = workspace(tmp_path)
    (made.prepared("digits") / "train" / "images" / "labels.npy").unlink()
    with pytest.raises(UserError, match=r"not every image of `digits` has a label. Set models\.dcgan\.classes to none"):
        train(made, config.load(made.params_file), "dcgan", code={}, say=lambda _: None)


@pytest.mark.parametrize("model", ["dcgan", "vae"])
def test_a_refresh_takes_the_weights_of_a_champion_of_the_same_classes_alone(
    model: str, made: Workspace, tmp_path: Path
) -> None:
    named: dict[str, Any] = {"name": "digits-sample", "version": 1, "key": "k", "digest": "d"}
    write(tmp_path / "pin", Pin(images="0" * 64, **named), made.train(model))
    block = config.load(made.params_file).model(model).model_copy(update={"init": "champion-of-digits"})
    names = tuple(map(str, range(10)))
    shares = (0.91, *[0.01] * 9)

    def found(order: tuple[str, ...]) -> str:
        known = Classes(names=order, shares=shares)
        return origin.find(tmp_path / "pin", block, "models.m", (1, 16, 16), known).words

    assert found(names) == "the champion digits-sample/1"
    assert "knows other classes, or in another order" in found(names[::-1])


TAMPERED: dict[str, Any] = {
    "more than weights": {"names": [f"{n}" for n in range(4999)], "shares": [1 / 4999] * 4999},
    "too many": {"names": [f"{n}" for n in range(30_000)], "shares": [1 / 30_000] * 30_000},
    "no names": {"names": [], "shares": []},
    "a number of them": {"names": 10**9, "shares": 10**9},
    "names that are numbers": {"names": list(range(10)), "shares": [0.1] * 10},
    "one name": {"names": "0123456789", "shares": [0.1] * 10},
    "a name twice": {"names": ["0"] * 10, "shares": [0.1] * 10},
    "long names": {"names": ["a" * 60_000, "b" * 60_000], "shares": [0.5, 0.5]},
    "a share missing": {"names": [str(n) for n in range(10)], "shares": [0.1] * 9},
    "a negative share": {"names": ["0", "1"], "shares": [-0.5, 1.5]},
    "shares beyond 1": {"names": ["0", "1"], "shares": [0.9, 0.9]},
    "another key": {"names": ["0", "1"], "shares": [0.5, 0.5], "loader": "os"},
    "a list": ["0", "1"],
}


@pytest.mark.parametrize("name", TAMPERED)
def test_classes_that_no_training_writes_are_refused_before_torch_sees_them(
    name: str, made: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(UserError):
        artifact.verify(tampered(made, tmp_path, TAMPERED[name]))


@pytest.mark.parametrize("classes", [None, {"names": ["0", "1"], "shares": [0.5, 0.5]}])
def test_classes_that_do_not_fit_the_weights_are_refused(classes: Any, made: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded"):
        artifact.load(tampered(made, tmp_path, classes))


def test_classes_of_a_model_that_knows_none_are_refused(made: Workspace, tmp_path: Path) -> None:
    folder = tampered(made, tmp_path, {"names": ["0", "1"], "shares": [0.5, 0.5]})
    values = files.read_json(folder / "config.json")
    values["config"]["classes"] = "none"
    files.write_json(folder / "config.json", values)
    files.write_manifest(folder)
    with pytest.raises(UserError, match="names classes and knows none"):
        artifact.load(folder)


def tampered(made: Workspace, root: Path, classes: Any) -> Path:
    """A model whose config says something else of its classes."""
    folder = root / "model"
    shutil.copytree(made.train("dcgan"), folder)
    values = files.read_json(folder / "config.json")
    if classes is None:
        del values["classes"]
    else:
        values["classes"] = classes
    files.write_json(folder / "config.json", values)
    files.write_manifest(folder)
    return folder
