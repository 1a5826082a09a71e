"""Bounds on a likelihood that is known: a linear VAE, whose images are normal."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gen.autoencoder import Autoencoder
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
