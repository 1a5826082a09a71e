"""The artifact: what is whole loads and repeats itself; what is not is refused before anything is read from it."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gen import artifact, files
from gen.errors import UserError
from tests.gen import fabricated


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made, params = fabricated.workspace(tmp_path_factory.mktemp("workspace"))
    for model in ("dcgan", "vae", "edges2digits"):
        fabricated.trained(made, params, model)
    return {model: made.train(model) for model in ("dcgan", "vae", "edges2digits")}


@pytest.fixture
def gan(models: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(models["dcgan"], tmp_path / "model"))


def test_verify_returns_the_config_and_imports_neither_torch_nor_mlflow(models: dict[str, Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from gen import artifact;"
        f"config = artifact.verify(Path({str(models['dcgan'])!r}));"
        "print(config['model'], config['shape'], {'torch', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "dcgan (1, 16, 16) set()"


def test_image_depends_on_seed_and_number_alone(models: dict[str, Path]) -> None:
    published = artifact.load(models["dcgan"])
    whole = published.generate(12, seed=3)
    assert whole.shape == (12, 16, 16, 1)
    assert whole.dtype == np.uint8
    # Another batch size may round a grey level the other way.
    assert np.abs(whole[:5].astype(int) - published.generate(5, seed=3, batch=2)).max() <= 1
    assert (whole != published.generate(12, seed=4)).any()
    assert published.generate(0, seed=3).shape == (0, 16, 16, 1)


def test_vae_reconstructs_and_translator_translates_both_ways(models: dict[str, Path]) -> None:
    pixels = fabricated.drawn(5, seed=1)
    assert artifact.load(models["vae"]).reconstruct(pixels).shape == pixels.shape
    translator = artifact.load(models["edges2digits"])
    there, back = translator.translate(pixels, batch=2), translator.translate(pixels, back=True)
    assert there.shape == back.shape == pixels.shape
    assert (there != back).any()


@pytest.mark.parametrize(
    ("model", "verb", "why"),
    [
        ("edges2digits", "generate", "from noise"),
        ("dcgan", "translate", "translate"),
        ("dcgan", "reconstruct", "encode"),
    ],
)
def test_model_that_cannot_says_so(models: dict[str, Path], model: str, verb: str, why: str) -> None:
    published = artifact.load(models[model])
    arguments = (4, 0) if verb == "generate" else (fabricated.drawn(4, 0),)
    with pytest.raises(UserError, match=why):
        getattr(published, verb)(*arguments)


def test_images_of_another_shape_are_refused(models: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"16 x 16 x 1, not uint8 8 x 8 x 3"):
        artifact.load(models["vae"]).reconstruct(np.zeros((2, 8, 8, 3), np.uint8))


def test_flipped_bit_is_found(gan: Path) -> None:
    weights = bytearray((gan / "model.safetensors").read_bytes())
    weights[-5] ^= 1
    (gan / "model.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match=r"model\.safetensors was changed"):
        artifact.load(gan)


def test_missing_file_is_found(gan: Path) -> None:
    (gan / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json is missing"):
        artifact.verify(gan)


def test_link_is_refused(gan: Path, tmp_path: Path) -> None:
    (gan / "config.json").rename(tmp_path / "elsewhere.json")
    (gan / "config.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(UserError, match="is a link"):
        artifact.verify(gan)


@pytest.mark.parametrize("name", ["model.pkl", "loader.py", "samples/x.pt", "conda.yaml"])
def test_foreign_file_is_refused_though_the_manifest_lists_it(gan: Path, name: str) -> None:
    (gan / name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    files.write_manifest(gan)
    with pytest.raises(UserError, match="has no place in a published model"):
        artifact.verify(gan)


def test_folder_without_weights_is_no_model(gan: Path) -> None:
    (gan / "model.safetensors").unlink()
    files.write_manifest(gan)
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        artifact.verify(gan)


@pytest.mark.parametrize(("key", "value"), [("format", 2), ("shape", [1, 2]), ("task", "dance"), ("extra", 1)])
def test_unknown_format_is_refused(gan: Path, key: str, value: object) -> None:
    files.write_json(gan / "config.json", {**files.read_json(gan / "config.json"), key: value})
    files.write_manifest(gan)
    with pytest.raises(UserError, match=key):
        artifact.verify(gan)


@pytest.mark.parametrize("change", [{"width": 8}, {"width": "wide"}, {"family": "diffusion"}])
def test_config_that_does_not_fit_the_weights_is_refused(gan: Path, change: dict[str, object]) -> None:
    config = files.read_json(gan / "config.json")
    files.write_json(gan / "config.json", {**config, "config": {**config["config"], **change}})
    files.write_manifest(gan)
    with pytest.raises(UserError, match="cannot be loaded"):
        artifact.load(gan)


def test_weights_that_are_no_safetensors_are_refused(gan: Path) -> None:
    (gan / "model.safetensors").write_bytes(b"\xff" * 100)
    files.write_manifest(gan)
    with pytest.raises(UserError, match="cannot be loaded"):
        artifact.load(gan)
