from pathlib import Path

import numpy as np
import pytest

from gen import snapshot
from gen.errors import UserError
from gen.files import write_json, write_manifest
from gen.images import Pixels
from gen.snapshot import PAIRS, Picture, pixel_digest
from gen.sources.derived import DerivedSource, edges
from tests.gen.raw_images import noise, places

IMAGES = noise(200)


def ingested(root: Path, domains: tuple[str, ...] = ("images",)) -> Path:
    folder = root / "raw" / "digits"
    folder.mkdir(parents=True)
    snapshot.write(folder, (Picture(image, label=str(number % 10)) for number, image in enumerate(IMAGES)))
    write_json(folder / "summary.json", {"domains": domains})
    write_manifest(folder)
    return folder


def opened(root: Path) -> list[Picture]:
    stream = DerivedSource(kind="derived", of="digits", drawing="edges").open(places(root))
    return [item for item in stream.items if isinstance(item, Picture)]


def test_the_halves_share_no_image_and_lose_none(tmp_path: Path) -> None:
    ingested(tmp_path)
    pictures = opened(tmp_path)
    by_domain = {
        domain: {pixel_digest(picture.pixels) for picture in pictures if picture.domain == domain}
        for domain in ("b", PAIRS)
    }
    originals = {pixel_digest(image) for image in IMAGES}
    assert by_domain["b"] | by_domain[PAIRS] == originals
    assert by_domain["b"] & by_domain[PAIRS] == set()
    assert 60 < len(by_domain["b"]) < 140


def test_each_drawing_is_of_its_pair_and_has_its_label_and_group(tmp_path: Path) -> None:
    ingested(tmp_path)
    pictures = opened(tmp_path)
    pairs = {picture.group: picture for picture in pictures if picture.domain == PAIRS}
    drawings = [picture for picture in pictures if picture.domain == "a"]
    assert len(drawings) == len(pairs)
    for drawing in drawings:
        pair = pairs[drawing.group]
        assert (drawing.pixels == edges(pair.pixels)).all()
        assert drawing.label == pair.label
        assert drawing.group == pixel_digest(pair.pixels)


def test_what_cannot_be_drawn_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Run `genflows ingest digits`"):
        opened(tmp_path)
    ingested(tmp_path, domains=("a", "b"))
    with pytest.raises(UserError, match="domains a and b"):
        opened(tmp_path)


def outline_by_hand(grey: Pixels) -> Pixels:
    height, width = grey.shape
    out = np.empty_like(grey)
    for y in range(height):
        for x in range(width):
            around = grey[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            out[y, x] = around.max() - around.min()
    return out


def test_edges_are_the_dilation_less_the_erosion() -> None:
    for image in IMAGES[:5]:
        assert (edges(image)[:, :, 0] == outline_by_hand(image[:, :, 0])).all()


def test_a_stroke_becomes_its_hollow_outline_and_a_flat_image_nothing() -> None:
    image = np.zeros((12, 12, 1), np.uint8)
    image[4:8, 4:8] = 255
    drawing = edges(image)[:, :, 0]
    assert (drawing[5:7, 5:7] == 0).all()
    assert drawing.sum() == 255 * (6 * 6 - 2 * 2)
    assert (edges(np.full((12, 12, 3), 77, np.uint8)) == 0).all()


def test_colour_is_drawn_in_grey_with_a_pen_that_grows_with_the_picture() -> None:
    image = np.zeros((128, 128, 3), np.uint8)
    image[:, 64:] = 255
    drawing = edges(image)
    assert drawing.shape == (128, 128, 1)
    assert (drawing[0, :, 0] > 0).sum() == 4
