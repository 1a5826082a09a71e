"""The commands that use a model, as typed, on models that have hardly learnt anything."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from flows import cli
from gen import config, files, use
from gen.features import Extractor
from gen.images import write_png
from gen.snapshot import Snapshot
from gen.steps.ingest import ingest
from gen.tensors import write_tensors
from gen.workspace import Workspace
from tests.gen import fabricated
from tests.gen.test_balanced import telling

TOLD = (
    "{family: gan, dataset: digits, network: dcgan, classes: projection, init: random, latent_dim: 8, width: 4, "
    "images: 64, batch: 16, learning_rate: 0.0002, log_every: 16, checkpoint_every: 32}"
)
"""As the other GAN there, but for the classes."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a model of each family and one that knows classes, and an extractor that tells two others."""
    made, _ = fabricated.workspace(tmp_path_factory.mktemp("workspace"))
    files.write(made.params_file, fabricated.PARAMS.replace("models:\n", f"models:\n  told: {TOLD}\n"))
    params = config.load(made.params_file)
    for model in ("dcgan", "vae", "edges2digits", "told"):
        fabricated.trained(made, params, model)
    for model in ("dcgan", "vae"):
        vary(made.train(model))
    with files.fresh_folder(made.extractor("digits")) as folder:
        telling(use.load(made.train("dcgan")), ["box", "cup"]).save(folder)
    return made


def vary(folder: Path) -> None:
    """Let the images of a model that has hardly learnt anything differ more."""
    tensors = load_file(folder / "model.safetensors")
    write_tensors(
        folder / "model.safetensors",
        {
            name: tensor if "running" in name or not tensor.is_floating_point() else tensor * 4
            for name, tensor in tensors.items()
        },
    )
    files.write_manifest(folder)


@pytest.fixture
def genflows(made: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Genflows":
    monkeypatch.chdir(made.root)
    return Genflows(monkeypatch, capsys)


class Genflows:
    """The command in this process."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.patch = patch
        self.capture = capture

    def __call__(self, *arguments: object, code: int = 0) -> str:
        """Run it; what it said, when it left with `code`."""
        self.patch.setattr(sys, "argv", ["genflows", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = self.capture.readouterr()
        assert int(left.value.code or 0) == code, out + err
        return str(out + err)


def test_a_grid_or_single_files_of_a_model_by_name_or_folder(
    genflows: Genflows, made: Workspace, tmp_path: Path
) -> None:
    genflows("generate", "--model", "dcgan", "--n", 5, "--seed", 1, "--truncation", 0.7, "--out", tmp_path / "single")
    genflows("generate", "--model", made.train("dcgan"), "-n", 5, "--seed", 1, "--out", tmp_path / "grid.png")
    model = use.load(made.train("dcgan"))
    for number, image in enumerate(model.sample(5, 1, truncation=0.7)):
        with Image.open(tmp_path / "single" / f"{number:06d}.png") as file:
            np.testing.assert_array_equal(np.asarray(file), image[:, :, 0])
    genflows("generate", "--model", "dcgan", "--truncation", 1.5, code=2)


def test_images_of_one_class_keep_their_numbers(genflows: Genflows, made: Workspace, tmp_path: Path) -> None:
    call = ("generate", "--model", "dcgan", "--seed", 1, "--n", 3, "--class")
    assert "all of class cup" in genflows(*call, "cup", "--out", tmp_path / "cups")
    model, extractor = use.load(made.train("dcgan")), Extractor.load(made.extractor("digits"))
    for path in (tmp_path / "cups").iterdir():
        (image,) = pixels = model.sample(1, 1, int(path.stem))
        assert extractor.labels[int(extractor.probabilities(extractor.features(pixels))[0].argmax())] == "cup"
        with Image.open(path) as file:
            np.testing.assert_array_equal(np.asarray(file), image[:, :, 0])
    assert len(list((tmp_path / "cups").iterdir())) == 3
    assert "no class `cap`. Did you mean `cup`" in genflows(*call, "cap", code=2)


def test_a_model_that_knows_classes_is_asked_for_one(genflows: Genflows, made: Workspace, tmp_path: Path) -> None:
    call = ("generate", "--model", "told", "--seed", 1, "--n", 3, "--class")
    assert "all of class 7" in genflows(*call, "7", "--out", tmp_path / "sevens")
    for number, image in enumerate(use.load(made.train("told")).sample(3, 1, label="7")):
        with Image.open(tmp_path / "sevens" / f"{number:06d}.png") as file:
            np.testing.assert_array_equal(np.asarray(file), image[:, :, 0])
    assert "`told` knows no class `77`. Did you mean `7`" in genflows(*call, "77", code=2)


def test_a_synthetic_dataset_of_a_model_that_knows_classes_is_as_it_was_asked_for(
    genflows: Genflows, made: Workspace, tmp_path: Path
) -> None:
    out = tmp_path / "synthetic"
    call = ("augment", "--model", "told", "--per-class", 4, "--seed", 1, "--out")
    assert "40 images of told, 4 of each of 10 classes" in genflows(*call, out)
    (image,) = use.load(made.train("told")).sample(1, 1, 29, label="7")
    with Image.open(out / "7" / "000029.png") as file:
        np.testing.assert_array_equal(np.asarray(file), image[:, :, 0])
    assert [len(list((out / str(digit)).iterdir())) for digit in range(10)] == [4] * 10
    files.verify(out)
    card = files.read_json(out / "card.json")
    assert card["classes"] == [str(digit) for digit in range(10)]
    assert "told_by" not in card
    assert "The classes are the generator's own" in (out / "card.md").read_text()
    for option in ("--confidence", "--most"):
        said = genflows(*call, tmp_path / "other", option, 1, code=2)
        assert "`told` knows classes and is asked for each" in said
    assert not (tmp_path / "other").exists()


def test_the_way_between_images_is_a_strip_or_an_animation(genflows: Genflows, made: Workspace, tmp_path: Path) -> None:
    way = ["interpolate", "--model", "vae", "--images", "4,9,2", "--steps", 3, "--seed", 1]
    genflows(*way, "--out", tmp_path / "way.png")
    genflows(*way, "--out", tmp_path / "way.webp")
    expected = use.load(made.train("vae")).walk([4, 9, 2], 1, 3)
    with Image.open(tmp_path / "way.png") as strip, Image.open(tmp_path / "way.webp") as animation:
        assert strip.size == (7 * 18 - 2, 16)
        assert animation.n_frames == 7  # type: ignore[attr-defined]
        np.testing.assert_array_equal(np.asarray(strip)[:, 3 * 18 : 3 * 18 + 16], expected[3, :, :, 0])
    for images in ("4", "4,", "4,-2", "a,b"):
        assert "--images is" in genflows("interpolate", "--model", "vae", "--images", images, code=2)
    assert "Name it NAME.png or NAME.webp" in genflows(*way, "--out", "way", code=2)


def test_a_folder_is_reconstructed_and_goes_on(genflows: Genflows, made: Workspace, tmp_path: Path) -> None:
    for number, image in enumerate(fabricated.drawn(5, 0)):
        write_png(tmp_path / "in" / "deep" / f"{number}.png", image)
    call = ("reconstruct", tmp_path / "in", tmp_path / "out", "--model", "vae")
    assert "5 images reconstructed by vae" in genflows(*call)
    (tmp_path / "out" / "deep" / "3.png").unlink()
    assert "1 images reconstructed by vae, 4 were there already" in genflows(*call)
    expected = use.load(made.train("vae")).reconstruct(fabricated.drawn(5, 0)[3:4])
    with Image.open(tmp_path / "out" / "deep" / "3.png") as file:
        np.testing.assert_array_equal(np.asarray(file), expected[0, :, :, 0])
    translated = ("translate", tmp_path / "in", tmp_path / "out", "--model", "edges2digits")
    assert "what another model" in genflows(*translated, code=1)


def test_a_synthetic_dataset_is_balanced_says_what_it_is_and_can_be_ingested(
    genflows: Genflows, made: Workspace, tmp_path: Path
) -> None:
    out = tmp_path / "synthetic"
    call = ("augment", "--model", "dcgan", "--per-class", 40, "--seed", 1, "--out")
    assert "80 images of dcgan, 40 of each of 2 classes" in genflows(*call, out)
    assert [len(list((out / label).iterdir())) for label in ("box", "cup")] == [40, 40]
    files.verify(out)
    card = files.read_json(out / "card.json")
    assert card["model"]["digest"] == files.manifest_digest(made.train("dcgan"))
    assert (card["seed"], card["per_class"], card["classes"]) == (1, 40, ["box", "cup"])
    assert sum(card["surely_of_class"].values()) <= card["made"]
    assert card["model"]["digest"] in (out / "card.md").read_text()
    genflows(*call, tmp_path / "again")
    assert files.manifest_digest(tmp_path / "again") == files.manifest_digest(out), "the same bytes"
    assert "is there already" in genflows(*call, out, code=1)

    params = made.params_file.read_text().replace("{kind: mnist-5k}", f"{{kind: folder, path: {out}}}")
    other = Workspace(tmp_path / "other")
    files.write(other.params_file, params)
    summary = ingest(other, config.load(other.params_file), "digits", say=lambda _: None)
    assert (summary["labels"], summary["quarantined"]) == (["box", "cup"], {})
    labels = Snapshot(other.raw("digits")).index["label"]
    assert labels.value_counts().to_dict() == {"box": 40, "cup": 40}


def test_a_class_that_a_generator_hardly_makes_leaves_nothing(genflows: Genflows, tmp_path: Path) -> None:
    said = genflows("augment", "--model", "vae", "--per-class", 40, "--most", 64, "--out", tmp_path / "none", code=1)
    assert "Of 64 images that `vae` made, too few were surely of some classes" in said
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_exported_and_says_how_far_it_is_off(genflows: Genflows, tmp_path: Path) -> None:
    said = genflows("export", "dcgan", "--format", "torch", "--out", tmp_path / "model.pt2")
    assert "dcgan as torch" in said
    assert files.read_json(tmp_path / "model.pt2.json")["difference"] <= 1e-4
    assert "is a folder" in genflows("export", "dcgan", "--out", tmp_path, code=2)
