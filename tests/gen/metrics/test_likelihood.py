"""Bounds on a likelihood that is known: a linear VAE, whose images are normal."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gen.autoencoder import Autoencoder
from gen.classes import Classes
from gen.families.vae import VaeConfig
from gen.metrics.likelihood import active_units, negative_elbos, negative_iwaes

SIDE, LATENT = 8, 3
SIGMA = 0.5


class Coder(nn.Module):
    """The posterior of a linear decoder, its mean moved by `wrong` and its spread widened."""

    def __init__(self, weights: Tensor, wrong: float) -> None:
        super().__init__()
        precision = torch.eye(LATENT) + weights.T @ weights / SIGMA**2
        covariance = torch.linalg.inv(precision)
        self.matrix = covariance @ weights.T / SIGMA**2
        self.log_variance = covariance.diagonal().log() + wrong
        self.wrong = wrong

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean = images.flatten(1) @ self.matrix.T
        return mean + self.wrong * self.log_variance.exp().sqrt(), self.log_variance.expand_as(mean)


class Linear(nn.Module):
    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, codes: Tensor) -> Tensor:
        return (codes @ self.weights.T).view(-1, 1, SIDE, SIDE)


def linear(wrong: float) -> tuple[Autoencoder, Tensor]:
    """An autoencoder whose exact posterior is known, with independent latents, and the weights of its decoder."""
    config = VaeConfig.model_validate(
        {"family": "vae", "dataset": "d", "network": "convolutional", "init": "random", "likelihood": "gaussian",
         "latent_dim": LATENT, "width": 2, "images": 1, "batch": 1, "learning_rate": 0.001}
    )  # fmt: skip
    made = config.build((1, SIDE, SIDE), torch.Generator().manual_seed(0)).double()
    # Columns at right angles: then the posterior's covariance is diagonal, as the encoder's.
    drawn = torch.randn(SIDE**2, LATENT, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = torch.linalg.qr(drawn).Q * torch.tensor([0.5, 1.0, 2.0])
    made.encoder, made.decoder = Coder(weights, wrong), Linear(weights)  # type: ignore[assignment]
    nn.init.constant_(made.log_sigma, float(np.log(SIGMA)))
    return made.requires_grad_(False), weights


def images(weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Images of the model itself, and log p(x) of each."""
    model = torch.distributions.MultivariateNormal(
        torch.zeros(SIDE**2, dtype=torch.float64),
        weights @ weights.T + SIGMA**2 * torch.eye(SIDE**2, dtype=torch.float64),
    )
    generator = torch.Generator().manual_seed(2)
    codes = torch.randn(count, LATENT, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, SIDE**2, generator=generator, dtype=torch.float64)
    flat = codes @ weights.T + SIGMA * noise
    return flat.view(-1, 1, SIDE, SIDE), model.log_prob(flat)


def drawn(count: int, samples: int) -> Tensor:
    return torch.randn(count, samples, LATENT, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_by_the_exact_posterior_every_sample_tells_the_likelihood() -> None:
    model, weights = linear(wrong=0.0)
    pixels, likelihood = images(weights, 20)
    found = model.log_weights(pixels, drawn(20, 5))
    torch.testing.assert_close(found, likelihood[:, None].expand(-1, 5))
    torch.testing.assert_close(negative_iwaes(found), -likelihood)


def test_by_a_wrong_one_the_bound_rises_with_its_samples_from_the_elbo_to_the_likelihood() -> None:
    model, weights = linear(wrong=0.7)
    pixels, likelihood = images(weights, 400)
    log_weights = model.log_weights(pixels, drawn(400, 4096))
    elbos = [negative_elbos(*model.evidence(pixels, noise[:, 0])).mean() for noise in drawn(400, 50).split(1, dim=1)]
    bounds = [negative_iwaes(log_weights[:, :samples]).mean() for samples in (1, 4, 16, 64, 4096)]
    assert bounds == sorted(bounds, reverse=True)
    assert float(bounds[0]) == pytest.approx(float(torch.stack(elbos).mean()), rel=0.01)
    assert float(bounds[0] + likelihood.mean()) > 1
    assert 0 < float(bounds[3] + likelihood.mean()) < 0.1
    assert float(bounds[4]) == pytest.approx(-float(likelihood.mean()), abs=0.005)


def test_bound_of_one_sample_is_the_weight_and_of_equal_ones_as_well() -> None:
    weights = torch.tensor([[-90.0], [-80.0]])
    assert negative_iwaes(weights).tolist() == [90, 80]
    assert negative_iwaes(weights.expand(-1, 64)).tolist() == pytest.approx([90, 80])
    assert negative_iwaes(torch.tensor([[-1e4, -1e4]])).tolist() == [1e4]


SHARES = (0.5, 0.1, 0.4)


class Offset(nn.Module):
    """The linear decoder, and a place of each class that no code can move along."""

    def __init__(self, weights: Tensor, places: Tensor) -> None:
        super().__init__()
        self.weights, self.places = weights, places

    def forward(self, codes: Tensor) -> Tensor:
        latents, of = codes.split(LATENT, 1)
        return (latents @ self.weights.T + of @ self.places).view(-1, 1, SIDE, SIDE)


def conditional() -> tuple[Autoencoder, Tensor, Tensor]:
    """One that knows three classes, images of it, and log p(y) + log p(x|y) of each with each class [N, 3]."""
    plain, weights = linear(wrong=0.0)
    config = VaeConfig.model_validate(
        {"family": "vae", "dataset": "d", "network": "convolutional", "init": "random", "likelihood": "gaussian",
         "latent_dim": LATENT, "width": 2, "images": 1, "batch": 1, "learning_rate": 0.001, "classes": "embedding"}
    )  # fmt: skip
    classes = Classes(names=("a", "b", "c"), shares=SHARES)
    made = config.build((1, SIDE, SIDE), torch.Generator().manual_seed(0), classes).double()
    # At right angles to the columns of the decoder: the posterior of the code is the same for all classes.
    free = torch.randn(3, SIDE**2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    axes = weights / weights.norm(dim=0)
    places = (free - free @ axes @ axes.T) * 0.15
    made.encoder, made.decoder = plain.encoder, Offset(weights, places)
    nn.init.constant_(made.log_sigma, float(np.log(SIGMA)))
    assert made.condition
    made.condition.embedding.weight.data = torch.eye(3, dtype=torch.float64)
    each = torch.multinomial(torch.tensor(SHARES), 200, True, generator=torch.Generator().manual_seed(5))
    pixels = images(weights, 200)[0] + places[each].view(-1, 1, SIDE, SIDE)
    covariance = weights @ weights.T + SIGMA**2 * torch.eye(SIDE**2, dtype=torch.float64)
    models = [torch.distributions.MultivariateNormal(place, covariance) for place in places]
    joint = torch.stack([model.log_prob(pixels.flatten(1)) for model in models], 1) + torch.tensor(SHARES).log()
    return made.requires_grad_(False), pixels, joint


def test_the_class_of_an_image_is_the_likeliest_and_its_bound_is_below_the_sum_over_classes() -> None:
    model, pixels, joint = conditional()
    classes = model.likeliest(pixels)
    assert classes is not None
    assert torch.equal(classes, joint.argmax(1))
    assert 20 < (classes == 1).sum() + (classes == 2).sum() < 180
    found = model.log_weights(pixels, drawn(200, 5))
    # By the exact posterior every sample tells log p(x, y), for the y that is likeliest.
    torch.testing.assert_close(found, joint.max(1).values[:, None].expand(-1, 5), rtol=1e-5, atol=1e-5)
    short = joint.logsumexp(1) - found[:, 0]
    assert (short > 0).all()
    assert (short < np.log(3)).all(), "the likeliest of three has a third of the sum at least"
    nll, kl = model.evidence(pixels, drawn(200, 1)[:, 0])
    assert (-(nll + kl)).mean() < joint.logsumexp(1).mean()
    torch.testing.assert_close(model.reconstruct(pixels), model._mean_image(decoded(model, pixels, classes)))


def decoded(model: Autoencoder, pixels: Tensor, classes: Tensor) -> Tensor:
    assert model.condition
    made: Tensor = model.decoder(model.condition.joined(model.codes(pixels), classes))
    return made


def test_a_told_class_costs_what_it_takes_to_say_it() -> None:
    """The bound of the true class, one-sample and many-sample, and its part of the KL."""
    model, pixels, joint = conditional()
    for y in range(3):
        of = torch.full((200,), y)
        nll, kl = model.estimates(pixels, drawn(200, 4), of)
        torch.testing.assert_close(-(nll + kl), joint[:, [y]].expand(-1, 4), rtol=1e-5, atol=1e-5)
        _, parts = model.bound(pixels, drawn(200, 1)[:, 0], of)
        assert parts.shape == (200, LATENT + 1)
        torch.testing.assert_close(parts[:, -1], torch.full((200,), -np.log(SHARES[y])), check_dtype=False)


def test_the_bound_is_the_sum_of_its_parts() -> None:
    assert negative_elbos(torch.tensor([90.0, 80.0]), torch.tensor([10.0, 5.0])).tolist() == [100, 85]


def test_units_are_active_whose_means_follow_the_image() -> None:
    random = np.random.default_rng(0)
    deviations = np.array([1.0, 0.12, 0.08, 0.0])
    means = (random.standard_normal((5000, 4)) * deviations + 50).astype(np.float32)
    masks = np.vstack([np.ones((1, 5000), np.bool_), np.arange(5000) < 2500, np.arange(5000) < 2])
    found = active_units(means, masks)
    by_hand = [(means[mask].astype(np.float64).var(0, ddof=1) > 0.01).sum() for mask in masks]
    assert found.tolist() == by_hand
    assert found[0] == 2
