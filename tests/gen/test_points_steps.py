"""Points through the whole pipeline, from a source to figures and pictures."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from flows import cli
from gen import artifact, config, files, patterns, pyfunc, use
from gen.artifact import Published
from gen.config import Params
from gen.datasets import SPLITS, Prepared
from gen.errors import UserError
from gen.images import to_float
from gen.judge import Contender, judge
from gen.measure import Measurement, measure, pictures
from gen.plane import SIDE, Box
from gen.reference import Reference
from gen.ruling import Standard
from gen.serving import served
from gen.steps.evaluate import evaluate
from gen.steps.extractor import extractor
from gen.steps.ingest import ingest
from gen.steps.prepare import prepare
from gen.steps.reference import reference
from gen.steps.train import train
from gen.workspace import Workspace

DATASET = {"size": 1, "channels": 2, "feature_dim": 16}
MODEL = {
    "dataset": "ring", "network": "mlp", "init": "random", "widths": [16, 16], "latent_dim": 2,
    "images": 1024, "batch": 64, "learning_rate": 0.001, "log_every": 256, "checkpoint_every": 512,
}  # fmt: skip
VALUES: dict[str, Any] = {
    "datasets": {
        "ring": {**DATASET, "source": {"kind": "points", "of": "ring", "count": 2000}, "extractor": "ring"},
        "table": {**DATASET, "source": {"kind": "points", "path": "table.csv"}, "extractor": "ring"},
    },
    "models": {
        "gan": {**MODEL, "family": "gan", "loss": "relativistic", "r1": 0.1, "r2": 0.1},
        "vae": {**MODEL, "family": "vae", "likelihood": "gaussian"},
    },
    "judge": {"samples": 500, "seed": 0, "resamples": 20},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    """Two datasets of points, up to their references; nothing is trained."""
    workspace, params = Workspace(tmp_path_factory.mktemp("points")), config.from_values(VALUES)
    files.write(workspace.start("random"), "weights drawn from the seed\n")
    rows = [f"{x:.4f},{y:.4f}" for x, y in (1000 + 50 * patterns.draw("moons", 800)).tolist()]
    files.write(workspace.root / "table.csv", "\n".join(["east,north", *rows, "?,1"]))
    extractor(workspace, params, "ring", lambda _: None)
    for name in params.datasets:
        ingest(workspace, params, name, lambda _: None)
        prepare(workspace, params, name)
        reference(workspace, params, name)
    return workspace, params


class Replay(nn.Module):
    """Fresh points of some modes of the ring, in the box of the dataset."""

    noise_dim, choices = 2, 0

    def __init__(self, prepared: Prepared, modes: int) -> None:
        super().__init__()
        ring = patterns.ring()
        points = patterns.Mixture(ring.means[:modes], ring.std).draw(500, np.random.default_rng(5))
        assert prepared.box is not None
        self.points = nn.Parameter(to_float(torch.from_numpy(prepared.box.inside(points))))

    def sample(self, noise: Tensor) -> Tensor:
        """The first of them."""
        return self.points[: len(noise)]


def measured(made: tuple[Workspace, Params], modes: int) -> tuple[Measurement, Published]:
    workspace, params = made
    prepared = Prepared(workspace.prepared("ring"))
    held = Reference.load(workspace.reference("ring"), workspace.features("ring"))
    published = Published("probe", "gan", "sample", "ring", (2, 1, 1), Replay(prepared, modes), "cpu", box=prepared.box)
    # All at once, for it always shows the first.
    return measure(published, prepared, held, params.judge.model_copy(update={"samples": 256})), published


def test_prepared_points_lie_in_a_box_that_gives_them_back(made: tuple[Workspace, Params]) -> None:
    for name, centre, reach in (("ring", (0, 0), 2.1), ("table", (1025, 1012.5), 90)):
        prepared = Prepared(made[0].prepared(name))
        assert (prepared.shape, prepared.distribution) == ((2, 1, 1), "ring" if name == "ring" else None)
        assert prepared.box is not None
        stored = np.concatenate([prepared.images(split, "images")[:] for split in SPLITS])
        assert (stored.dtype, stored.shape[1:]) == (np.float32, (1, 1, 2))
        assert np.abs(stored).max() <= 0.9 + 1e-6
        points = prepared.box.outside(stored)
        assert np.abs(points - centre).max() < reach
        assert {"x", "y", "half"} == set(prepared.profile["box"])
        with Image.open(prepared.folder / "points.png") as picture:
            assert picture.size == (SIDE, SIDE)


def test_a_perfect_generator_finds_all_and_one_of_half_the_modes_half(made: tuple[Workspace, Params]) -> None:
    perfect, half = (measured(made, modes)[0].named for modes in (8, 4))
    assert (perfect["modes_found"].value, perfect["modes_found"].floor) == (8, 8)
    assert half["modes_found"].value == 4
    assert perfect["reverse_kl"].value < 0.05
    assert half["reverse_kl"].value == pytest.approx(math.log(2), abs=0.05)
    assert perfect["good_points"].value == pytest.approx(1 - math.exp(-4.5), abs=0.04)
    for name in ("sliced_wasserstein", "frechet", "kernel", "reverse_kl"):
        assert perfect[name].value < half[name].value / 4, name
        assert half[name].baseline is not None
        assert perfect[name].spread is not None, name
    assert perfect["frechet"].value < 3 * perfect["frechet"].floor
    assert perfect["sliced_wasserstein"].card.preprocessing == "points in the units of the plane"


def test_a_champion_of_another_box_is_not_measured_in_this_one(made: tuple[Workspace, Params]) -> None:
    workspace, params = made
    prepared = Prepared(workspace.prepared("ring"))
    held = Reference.load(workspace.reference("ring"), workspace.features("ring"))
    challenger = measured(made, 8)[1]
    champion = replace(challenger, box=Box(x=0.0, y=0.0, half=50.0))
    settings = params.judge.model_copy(update={"samples": 256})
    contenders = Contender(challenger, "new"), Contender(champion, "old")
    verdict = judge(*contenders, prepared, held, settings, Standard(level=0.02, effect=0.1))
    assert "makes points in the square of side 100 about (0, 0)" in verdict.reasons[0]
    assert verdict.champion is not None
    assert verdict.champion.value is None


def test_models_of_points_are_trained_measured_and_shown(made: tuple[Workspace, Params]) -> None:
    workspace, params = made
    for name in ("gan", "vae"):
        train(workspace, params, name, code={}, say=lambda _: None)
        evaluate(workspace, params, name, code={})
        metrics = files.read_json(workspace.evaluate(name) / "metrics.json")
        figures = {figure["name"]: figure["value"] for figure in metrics["figures"]}
        assert {"frechet", "sliced_wasserstein", "modes_found", "good_points", "reverse_kl"} <= set(figures)
        assert ("reconstruction_error" in figures) == (name == "vae")
        assert "reconstruction_ssim" not in figures
        assert all(value is not None for value in figures.values())
        published = artifact.load(workspace.train(name))
        prepared = Prepared(workspace.prepared("ring"))
        assert published.box == prepared.box
        for picture in pictures(published, prepared, params.judge).values():
            assert picture.shape == (SIDE, SIDE, 3)
        assert (workspace.evaluate(name) / "closest-features.png").exists()
        with Image.open(max((workspace.train(name) / "samples").iterdir())) as picture:
            assert picture.size == (SIDE, SIDE)


def test_a_model_of_points_gives_them_in_their_own_units_and_no_pictures(
    made: tuple[Workspace, Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, params = made
    train(workspace, params, "gan", code={}, say=lambda _: None)
    model = use.load(workspace.train("gan"))
    files.write(workspace.params_file, json.dumps(VALUES))
    files.write(workspace.root / "dvc.yaml", "stages: {}\n")
    monkeypatch.chdir(workspace.root)

    def genflows(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["genflows", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = "".join(capsys.readouterr())
        assert int(left.value.code or 0) == code, said
        return said

    generate = ("generate", "--model", "gan", "-n", 20, "--seed", 3, "--out")
    assert "20 points of gan (seed 3)" in genflows(*generate, tmp_path / "points.csv")
    written = np.loadtxt(tmp_path / "points.csv", delimiter=",", skiprows=1)
    assert model.box is not None
    np.testing.assert_allclose(written, model.box.outside(model.sample(20, 3)), rtol=1e-7)
    genflows(*generate, tmp_path / "points.png")
    with Image.open(tmp_path / "points.png") as picture:
        assert picture.size == (SIDE, SIDE)
    assert "Name it NAME.csv or NAME.png" in genflows(*generate, tmp_path / "folder", code=2)
    refused = "`gan` makes points of the plane"
    assert refused in genflows("interpolate", "--model", "gan", code=1)
    assert refused in genflows("augment", "--model", "gan", "--out", tmp_path / "synthetic", code=1)
    with pytest.raises(UserError, match=refused):
        served.load(workspace.train("gan"), "cpu")
    with pytest.raises(UserError, match=refused):
        pyfunc._load_pyfunc(str(workspace.train("gan")))


def test_the_extractor_of_points_is_the_same_everywhere(made: tuple[Workspace, Params], tmp_path: Path) -> None:
    workspace, params = made
    again = extractor(Workspace(tmp_path), params, "ring", lambda _: None)
    held = Reference.load(workspace.reference("table"), workspace.features("table"))
    assert held.extractor.digest == again
    assert held.extractor.labels == []
    with pytest.raises(UserError, match="takes point images of 1 x 1 pixels"):
        held.extractor.features(np.zeros((2, 8, 8, 1), np.uint8))


@pytest.mark.parametrize(
    ("dataset", "model", "message"),
    [
        ({"size": 28}, {}, "`size: 1` and `channels: 2`, not 28 and 2"),
        ({"channels": 1}, {}, "`size: 1` and `channels: 2`, not 1 and 1"),
        ({"source": {"kind": "mnist-5k"}}, {}, "images are 8 px at least"),
        ({}, {"network": "dcgan", "widths": None}, "holds points. Set it to `mlp`"),
        ({}, {"augment": ["colour"]}, "`models.gan.augment` changes images"),
        ({}, {"family": "vae"}, "Set it to gaussian"),
    ],
)
def test_what_makes_no_sense_for_points_is_refused(
    dataset: dict[str, Any], model: dict[str, Any], message: str
) -> None:
    ring, gan = {**VALUES["datasets"]["ring"], **dataset}, {**MODEL, "family": "gan", **model}
    gan = {key: value for key, value in gan.items() if value is not None}
    with pytest.raises(UserError, match=message):
        config.from_values({"datasets": {"ring": ring}, "models": {"gan": gan}}).model("gan")


def test_points_are_not_drawn_like_images(made: tuple[Workspace, Params]) -> None:
    edges = {"source": {"kind": "derived", "of": "ring", "drawing": "edges"}, "size": 28, "channels": 1}
    datasets = {**VALUES["datasets"], "edges": {**edges, "extractor": "edges"}}
    with pytest.raises(UserError, match="holds points, and `drawing: edges` draws images"):
        ingest(made[0], config.from_values({**VALUES, "datasets": datasets}), "edges", lambda _: None)
