"""Losses: tensors in, a scalar or one value an image out. Discriminators give logits; softplus keeps them exact.

log(1 + exp(x)) is softplus(x), so -log sigmoid(x) is softplus(-x) without ever forming a probability.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, relu, softplus

AdversarialName = Literal["non-saturating", "hinge", "least-squares", "relativistic", "wasserstein"]
LEVEL = 2 / 255
"""From one of the 256 levels of a pixel to the next, in [-1, 1]."""
SHARPEST = -7.0
"""The log of the least scale of a logistic: below it a pixel that never changes would pay without bound."""


class Adversarial(NamedTuple):
    """Both sides of a game, as functions of the logits [N] of real and of generated images."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]


def adversarial(name: AdversarialName) -> Adversarial:
    """The game called `name`."""
    match name:
        case "non-saturating":  # Goodfellow et al. 2014, arXiv 1406.2661, section 3
            return Adversarial(
                lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
                lambda _, fake: softplus(-fake).mean(),
            )
        case "hinge":  # Lim and Ye 2017, arXiv 1705.02894
            return Adversarial(
                lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
                lambda _, fake: -fake.mean(),
            )
        case "least-squares":  # LSGAN: Mao et al. 2017, arXiv 1611.04076, equation 9
            return Adversarial(
                lambda real, fake: 0.5 * (least_squares(real, 1) + least_squares(fake, 0)),
                lambda _, fake: 0.5 * least_squares(fake, 1),
            )
        case "relativistic":  # RpGAN: Huang et al. 2024, arXiv 2501.05441, equation 2
            return Adversarial(
                lambda real, fake: softplus(fake - real).mean(),
                lambda real, fake: softplus(real - fake).mean(),
            )
        case "wasserstein":  # Arjovsky et al. 2017, arXiv 1701.07875, equation 2: only for a critic of bounded slope
            return Adversarial(
                lambda real, fake: fake.mean() - real.mean(),
                lambda _, fake: -fake.mean(),
            )


def least_squares(scores: Tensor, target: float) -> Tensor:
    """Mean squared distance of a discriminator's scores from `target` (LSGAN, arXiv 1611.04076)."""
    return (scores - target).square().mean()


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats of each latent: [N, d] to [N, d] (arXiv 1312.6114, B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def bernoulli_nll(logits: Tensor, images: Tensor) -> Tensor:
    """-log p(x) in nats, summed over pixels, [N]. Images [N, C, H, W] in [-1, 1]; greys count as probabilities."""
    intensities = images.add(1).mul(0.5)
    return binary_cross_entropy_with_logits(logits, intensities, reduction="none").flatten(1).sum(1)


def gaussian_nll(means: Tensor, images: Tensor, log_sigma: Tensor) -> Tensor:
    """-log N(x; mean, sigma^2) in nats, summed over pixels, [N]; one learned `log_sigma` (arXiv 2006.13202)."""
    standardised = (images - means) * torch.exp(-log_sigma)
    return (0.5 * standardised.square() + log_sigma + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


def discretised_logistic_nll(means: Tensor, images: Tensor, log_scale: Tensor) -> Tensor:
    """-log p(x) of 256 levels in nats, summed over pixels, [N] (Salimans et al. 2017, arXiv 1701.05517, equation 2).

    Of one logistic a pixel, its log-scale learned for each channel, [C, 1, 1]. A level has what lies within half a
    level of it; the first has all below as well, and the last all above.
    """
    rate = torch.exp(-log_scale.clamp_min(SHARPEST))
    above, below = (images - means + LEVEL / 2) * rate, (images - means - LEVEL / 2) * rate
    first, last = images < -1 + LEVEL / 2, images > 1 - LEVEL / 2
    # sigmoid(above) - sigmoid(below), divided into factors of which none cancels.
    under, over = softplus(-above).masked_fill(last, 0), softplus(below).masked_fill(first, 0)
    width = torch.log(-torch.expm1(-LEVEL * rate)).expand_as(images).masked_fill(first | last, 0)
    return (under + over - width).flatten(1).sum(1)


def importance_weighted_nll(log_weights: Tensor) -> Tensor:
    """The bound on -log p(x) of each image [N] in nats that K codes give (Burda et al. 2016, eq. 8), from [N, K].

    `log_weights` are log p(x, z) - log q(z|x).
    """
    return math.log(log_weights.shape[1]) - log_weights.logsumexp(1)
