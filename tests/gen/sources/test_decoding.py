import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen.images import Pixels
from gen.sources import decoding
from gen.sources.decoding import Unusable, decode
from tests.gen.raw_images import noise, save

GREY, COLOUR = noise(1, 16)[0], noise(1, 16, 3)[0]


def reason(path: Path) -> str:
    with pytest.raises(Unusable) as caught:
        decode(path)
    return caught.value.reason


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "gif", "webp"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_formats_come_back_to_the_bit(tmp_path: Path, ending: str, pixels: Pixels) -> None:
    if ending == "gif":
        pixels = np.where(pixels > 128, 255, 0).astype(np.uint8)
    path = save(tmp_path / f"image.{ending}", pixels, **({"lossless": True} if ending == "webp" else {}))
    assert (decode(path) == pixels).all()


def test_a_jpeg_comes_back_nearly(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(16), np.arange(16)).astype(np.uint8)[:, :, None] * 8
    assert np.abs(decode(save(tmp_path / "image.jpg", smooth, quality=95)).astype(int) - smooth).max() <= 4


def test_every_mode_becomes_grey_or_rgb(tmp_path: Path) -> None:
    black = Image.new("L", (8, 8), 0)
    half = Image.new("L", (8, 8), 128)
    red = Image.new("RGB", (8, 8), "red")
    cases: dict[str, tuple[Image.Image, tuple[int, ...]]] = {
        "1.png": (Image.new("1", (8, 8), 1), (255,)),
        "L.png": (half, (128,)),
        "I16.png": (Image.fromarray(np.full((8, 8), 128 * 257, np.uint16)), (128,)),
        "P.png": (red.convert("P", palette=Image.Palette.ADAPTIVE), (255, 0, 0)),
        "P.gif": (red.convert("P", palette=Image.Palette.ADAPTIVE), (255, 0, 0)),
        "RGBA.png": (Image.merge("RGBA", (*red.split(), Image.new("L", (8, 8), 0))), (255, 255, 255)),
        "LA.png": (Image.merge("LA", (black, half)), (127, 127, 127)),
        "CMYK.jpg": (Image.new("CMYK", (8, 8), (0, 0, 0, 255)), (0, 0, 0)),
        "CMYK.tiff": (Image.new("CMYK", (8, 8), (0, 0, 0, 0)), (255, 255, 255)),
        "LAB.tiff": (Image.new("LAB", (8, 8), (255, 128, 128)), (255, 255, 255)),
    }
    for name, (image, expected) in cases.items():
        image.save(tmp_path / name)
        pixels = decode(tmp_path / name)
        assert pixels.shape == (8, 8, len(expected)), name
        assert np.abs(pixels.astype(int) - expected).max() <= 2, name


def test_a_transparent_colour_becomes_white(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), "red")
    image.save(tmp_path / "keyed.png", transparency=(255, 0, 0))
    assert (decode(tmp_path / "keyed.png") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((8, 12, 1), np.uint8)
    upright[:3, :2] = 255
    stored = Image.fromarray(upright[:, :, 0])
    undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    turn = undo.get(orientation, decoding.UPRIGHT.get(orientation))
    stored = stored if turn is None else stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    assert (decode(tmp_path / "turned.png") == upright).all()


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("L", (8, 8), value) for value in (0, 255)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (decode(tmp_path / "moving.gif") == 0).all()


@pytest.mark.parametrize("size", [(8001, 8001), (9500, 9500), (12_000, 12_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_bomb_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "bomb.png").write_bytes(png(*size))
    assert reason(tmp_path / "bomb.png") == decoding.TOO_LARGE


def test_what_is_no_usable_image_says_why(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.png", COLOUR).read_bytes()
    save(tmp_path / "narrow.png", noise(1, 16)[0][:7])
    Image.new("F", (8, 8), 0.5).save(tmp_path / "float.tiff")
    cases = {
        "text.png": (b"hello", decoding.NO_IMAGE),
        "empty.jpg": (b"", decoding.NO_IMAGE),
        "drawing.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", decoding.NO_IMAGE),
        "cut.png": (whole[: len(whole) // 2], decoding.DAMAGED),
        "flipped.png": (whole[:60] + bytes(20) + whole[80:], decoding.DAMAGED),
        "narrow.png": (None, decoding.TOO_SMALL),
        "float.tiff": (None, decoding.NO_RANGE),
        "missing.png": (None, decoding.DAMAGED),
    }
    for name, (data, expected) in cases.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        assert reason(tmp_path / name) == expected, name


def test_any_damage_is_a_reason_and_never_another_error(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    for ending in ("png", "jpg", "gif", "bmp", "tiff", "webp"):
        whole = save(tmp_path / f"whole.{ending}", COLOUR).read_bytes()
        for _ in range(60):
            damaged = np.frombuffer(whole, np.uint8).copy()
            damaged[dice.integers(0, len(damaged), 8)] = dice.integers(0, 256, 8)
            path = tmp_path / f"damaged.{ending}"
            path.write_bytes(damaged.tobytes()[: int(dice.integers(1, len(damaged) + 1))])
            with contextlib.suppress(Unusable):
                assert decode(path).dtype == np.uint8
