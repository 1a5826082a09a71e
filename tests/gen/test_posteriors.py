"""Flows: their log-determinant is that of their Jacobian, they can be inverted, and without weights they do nothing."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from gen import posteriors
from gen.autoencoder import Autoencoder
from gen.families.base import ModelConfig
from gen.posteriors import Flow, PosteriorName, Step
from tests.gen.test_families import config

IMAGES, CODES, LATENT = 3, 2, 4


def made(name: PosteriorName, latent_dim: int = LATENT, scale: float = 1.0) -> tuple[Flow, Tensor]:
    """A flow of three steps far from doing nothing, and a context."""
    random = torch.Generator().manual_seed(0)
    flow = posteriors.flow(name, latent_dim, flows=3, width=2 * latent_dim + 1)
    assert flow is not None
    for weight in flow.double().parameters():
        nn.init.normal_(weight, std=scale, generator=random)
    return flow, scale * torch.randn(IMAGES, flow.context, generator=random, dtype=torch.float64)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


# Larger weights of an iaf close its gates so far that the Jacobian, multiplied out, is singular in float64.
@pytest.mark.parametrize(("name", "scale"), [("planar", 0.3), ("planar", 3.0), ("iaf", 0.1), ("iaf", 0.5)])
@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_the_log_determinant_is_that_of_the_jacobian(name: PosteriorName, scale: float, latent_dim: int) -> None:
    flow, context = made(name, latent_dim, scale)
    codes = drawn(IMAGES, CODES, latent_dim)
    _, found = flow(codes, context)
    for image in range(IMAGES):
        for code in range(CODES):

            def bent(single: Tensor, told: Tensor = context[image : image + 1]) -> Tensor:
                return flow(single[None, None], told)[0][0, 0]

            jacobian = torch.autograd.functional.jacobian(bent, codes[image, code])
            sign, expected = torch.linalg.slogdet(jacobian)
            assert sign == 1, "or it could not be inverted"
            torch.testing.assert_close(found[image, code], expected)


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_a_planar_step_rises_along_its_direction_and_so_can_be_inverted(scale: float) -> None:
    flow = posteriors.Planar(1, flows=1)
    context = scale * drawn(200, flow.context)
    line = torch.linspace(-4, 4, 401, dtype=torch.float64).view(1, -1, 1).expand(200, -1, -1)
    rises = flow(line, context)[0].diff(dim=1)
    assert (rises > 0).all()


@pytest.mark.parametrize("backwards", [False, True])
def test_a_latent_sees_those_before_it_alone_and_all_see_the_image(backwards: bool) -> None:
    step = Step(LATENT, 2 * LATENT, backwards=backwards).double()
    for weight in step.parameters():
        nn.init.uniform_(weight, 0.1, 1.0, generator=torch.Generator().manual_seed(0))
    codes, context = drawn(LATENT), drawn(2 * LATENT)

    def shift(codes: Tensor, context: Tensor) -> Tensor:
        return torch.cat([each[0, 0] for each in step(codes[None, None], context[None])])

    of_codes, of_context = torch.autograd.functional.jacobian(shift, (codes, context))
    before = torch.ones(LATENT, LATENT).tril(-1)
    before = before.flip(0, 1) if backwards else before
    assert torch.equal((of_codes != 0).double(), before.double().repeat(2, 1))
    assert (of_context != 0).any(1).all()


@pytest.mark.parametrize("name", ["planar", "iaf"])
def test_without_weights_a_flow_does_nothing(name: PosteriorName) -> None:
    flow, context = made(name, scale=0.0)
    codes = drawn(IMAGES, CODES, LATENT)
    bent, log_determinant = flow(codes, context)
    assert torch.equal(bent, codes)
    torch.testing.assert_close(log_determinant, torch.zeros(IMAGES, CODES, dtype=torch.float64))


@pytest.mark.parametrize("name", ["planar", "weighted"])
def test_with_a_flow_that_does_nothing_an_autoencoder_is_one_without(name: str) -> None:
    plain = {"posterior": "diagonal", "flows": 0, "flow_width": 0}
    bent, diagonal = (built(config(name, **changes)) for changes in ({}, plain))
    for key, weight in bent.named_parameters():
        if key.startswith(("flow", "encoder.context")):
            nn.init.zeros_(weight)
    shared = {key: value for key, value in bent.state_dict().items() if key in diagonal.state_dict()}
    diagonal.load_state_dict(shared)
    images = drawn(IMAGES, 1, 28, 28).tanh()
    noise = drawn(IMAGES, CODES, bent.latent_dim)
    torch.testing.assert_close(bent.log_weights(images, noise), diagonal.log_weights(images, noise))
    torch.testing.assert_close(bent.codes(images), diagonal.codes(images))
    torch.testing.assert_close(bent.reconstruct(images), diagonal.reconstruct(images))


def built(settings: ModelConfig) -> Autoencoder:
    network = settings.build((1, 28, 28), torch.Generator().manual_seed(0))
    assert isinstance(network, Autoencoder)
    return network.double().requires_grad_(False)


@pytest.mark.parametrize("name", ["vae", "planar", "weighted"])
def test_a_weight_is_prior_times_likelihood_over_the_posterior(name: str) -> None:
    model, images = built(config(name)), drawn(1, 1, 28, 28).tanh()
    noise = drawn(1, CODES, model.latent_dim)
    mean, log_variance, *context = model.encoder(model.seen(images))
    start = mean + noise * (log_variance / 2).exp()
    codes, log_determinant = model.flow(start, *context) if model.flow else (start, 0)
    posterior = Normal(mean, (log_variance / 2).exp()).log_prob(start).sum(2) - log_determinant
    prior = Normal(0, 1).log_prob(codes).sum(2)
    logits, shares = model.decoder(codes[0]), model.seen(images).add(1) / 2
    pixels = shares * nn.functional.logsigmoid(logits) + (1 - shares) * nn.functional.logsigmoid(-logits)
    expected = pixels.sum((1, 2, 3))[None] + prior - posterior
    torch.testing.assert_close(model.log_weights(images, noise), expected)
    nll, kl = model.evidence(images, noise[:, 0])
    torch.testing.assert_close(nll, -pixels.sum((1, 2, 3))[:1])
    if model.flow:
        torch.testing.assert_close(kl, (posterior - prior)[:, 0])


@pytest.mark.parametrize("name", ["planar", "iaf"])
def test_a_bent_density_has_all_its_mass(name: PosteriorName) -> None:
    """Codes of one latent on a fine line: q is one over the line, where a density of another form would not be."""
    flow, context = made(name, latent_dim=1)
    line = torch.linspace(-8, 8, 20001, dtype=torch.float64).view(1, -1, 1)
    with torch.no_grad():
        codes, log_determinant = flow(line, context[:1])
    density = (-line.squeeze(2).square() / 2 - math.log(2 * math.pi) / 2 - log_determinant).exp()
    assert float(torch.trapezoid(density, codes.squeeze(2))) == pytest.approx(1, abs=1e-6)
