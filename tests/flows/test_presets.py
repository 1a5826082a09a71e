"""Presets: each is fitted to the images that it is for, trains, and says which images it is not for."""

import re
from pathlib import Path

import numpy as np
import pytest

from flows import looking, presets, settings
from flows.looking import Layout, Look
from gen import config
from gen.classes import Labels
from gen.errors import BadParamsError
from gen.images import write_png
from gen.parallel import ALONE
from gen.training import begin, fit
from tests.conftest import ROOT


def folder(root: Path, *places: str, count: int = 60, side: int = 40, grey: bool = False) -> Path:
    """Images of noise, so many in each place below `root`."""
    random = np.random.default_rng(0)
    for place in places:
        for number in range(count):
            shape = (side, side + 8, 1 if grey else 3)
            write_png(root / "pics" / place / f"{number}.png", random.integers(0, 256, shape, np.uint8))
    return root / "pics"


@pytest.mark.parametrize(
    ("layout", "side", "grey"), [("labels", 28, True), ("images", 50, False), ("domains", 70, False)]
)
def test_each_preset_trains_on_what_it_is_for(tmp_path: Path, layout: Layout, side: int, grey: bool) -> None:
    params_file = tmp_path / "params.yaml"
    look, tried = Look("pics", 500, side, grey, layout), 0
    for name in presets.PRESETS:
        params_file.write_text((ROOT / "params.yaml").read_text())
        try:
            datasets, models = presets.blocks([name], look)
        except BadParamsError:
            continue
        kept = settings.begin(params_file, datasets, models)
        assert kept.read_text() == (ROOT / "params.yaml").read_text()
        params = config.load(params_file)
        model = params.model(name)
        dataset = params.dataset(model.dataset)
        shape = (dataset.channels, dataset.size, dataset.size)
        images = np.zeros((model.images_a_step, *shape[1:], shape[0]), np.uint8)
        domains = [images] * (2 if model.task == "translate" else 1)
        labels = Labels(["cat", "dog"], np.arange(model.images_a_step) % 2) if model.conditional else None
        assert next(fit(begin(model, shape, domains, ALONE, "float32", labels))).images == model.images_a_step
        tried += 1
    assert tried == {"labels": 10, "images": 10, "domains": 1}[layout]


def test_what_a_folder_holds_decides_size_channels_and_features(tmp_path: Path) -> None:
    look = looking.look(tmp_path, folder(tmp_path, "cat", "dog", side=70))
    assert look == Look("pics", 120, 70, False, "labels")
    datasets, models = presets.blocks(["gan", "denoise"], look)
    assert datasets["pics"]["source"] == {"kind": "folder", "path": "pics"}
    assert (datasets["pics"]["size"], datasets["pics"]["channels"]) == (64, 3)
    assert datasets["pics"]["feature_dim"] == 8, "24 images are reported on"
    assert datasets["noisy2pics"]["source"] == {"kind": "derived", "of": "pics", "drawing": "noisy"}
    assert {name: model["dataset"] for name, model in models.items()} == {"gan": "pics", "denoise": "noisy2pics"}


def test_other_layouts_are_seen(tmp_path: Path) -> None:
    assert looking.look(tmp_path, folder(tmp_path / "a", "trainA", "trainB", count=100)).layout == "domains"
    alone = looking.look(tmp_path, folder(tmp_path / "b", "", count=100, grey=True))
    assert (alone.layout, alone.grey, alone.path) == ("images", True, "b/pics")


@pytest.mark.parametrize(
    ("name", "places", "grey", "why"),
    [
        (
            "style",
            ("cat", "dog"),
            False,
            "has one domain. For it: gan, stable-gan, spectral-gan, wasserstein-gan, class",
        ),
        ("gan", ("trainA", "trainB"), False, r"has two domains \(trainA/, trainB/\). For it: style"),
        ("class-gan", ("",), False, "no sub-folders that could be labels"),
        ("colourise", ("cat", "dog"), True, "its images are grey"),
    ],
)
def test_what_a_preset_is_not_for_is_told(
    tmp_path: Path, name: str, places: tuple[str, ...], grey: bool, why: str
) -> None:
    look = looking.look(tmp_path, folder(tmp_path, *places, count=100, grey=grey))
    with pytest.raises(BadParamsError, match=why):
        presets.blocks([name], look)


def test_too_little_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadParamsError, match=re.escape("holds 20 files")):
        looking.look(tmp_path, folder(tmp_path, "cat", "dog", count=10))


def test_the_rest_of_a_params_file_stays_with_its_comments(tmp_path: Path) -> None:
    params_file = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text()
    params_file.write_text(before)
    settings.begin(params_file, *presets.blocks(["vae"], Look("pics", 500, 32, False, "images")))
    after = params_file.read_text()
    for name in ("machine", "judge", "retrain"):
        block = re.search(rf"^{name}:\n(?:.+\n)+", before, re.MULTILINE)
        assert block is not None
        assert block[0] in after
    assert "learning_rate: {value: 0.001, to: 0, after: 0.5}" in after
    assert config.load(params_file).promotion.minimum_effect == {}
