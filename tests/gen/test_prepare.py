from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gen import files
from gen.config import Params
from gen.datasets import SPLITS, Prepared
from gen.errors import TooFewImagesError, UserError
from gen.snapshot import Snapshot, pixel_digest
from gen.sources.drawings import edges
from gen.steps.ingest import ingest
from gen.steps.prepare import prepare, prepared_arrays, square
from gen.workspace import Workspace
from tests.gen.raw_images import labels_of, noise, params, save, write_folder, write_idx

IMAGES = noise(400)


def quiet(_: str) -> None:
    """Say nothing."""


def prepared(root: Path, settings: Params, name: str = "mine") -> Prepared:
    workspace = Workspace(root)
    prepare(workspace, settings, name)
    return Prepared(workspace.prepared(name))


def ingested(root: Path, **options: Any) -> Params:
    """A workspace with one snapshot of 400 images in ten classes, and its params."""
    write_folder(root / "images", IMAGES, labels_of(400))
    settings = params(mine={"kind": "folder", "path": "images"}, **options)
    ingest(Workspace(root), settings, "mine", quiet)
    return settings


def test_every_image_is_in_one_split_with_its_label(tmp_path: Path) -> None:
    data = prepared(tmp_path, ingested(tmp_path))
    known = {pixel_digest(image): label for image, label in zip(IMAGES, labels_of(400), strict=True)}
    found = {}
    for split in SPLITS:
        labels = data.labels(split, "images")
        assert labels is not None
        images = data.images(split, "images")[:]
        assert images.shape == (data.profile["counts"][split]["images"], 12, 12, 1)
        found |= {pixel_digest(image): label for image, label in zip(images, labels, strict=True)}
    assert found == known
    assert sum(data.profile["counts"][split]["images"] for split in SPLITS) == 400


def test_the_index_says_where_each_image_is(tmp_path: Path) -> None:
    data = prepared(tmp_path, ingested(tmp_path))
    index = pd.read_csv(data.folder / "index.csv", dtype={"label": str})
    assert list(index.columns) == ["sha256", "split", "domain", "label", "row"]
    for line in index.itertuples():
        assert pixel_digest(data.images(line.split, line.domain)[:][line.row]) == line.sha256


def test_the_profile_describes_the_images(tmp_path: Path) -> None:
    settings = ingested(tmp_path)
    data = prepared(tmp_path, settings)
    assert (data.domains, data.shape) == (("images",), (1, 12, 12))
    assert data.profile["labels"] == list("0123456789")
    assert data.profile["label_counts"] == [40] * 10
    assert data.profile["source"]["height"] == {"min": 12, "median": 12, "max": 12}
    with Image.open(data.folder / "mean.png") as mean:
        expected = data.images("train", "images")[:].mean(axis=0)[:, :, 0].round()
        assert (np.asarray(mean) == expected).all()


def test_preparing_again_changes_no_byte(tmp_path: Path) -> None:
    settings = ingested(tmp_path)
    before = files.contents(prepared(tmp_path, settings).folder)
    assert files.contents(prepared(tmp_path, settings).folder) == before


def test_what_an_extractor_trains_on_is_what_is_prepared(tmp_path: Path) -> None:
    settings = ingested(tmp_path)
    data = prepared(tmp_path, settings)
    snapshot = Snapshot(Workspace(tmp_path).raw("mine"))
    pixels, labels = prepared_arrays(snapshot, settings.dataset("mine"), "train", "images")
    assert (pixels == data.images("train", "images")[:]).all()
    assert labels is not None
    assert (labels == data.labels("train", "images")).all()


def test_an_official_test_set_is_what_is_reported_on(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", IMAGES[:360], IMAGES[360:])
    settings = params(mine={"kind": "mnist", "path": "images"})
    ingest(Workspace(tmp_path), settings, "mine", quiet)
    report = prepared(tmp_path, settings).images("report", "images")[:]
    assert {pixel_digest(image) for image in report} == {pixel_digest(image) for image in IMAGES[360:]}


def test_a_derived_dataset_keeps_pairs_for_evaluation_alone(tmp_path: Path) -> None:
    ingested(tmp_path)
    derived = {"kind": "derived", "of": "mine", "drawing": "edges"}
    settings = params(mine={"kind": "folder", "path": "images"}, edges=derived)
    ingest(Workspace(tmp_path), settings, "edges", quiet)
    data, base = prepared(tmp_path, settings, "edges"), prepared(tmp_path, settings)
    assert data.domains == ("a", "b")
    assert data.pairs("train") is None
    for split in SPLITS[1:]:
        drawings, pairs = data.images(split, "a")[:], data.pairs(split)
        assert pairs is not None
        assert (np.stack([edges(pair) for pair in pairs[:]]) == drawings).all()
    for split in SPLITS:
        whole = {pixel_digest(image) for image in base.images(split, "images")[:]}
        # A pair is split with what it was drawn from, so no original is in another split than in the base.
        assert {pixel_digest(image) for image in data.images(split, "b")[:]} <= whole
        if (pairs := data.pairs(split)) is not None:
            assert {pixel_digest(image) for image in pairs[:]} <= whole
    assert data.profile["pairs"]


def test_two_domains_of_colour_photographs(tmp_path: Path) -> None:
    for name, count in (("trainA", 260), ("trainB", 270), ("testA", 20), ("testB", 25)):
        for number, image in enumerate(noise(count, 20, 3, seed=count)):
            save(tmp_path / "images" / name / f"{number}.png", image)
    settings = params(size=10, channels=3, mine={"kind": "folder", "path": "images"})
    ingest(Workspace(tmp_path), settings, "mine", quiet)
    data = prepared(tmp_path, settings)
    assert data.profile["counts"]["report"] == {"a": 20, "b": 25}
    assert data.images("train", "a").shape[1:] == (10, 10, 3)
    assert data.labels("train", "a") is None
    assert data.pairs("report") is None


def test_a_split_with_too_few_images_says_the_numbers(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", IMAGES[:70])
    settings = params(mine={"kind": "folder", "path": "images"})
    ingest(Workspace(tmp_path), settings, "mine", quiet)
    with pytest.raises(TooFewImagesError, match=r"train \d+ in images; select \d+ in images; .* needs 16"):
        prepare(Workspace(tmp_path), settings, "mine")
    assert list((tmp_path / "data" / "prepared").iterdir()) == []


def test_a_dataset_that_is_not_ingested_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Run `genflows ingest mine`"):
        prepare(Workspace(tmp_path), params(mine={"kind": "mnist-5k"}), "mine")


def test_the_central_square_is_cut_out_and_channels_are_as_asked() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = (255, 0, 0)
    assert (square(wide, 10, 3) == (255, 0, 0)).all()
    assert (square(wide.transpose(1, 0, 2), 5, 3) == (255, 0, 0)).all()
    # 0.299 of 255, by ITU-R 601.
    assert (square(wide, 10, 1) == 76).all()
    assert (square(np.full((8, 8, 1), 9, np.uint8), 16, 3) == 9).all()
