"""Losses and penalties have closed forms, and gradients that go the right way."""

import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from gen import losses
from gen.penalties import between, gradient_norm_off_one, gradient_norm_squared

LOGITS = torch.linspace(-4, 4, 9, dtype=torch.float64)


def test_non_saturating_is_the_log_likelihood_of_the_classes() -> None:
    game = losses.adversarial("non-saturating")
    expected = -torch.sigmoid(LOGITS).log().mean() - (1 - torch.sigmoid(-LOGITS)).log().mean()
    torch.testing.assert_close(game.discriminator(LOGITS, -LOGITS), expected)
    torch.testing.assert_close(game.generator(LOGITS, LOGITS), -torch.sigmoid(LOGITS).log().mean())


def test_no_logit_is_too_large() -> None:
    game = losses.adversarial("non-saturating")
    far = torch.tensor([1e4, -1e4])
    assert math.isfinite(game.discriminator(-far, far))
    assert math.isfinite(game.generator(far, far))


def test_hinge_is_flat_beyond_its_margin() -> None:
    game = losses.adversarial("hinge")
    assert game.discriminator(torch.tensor([1.0, 2.0]), torch.tensor([-1.0, -3.0])) == 0
    assert game.discriminator(torch.tensor([0.0]), torch.tensor([0.5])) == 2.5


def test_relativistic_sees_differences_alone() -> None:
    game = losses.adversarial("relativistic")
    a, b = LOGITS, LOGITS.flip(0) / 2
    torch.testing.assert_close(game.discriminator(a, b), game.discriminator(a + 7, b + 7))
    torch.testing.assert_close(game.generator(a, b), game.discriminator(b, a))


def test_least_squares_pulls_scores_to_one_and_zero() -> None:
    game = losses.adversarial("least-squares")
    assert game.discriminator(torch.tensor([1.0, 1.0]), torch.tensor([0.0])) == 0
    assert game.discriminator(torch.tensor([3.0]), torch.tensor([1.0])) == 2.5
    assert game.generator(torch.tensor([9.0]), torch.tensor([-1.0, 1.0])) == 1


def test_wasserstein_is_the_distance_of_two_points_under_the_best_critic_of_slope_one() -> None:
    game = losses.adversarial("wasserstein")
    real, fake = torch.tensor([2.0, 4.0]), torch.tensor([-1.0, 1.0])  # each a mean of 3 apart
    assert game.discriminator(real, fake) == -3
    assert game.generator(real, fake) == 0
    assert game.discriminator(real + 7, fake + 7) == -3


@pytest.mark.parametrize("name", get_args(losses.AdversarialName))
def test_both_players_pull_the_generated_logit_apart(name: losses.AdversarialName) -> None:
    game = losses.adversarial(name)
    fake = torch.full((1,), 0.5, requires_grad=True)
    (down,) = torch.autograd.grad(game.discriminator(torch.zeros(1), fake), fake)
    (up,) = torch.autograd.grad(game.generator(torch.zeros(1), fake), fake)
    assert down > 0 > up


def test_kl_equals_the_library_s() -> None:
    mean, log_variance = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros(3), torch.ones(3)))
    torch.testing.assert_close(losses.kl_to_standard_normal(mean, log_variance), expected)


def test_likelihoods_equal_the_library_s_summed_over_pixels() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 3, 3, generator=random)
    binary = torch.randint(0, 2, (4, 1, 3, 3), generator=random).float()
    expected = -Bernoulli(logits=logits).log_prob(binary).sum((1, 2, 3))
    torch.testing.assert_close(losses.bernoulli_nll(logits, binary * 2 - 1), expected)
    sigma = torch.tensor(0.3)
    expected = -Normal(logits, sigma).log_prob(binary).sum((1, 2, 3))
    torch.testing.assert_close(losses.gaussian_nll(logits, binary, sigma.log()), expected)


LEVELS = torch.arange(256, dtype=torch.float64) * 2 / 255 - 1


@pytest.mark.parametrize("mean", [-3.0, -1.0, -0.004, 0.3, 1.0, 40.0])
@pytest.mark.parametrize("log_scale", [-20.0, -7.0, -4.0, 0.0, 5.0])
def test_the_256_levels_of_a_discretised_logistic_are_all_that_there_is(mean: float, log_scale: float) -> None:
    means = torch.full((256, 1, 1, 1), mean, dtype=torch.float64)
    nll = losses.discretised_logistic_nll(means, LEVELS.view(-1, 1, 1, 1), torch.tensor([[[log_scale]]]).double())
    torch.testing.assert_close(nll.neg().exp().sum(), torch.tensor(1.0).double())


def test_a_level_has_what_the_logistic_has_within_half_a_level_of_it() -> None:
    random = torch.Generator().manual_seed(0)
    means = torch.rand(256, 3, 2, 1, generator=random, dtype=torch.float64) - 0.5
    log_scale = torch.tensor([-1.0, -2.0, 0.5], dtype=torch.float64).view(3, 1, 1)
    images = LEVELS.view(-1, 1, 1, 1).expand_as(means)

    def share_below(edge: Tensor) -> Tensor:
        return torch.sigmoid((edge - means) / log_scale.exp())

    above = torch.where(images == 1, 1.0, share_below(images + 1 / 255))
    below = torch.where(images == -1, 0.0, share_below(images - 1 / 255))
    expected = -(above - below).log().sum((1, 2, 3))
    torch.testing.assert_close(losses.discretised_logistic_nll(means, images, log_scale), expected)


@pytest.mark.parametrize("log_scale", [-30.0, -7.0, 0.0, 10.0])
def test_no_mean_is_too_far_for_a_discretised_logistic_in_float32(log_scale: float) -> None:
    means = torch.linspace(-50, 50, 256).view(-1, 1, 1, 1).requires_grad_()
    spread = torch.full((1, 1, 1), log_scale, requires_grad=True)
    nll = losses.discretised_logistic_nll(means, LEVELS.float().view(-1, 1, 1, 1), spread)
    assert nll.isfinite().all()
    for gradient in torch.autograd.grad(nll.sum(), (means, spread)):
        assert gradient.isfinite().all()
    precise = losses.discretised_logistic_nll(means.double(), LEVELS.view(-1, 1, 1, 1), spread.double())
    torch.testing.assert_close(nll.double(), precise, rtol=2e-4, atol=1e-4)


def test_of_equal_weights_the_importance_weighted_bound_is_any_of_them() -> None:
    assert losses.importance_weighted_nll(torch.tensor([[-80.0, -80.0], [0.0, 0.0]])).tolist() == [80, 0]
    better = losses.importance_weighted_nll(torch.tensor([[0.0, -1e4]]))
    torch.testing.assert_close(better, torch.tensor([math.log(2)]))


def test_least_squares() -> None:
    assert losses.least_squares(torch.tensor([0.0, 3.0]), 1) == 2.5


def test_the_penalty_is_the_squared_slope_and_can_be_descended() -> None:
    slope = torch.tensor([3.0, 4.0], requires_grad=True)
    points = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    penalty: Tensor = gradient_norm_squared(points @ slope, points)
    torch.testing.assert_close(penalty, torch.tensor(25.0))
    (gradient,) = torch.autograd.grad(penalty, slope)
    torch.testing.assert_close(gradient, 2 * slope)


def test_the_slope_penalty_is_the_squared_distance_of_the_slope_from_one() -> None:
    slope = torch.tensor([3.0, 4.0], requires_grad=True)
    points = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    penalty = gradient_norm_off_one(points @ slope, points)
    torch.testing.assert_close(penalty, torch.tensor(16.0))
    (gradient,) = torch.autograd.grad(penalty, slope)
    torch.testing.assert_close(gradient, 8 * slope.detach() / 5)


def test_a_dead_discriminator_can_be_penalised() -> None:
    slope = torch.zeros(2, requires_grad=True)
    points = torch.ones(5, 2, requires_grad=True)
    penalty = gradient_norm_off_one(points @ slope, points)
    assert penalty == 1
    assert torch.autograd.grad(penalty, slope)[0].isfinite().all()


def test_points_lie_between_real_and_generated_images() -> None:
    real, fake = torch.full((3, 1, 2, 2), 2.0), torch.zeros(3, 1, 2, 2, requires_grad=True)
    points = between(real, fake, torch.tensor([[0.0], [0.25], [0.5]]))
    assert points[:, 0, 0, 0].tolist() == [0.0, 0.5, 1.0]
    assert points.is_leaf, "the generator hears nothing of the penalty"
    assert points.requires_grad
