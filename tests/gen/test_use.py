"""A published model in use."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gen
from gen import files, use
from gen.animation import webp
from gen.errors import BadParamsError, UserError
from gen.use import CHUNK, Model
from tests.gen import fabricated


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a model of each family."""
    made, params = fabricated.workspace(tmp_path_factory.mktemp("workspace"))
    for model in ("dcgan", "vae", "edges2digits"):
        fabricated.trained(made, params, model)
    return made.root


@pytest.fixture(params=["dcgan", "vae"])
def model(root: Path, request: pytest.FixtureRequest) -> Model:
    model = use.load(root / "runs" / "train" / request.param)
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.mul_(4)  # so little trained, a VAE's images are all one grey
    return model


def test_an_image_is_the_same_bytes_however_many_are_asked_for(model: Model) -> None:
    whole = model.sample(CHUNK + 9, seed=3)
    assert (whole.shape, whole.dtype) == ((CHUNK + 9, 16, 16, 1), np.uint8)
    for count, start in ((1, 0), (1, 5), (CHUNK, 7), (3, CHUNK - 1), (9, CHUNK)):
        np.testing.assert_array_equal(model.sample(count, 3, start), whole[start : start + count])
    assert (model.sample(9, seed=4) != whole[:9]).any()
    assert model.sample(0, seed=3).shape == (0, 16, 16, 1)


def test_truncation_scales_the_noise(model: Model) -> None:
    np.testing.assert_array_equal(model.sample(CHUNK, 3, truncation=0.5), model.from_noise(model.noise(CHUNK, 3) * 0.5))
    still = model.sample(5, 3, truncation=0)
    np.testing.assert_array_equal(still, np.repeat(still[:1], 5, axis=0))
    usual, varied = (model.sample(CHUNK, 3, truncation=psi).astype(float).std(axis=0).mean() for psi in (0.3, 1))
    assert usual < varied


def test_a_way_passes_through_the_images_themselves(model: Model) -> None:
    way = model.walk([2, 70, 2], seed=3, steps=4, truncation=0.7)
    assert way.shape == (9, 16, 16, 1)
    for place, number in ((0, 2), (4, 70), (8, 2)):
        np.testing.assert_array_equal(way[place], model.sample(1, 3, number, truncation=0.7)[0])


def test_what_makes_no_images_from_noise_says_so(root: Path) -> None:
    with pytest.raises(UserError, match="makes no images from noise"):
        use.load(root / "runs" / "train" / "edges2digits").sample(1, 0)


def test_a_model_is_loaded_by_folder_and_by_name(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = root / "runs" / "train" / "dcgan"
    monkeypatch.chdir(tmp_path)
    by_folder = gen.load(folder)
    assert by_folder.digest == files.manifest_digest(folder)
    with pytest.raises(UserError, match="No workspace here"):
        gen.load("dcgan")
    monkeypatch.chdir(root)
    np.testing.assert_array_equal(gen.load("dcgan").sample(3, 1), by_folder.sample(3, 1))
    pixels = fabricated.drawn(3, 0)
    assert gen.load("vae").reconstruct(pixels).shape == pixels.shape
    assert gen.load("edges2digits").translate(pixels).shape == pixels.shape
    with pytest.raises(BadParamsError, match=r"no model `dcgam`. Did you mean `dcgan`\?"):
        gen.load("models:/dcgam@champion")


def test_to_import_the_library_loads_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import gen; print(len(set(sys.modules) - before - {'gen', 'typing'}))"
    )
    done = subprocess.run([sys.executable, "-c", "import typing;" + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


@pytest.mark.parametrize("channels", [1, 3])
def test_an_animation_holds_every_picture_without_loss(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, channels), np.uint8)
    with Image.open(io.BytesIO(webp(pixels))) as animation:
        assert (animation.n_frames, animation.is_animated) == (5, True)  # type: ignore[attr-defined]
        for number, picture in enumerate(pixels):
            animation.seek(number)
            shown = np.asarray(animation.convert("RGB"))
            np.testing.assert_array_equal(shown, np.broadcast_to(picture, (16, 16, 3)))
