"""What a VAE's training goes down: each option has a case in which its answer is known."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gen import binarisation, losses
from gen.families.vae import VaeTrainer
from gen.training import Training
from tests.gen.test_families import begun, config, ramps


class Watched:
    """A training whose losses are written down, and whose networks stay as they are."""

    def __init__(self, name: str, **changes: Any) -> None:
        self.training = begun(config(name, **changes))
        assert isinstance(self.training.trainer, VaeTrainer)
        self.trainer = self.training.trainer
        self.seen: list[Tensor] = []
        self.trainer.update = lambda _, loss: self.seen.append(loss.detach())  # type: ignore[method-assign]

    def step(self, progress: float = 0.5) -> tuple[float, dict[str, float]]:
        """The loss, and what is journalled."""
        told = self.trainer.step(self.training.batches.at(0), progress)
        return float(self.seen[-1]), {name: float(value) for name, value in told.items()}


def test_a_warm_up_of_beta_begins_without_the_kl() -> None:
    watched = Watched("vae", beta={"value": 1, "warm_up": 0.5})
    for progress, share in ((0.0, 0.0), (0.125, 0.25), (0.5, 1.0), (0.9, 1.0)):
        loss, told = watched.step(progress)
        assert loss == pytest.approx(told["nll"] + share * told["kl"])
        assert told["negative_elbo"] == pytest.approx(told["nll"] + told["kl"]), "what is told is the bound all along"


def test_free_bits_cost_as_much_as_none() -> None:
    watched = Watched("dense-vae", free_bits=0.0)
    loss, told = watched.step()
    assert loss == pytest.approx(told["nll"] + told["kl"])
    for free in (1e-4, 0.02, 50.0):
        watched = Watched("dense-vae", free_bits=free)
        model, (images,) = watched.trainer.autoencoder, watched.training.batches.at(0)
        mean, log_variance = model.encoder(model.seen(images))
        each = losses.kl_to_standard_normal(mean, log_variance).mean(0).detach()
        loss, told = watched.step()
        assert loss == pytest.approx(told["nll"] + float(each.clamp_min(free).sum()), rel=1e-6)
        assert told["kl"] == pytest.approx(float(each.sum()), rel=1e-5), "what is told is the whole KL"


def test_a_latent_below_its_free_bits_is_left_in_peace() -> None:
    trainer = Watched("dense-vae", free_bits=1.0).trainer
    kl = torch.tensor([[0.1, 0.1, 5.0], [0.3, 1.7, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(trainer._above_free(kl), kl)
    assert gradient.tolist() == [[0, 0, 0.5], [0, 0, 0.5]]


def test_the_bound_of_many_codes_is_the_reported_one() -> None:
    watched = Watched("weighted", importance_samples=7, binarisation="none")
    before = watched.trainer.randomness.get_state()
    loss, told = watched.step()
    watched.trainer.randomness.set_state(before)
    (images,) = watched.training.batches.at(0)
    noise = watched.trainer.noise(images, 7 * 5).view(len(images), 7, 5)
    weights = watched.trainer.autoencoder.log_weights(images, noise).detach()
    assert loss == pytest.approx(float(losses.importance_weighted_nll(weights).mean()))
    assert told["negative_iwae"] == pytest.approx(loss)
    assert told["negative_elbo"] == pytest.approx(-float(weights.mean())) == pytest.approx(told["nll"] + told["kl"])
    assert told["negative_iwae"] < told["negative_elbo"]


def test_binarised_once_a_training_sees_the_same_images_in_every_pass() -> None:
    watched = Watched("vae", binarisation="static")
    images = to_seen(watched.training)
    assert all(torch.equal(seen, images[0]) for seen in images)
    assert torch.equal(images[0], binarisation.fixed(watched.training.batches.at(0)[0]))


def test_binarised_anew_a_training_sees_other_images_each_time_and_their_mean_is_the_grey() -> None:
    watched = Watched("vae", binarisation="dynamic")
    images = torch.stack(to_seen(watched.training, count=400))
    assert not torch.equal(images[0], images[1])
    assert set(images.unique().tolist()) == {-1, 1}
    greys = watched.training.batches.at(0)[0]
    assert float((images.mean(0) - greys).abs().max()) < 6 / 400**0.5
    model = watched.trainer.autoencoder
    assert torch.equal(model.seen(images[3]), images[3])
    assert torch.equal(model.seen(greys), binarisation.fixed(greys)), "and measured on one draw"


def to_seen(training: Training, count: int = 3) -> list[Tensor]:
    trainer = training.trainer
    assert isinstance(trainer, VaeTrainer)
    return [trainer._seen(training.batches.at(0)[0]) for _ in range(count)]


@pytest.mark.parametrize("name", ["conditional-vae", "conditional-flow"])
def test_a_conditional_training_counts_the_class_and_watches_the_code(name: str) -> None:
    watched = Watched(name)
    _, told = watched.step()
    (images, classes), model = watched.training.batches.at(0), watched.trainer.autoencoder
    dark = torch.tensor((ramps(config(name))[0].max((1, 2, 3)) <= 159).mean())
    expected = -torch.where(classes == 0, dark, 1 - dark).log().mean()
    assert told["kl"] - told["kl_of_code"] == pytest.approx(float(expected), rel=1e-4)
    assert told["negative_elbo"] == pytest.approx(told["nll"] + told["kl"], rel=1e-5)
    assert watched.trainer.signs({"kl": 2.3, "kl_of_code": 0.01}), "that of the class hides no collapse"
    assert not watched.trainer.signs({"kl": 2.3, "kl_of_code": 0.5})
    assert model.likeliest(images) is not None


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_greys_are_measured_as_what_they_are_binarised_to(kind: str) -> None:
    model: Any = begun(config("vae", binarisation=kind)).average.network
    greys = torch.from_numpy(ramps(config("vae"))[0]).permute(0, 3, 1, 2) / 127.5 - 1
    noise = torch.randn(len(greys), 2, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for measured in (
            lambda images: model.log_weights(images, noise),
            lambda images: sum(model.evidence(images, noise[:, 0])),
            model.reconstruct,
            model.codes,
        ):
            assert torch.equal(measured(greys), measured(binarisation.fixed(greys)))
