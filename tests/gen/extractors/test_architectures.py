"""The networks against what is published of them: arithmetic written out once more, and figures with real weights."""

import gzip
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from gen.extractors import inception, lenet
from gen.extractors.resize import resize_bilinear
from gen.images import Pixels
from tests.gen.extractors import reference

MIRROR = Path(os.environ.get("GENFLOWS_MIRROR", "-"))
needs_mirror = pytest.mark.skipif(not (MIRROR / "features").is_dir(), reason="needs the mirror of public data")


def pictures(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def drawn_weights(tap: str) -> dict[str, Tensor]:
    """Weights that keep the size of what goes through, and statistics of norms that are not the usual ones."""
    generator = torch.Generator().manual_seed(0)
    state = inception.Inception(tap).state_dict()
    for name, tensor in state.items():
        if name.endswith("conv.weight"):
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        else:
            low = -0.2 if name.endswith(("bias", "mean")) else 0.8
            tensor.uniform_(low, low + 0.4, generator=generator)
    return state


def compare(state: dict[str, Tensor], pixels: Tensor) -> None:
    """Every tap that the weights reach agrees with the independent forward pass to 1e-5."""
    with torch.inference_mode():
        wanted = reference.features(state, inception.prepare(pixels).contiguous())
        for tap, want in wanted.items():
            network = inception.Inception(tap)
            network.load_state_dict({name: state[name] for name in network.state_dict()})
            network.to(memory_format=torch.channels_last)
            made = network.features(inception.prepare(pixels))
            assert made.shape == (len(pixels), inception.ARCHITECTURE.taps[tap])
            assert float((made - want).abs().max() / want.abs().max()) < 1e-5


def test_inception_is_the_published_network_at_every_tap() -> None:
    compare(drawn_weights("2048"), pictures(1, 32, 24, 3))


@needs_mirror
def test_inception_with_the_real_weights_up_to_768() -> None:
    (path,) = (MIRROR / "features").glob("fid-inception-*.safetensors")
    compare(safetensors.torch.load_file(path), pictures(2, 28, 28, 1))


def test_only_what_lies_before_the_tap_is_built() -> None:
    names = {tap: set(inception.Inception(tap).state_dict()) for tap in inception.PARTS}
    assert names["64"] < names["192"] < names["768"] < names["2048"]
    assert {name.split(".")[0] for name in names["64"]} == {"Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"}
    assert not any(name.startswith("Mixed_7") for name in names["768"])


def resized_by_hand(image: Pixels, height: int, width: int) -> np.ndarray:
    """One image [H, W, C], pixel by pixel."""
    made = np.zeros((height, width, image.shape[2]), np.float32)
    down, across = np.float32(image.shape[0]) / np.float32(height), np.float32(image.shape[1]) / np.float32(width)
    pixels = image.astype(np.float32)
    for row in range(height):
        for column in range(width):
            y, x = np.float32(row) * down, np.float32(column) * across
            top, left = int(y), int(x)
            bottom, right = min(top + 1, image.shape[0] - 1), min(left + 1, image.shape[1] - 1)
            dx, dy = x - np.float32(left), y - np.float32(top)
            upper = pixels[top, left] + (pixels[top, right] - pixels[top, left]) * dx
            lower = pixels[bottom, left] + (pixels[bottom, right] - pixels[bottom, left]) * dx
            made[row, column] = upper + (lower - upper) * dy
    return made


@pytest.mark.parametrize("size", [(7, 5), (28, 28), (1, 1), (40, 299)])
def test_resizing_is_that_of_the_original_to_the_bit(size: tuple[int, int]) -> None:
    pixels = pictures(2, *size, 3)
    made = resize_bilinear(pixels.float(), 31, 40)
    for image, want in zip(made, pixels, strict=True):
        np.testing.assert_array_equal(image.numpy(), resized_by_hand(want.numpy(), 31, 40))


def test_images_of_the_networks_own_size_are_not_resized() -> None:
    pixels = pictures(1, 299, 299, 3)
    want = (pixels.float() - 128) / 128
    assert torch.equal(inception.prepare(pixels), want.permute(0, 3, 1, 2))


def test_a_grey_image_is_one_of_three_equal_colours() -> None:
    grey = pictures(1, 9, 9, 1)
    assert torch.equal(inception.prepare(grey), inception.prepare(grey.expand(-1, -1, -1, 3)))


@needs_mirror
def test_lenet_tells_real_digits_apart() -> None:
    """98.2 % of the test set, as its authors say; of its first 1,000 a little less."""
    folder = MIRROR / "mnist"
    images, labels = (
        np.frombuffer(gzip.decompress((folder / f"t10k-{part}-ubyte.gz").read_bytes()), np.uint8, 1000 * each, head)
        for part, each, head in (("images-idx3", 28 * 28, 16), ("labels-idx1", 1, 8))
    )
    network = lenet.LeNet()
    network.load_state_dict(safetensors.torch.load_file(MIRROR / "features" / "lenet-mnist.safetensors"))
    with torch.inference_mode():
        made = network.features(lenet.prepare(torch.tensor(images).reshape(-1, 28, 28, 1)))
        told = network.logits(made).argmax(1).numpy()
    assert made.shape == (1000, 84)
    assert (told == labels).mean() > 0.975


@pytest.mark.parametrize(
    ("bounds", "words", "fitting", "others"),
    [
        ({}, "grey or RGB images of any size", [(1, 900, 3), (30, 20, 1)], [(8, 8, 4)]),
        ({"channels": (1,), "largest": 28}, "grey images of at most 28 x 28 pixels", [(28, 5, 1)], [(29, 5, 1)]),
        ({"smallest": 32}, "grey or RGB images of at least 32 x 32 pixels", [(32, 99, 1)], [(31, 99, 1)]),
        ({"channels": (3,), "smallest": 8, "largest": 8}, "RGB images of 8 x 8 pixels", [(8, 8, 3)], [(8, 8, 1)]),
    ],
)
def test_what_an_architecture_takes_is_what_it_says(
    bounds: dict[str, Any], words: str, fitting: list[tuple[int, int, int]], others: list[tuple[int, int, int]]
) -> None:
    architecture = replace(inception.ARCHITECTURE, **bounds)
    assert architecture.taken == words
    assert all(architecture.takes(*shape) for shape in fitting)
    assert not any(architecture.takes(*shape) for shape in others)


def test_lenet_pads_what_is_smaller() -> None:
    small = pictures(1, 5, 6, 1)
    padded = lenet.prepare(small)
    assert padded.shape == (1, 1, 32, 32)
    assert torch.equal(padded[0, 0, 13:18, 13:19], small[0, :, :, 0] / 255)
    assert float(padded.sum()) == pytest.approx(float(small.float().sum()) / 255)
