"""Grey images become black and white by the chance that their greys say: once and for all, or anew each time."""

import pytest
import torch

from gen import binarisation
from gen.images import to_float

RAMP = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1)


def greys(count: int) -> torch.Tensor:
    """Images in which each of the 256 levels stands once, in another order each."""
    random = torch.Generator().manual_seed(0)
    orders = [torch.randperm(256, generator=random) for _ in range(count)]
    return to_float(torch.stack([RAMP.view(-1)[order].view(16, 16, 1) for order in orders]))


def whites(kind: str, images: torch.Tensor) -> torch.Tensor:
    if kind == "fixed":
        return binarisation.fixed(images)
    noise = torch.randn(len(images), 256, generator=torch.Generator().manual_seed(1))
    return binarisation.drawn(images, noise)


@pytest.mark.parametrize("kind", ["fixed", "drawn"])
def test_each_level_is_white_as_often_as_it_is_bright(kind: str) -> None:
    images = greys(4000)
    made = whites(kind, images)
    assert made.shape == images.shape
    assert set(made.unique().tolist()) == {-1, 1}
    for level in range(256):
        share = level / 255
        found = float((made[(images * 127.5 + 127.5).round() == level] == 1).double().mean())
        assert abs(found - share) <= 5 * (share * (1 - share) / 4000) ** 0.5


@pytest.mark.parametrize("kind", ["fixed", "drawn"])
def test_pixels_and_images_fall_independently(kind: str) -> None:
    half = to_float(torch.full((2000, 16, 16, 1), 128, dtype=torch.uint8))
    half[:, 0, 0, :] = greys(2000)[:, 0, 0, :]  # images differ in one row at least
    rows = whites(kind, half).flatten(1)[:, 16:]
    rows = rows[(half.flatten(1)[:, :16][:, None] == half.flatten(1)[:, :16]).all(2).sum(1) == 1]
    assert len(rows) > 1900
    correlations = torch.corrcoef(rows.T)
    correlations.fill_diagonal_(0)
    assert correlations.abs().max() < 6 / len(rows) ** 0.5
    between = torch.corrcoef(rows[:300])
    between.fill_diagonal_(0)
    assert between.abs().max() < 6 / rows.shape[1] ** 0.5


def test_what_becomes_of_an_image_depends_on_its_pixels_alone() -> None:
    images = greys(10)
    made = binarisation.fixed(images)
    assert torch.equal(binarisation.fixed(images[3:5]), made[3:5])
    assert torch.equal(binarisation.fixed(images.flip(0)), made.flip(0))
    assert torch.equal(binarisation.fixed(images.double()), made.double())
    assert torch.equal(binarisation.fixed(images.contiguous(memory_format=torch.contiguous_format)), made)
    other = images.clone()
    other[0, 0, 0, 0] = -other[0, 0, 0, 0]
    assert 80 < (binarisation.fixed(other)[0] != made[0]).sum() < 130, "one pixel changes all draws"


def test_it_is_what_it_always_was() -> None:
    """A change of these bits is another protocol of every likelihood that was ever reported."""
    bits = (binarisation.fixed(to_float(RAMP)).flatten() == 1).int()
    found = [int("".join(map(str, row)), 2) for row in bits.view(8, 32).tolist()]
    assert found == [0x10000, 0x4002000, 0x2941A19A, 0x1145018A, 0x92A057F2, 0x9A1EBFFE, 0xBEFE75F7, 0xFBFDFFFF]


@pytest.mark.parametrize("kind", ["fixed", "drawn"])
def test_black_and_white_stay_as_they_are(kind: str) -> None:
    once = whites(kind, greys(50))
    assert torch.equal(whites(kind, once), once)


def test_another_draw_is_another_image() -> None:
    images = greys(1)
    noise = torch.randn(2, 256, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(binarisation.drawn(images, noise[:1]), binarisation.drawn(images, noise[1:]))
