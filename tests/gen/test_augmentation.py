"""Changes of images have closed forms, go through to the gradient, and come as often as they are asked for."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from gen.augmentation import DRAWS, RISE, Augmentation, Kind, changed
from gen.parallel import ALONE
from tests.gen.test_families import begun, config

KINDS: list[Kind] = ["colour", "translation", "cutout"]
CPU = torch.device("cpu")


def pictures(channels: int = 3, size: int = 8, count: int = 64) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def numbers(count: int, size: int) -> Tensor:
    return torch.rand(count, size, generator=torch.Generator().manual_seed(1))


def test_colours_in_the_middle_of_their_ranges_stay() -> None:
    images = pictures()
    torch.testing.assert_close(changed("colour", images, torch.full((64, 3), 0.5)), images)


def test_brightness_adds_saturation_and_contrast_stretch() -> None:
    images = pictures()
    brighter = changed("colour", images, torch.tensor([0.75, 0.5, 0.5]).expand(64, 3))
    torch.testing.assert_close(brighter, images + 0.25)
    grey = changed("colour", images, torch.tensor([0.5, 0.0, 0.5]).expand(64, 3))
    torch.testing.assert_close(grey, images.mean(1, keepdim=True).expand_as(images))
    flat = changed("colour", images, torch.tensor([0.5, 0.5, 0.0]).expand(64, 3))
    torch.testing.assert_close(flat.std((1, 2, 3)), images.std((1, 2, 3)) / 2)
    torch.testing.assert_close(flat.mean((1, 2, 3)), images.mean((1, 2, 3)))


@pytest.mark.parametrize(("share", "moved"), [(0.0, -2), (0.5, 0), (0.999, 2)])
def test_translation_moves_by_at_most_an_eighth_and_fills_with_zeros(share: float, moved: int) -> None:
    images = pictures(size=16)
    made = changed("translation", images, torch.tensor([share, 0.5]).expand(64, 2))
    expected = torch.zeros_like(images)
    kept = slice(max(moved, 0), 16 + min(moved, 0))
    expected[:, :, kept] = images[:, :, max(-moved, 0) : 16 - max(moved, 0)]
    assert torch.equal(made, expected)
    sideways = changed("translation", images.mT, torch.tensor([0.5, share]).expand(64, 2))
    assert torch.equal(sideways, expected.mT)


def test_cutout_takes_a_square_of_half_the_side_where_it_lies_inside() -> None:
    images = torch.ones(1, 1, 8, 8)
    made = changed("cutout", images, torch.tensor([[0.5, 0.5]]))
    expected = images.clone()
    expected[:, :, 2:6, 2:6] = 0
    assert torch.equal(made, expected)
    corner = changed("cutout", images, torch.tensor([[0.0, 0.0]]))
    assert corner[0, 0, :2, :2].sum() == 0
    assert corner.sum() == 64 - 4


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_go_through_to_the_images(kind: Kind) -> None:
    images, drawn = pictures(size=5, count=2).double().requires_grad_(), numbers(2, DRAWS[kind]).double()
    assert torch.autograd.gradcheck(lambda batch: changed(kind, batch, drawn), images)


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_is_changed_by_its_own_numbers(kind: Kind) -> None:
    images, drawn = pictures(), numbers(64, DRAWS[kind])
    torch.testing.assert_close(changed(kind, images, drawn)[7:9], changed(kind, images[7:9], drawn[7:9]))


def test_what_has_probability_zero_changes_nothing_and_half_about_half() -> None:
    augmentation, images = Augmentation(KINDS, 0.6, CPU), pictures()
    drawn = numbers(64, augmentation.draws)
    assert torch.equal(augmentation(images, drawn), images)
    augmentation = Augmentation(["cutout"], 0.6, CPU)
    augmentation.probability.fill_(0.5)
    touched = (augmentation(images, numbers(64, augmentation.draws)) != images).flatten(1).any(1).sum()
    assert 20 < touched < 44
    always = Augmentation(["cutout"], None, CPU)
    assert always.memory() == {}
    assert (always(images, drawn[:, :3]) != images).flatten(1).any(1).all()


def test_its_probability_follows_the_sign_of_real_logits_every_fourth_batch() -> None:
    augmentation = Augmentation(KINDS, 0.6, CPU)
    seen = []
    for sign in [1.0] * 8 + [0.5] * 4 + [0.0] * 4:
        # A mean sign of `sign`, of 100 real images.
        logits = torch.arange(100.0) - 50 * (1 - sign) + 0.5
        augmentation.adapt(logits, ALONE)
        seen.append(float(augmentation.probability))
    step = 4 * 100 / RISE
    assert seen[3::4] == pytest.approx([step, 2 * step, step, 0.0])
    assert seen[2] == 0
    assert seen[4] == seen[5] == seen[6] == seen[3]


def test_a_discriminator_that_is_sure_is_shown_more_changes_and_what_is_published_none() -> None:
    training = begun(config("spectral", images=640, log_every=16))
    records = [training.step().record for _ in range(40)]
    told = [record.losses["augment_probability"] for record in records if record]
    step = 4 * 8 / RISE
    assert {round(abs(b - a) / step) for a, b in pairwise(told)} <= {0, 1}
    assert told[-1] == pytest.approx(float(training.trainer.memory()["augment.probability"]))
    network = training.average.network
    assert not [name for name, _ in network.named_buffers() if "augment" in name]
