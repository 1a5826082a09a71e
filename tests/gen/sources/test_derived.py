from pathlib import Path

import pytest

from gen import snapshot
from gen.errors import UserError
from gen.files import write_json, write_manifest
from gen.snapshot import PAIRS, Picture, pixel_digest
from gen.sources.derived import DerivedSource
from gen.sources.drawings import DRAWINGS, Drawing
from tests.gen.raw_images import noise, places

IMAGES = noise(200)


def ingested(root: Path, domains: tuple[str, ...] = ("images",)) -> Path:
    folder = root / "raw" / "digits"
    folder.mkdir(parents=True)
    snapshot.write(folder, (Picture(image, label=str(number % 10)) for number, image in enumerate(IMAGES)))
    write_json(folder / "summary.json", {"domains": domains})
    write_manifest(folder)
    return folder


def opened(root: Path, drawing: Drawing = "edges") -> list[Picture]:
    stream = DerivedSource(kind="derived", of="digits", drawing=drawing).open(places(root))
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


@pytest.mark.parametrize("kind", DRAWINGS)
def test_each_drawing_is_of_its_pair_and_has_its_label_and_group(tmp_path: Path, kind: Drawing) -> None:
    ingested(tmp_path)
    pictures = opened(tmp_path, kind)
    pairs = {picture.group: picture for picture in pictures if picture.domain == PAIRS}
    drawings = [picture for picture in pictures if picture.domain == "a"]
    assert len(drawings) == len(pairs)
    for drawing in drawings:
        pair = pairs[drawing.group]
        assert (drawing.pixels == DRAWINGS[kind](pair.pixels, drawing.group)).all()
        assert drawing.label == pair.label
        assert drawing.group == pixel_digest(pair.pixels)


def test_what_cannot_be_drawn_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Run `genflows ingest digits`"):
        opened(tmp_path)
    ingested(tmp_path, domains=("a", "b"))
    with pytest.raises(UserError, match="domains a and b"):
        opened(tmp_path)
