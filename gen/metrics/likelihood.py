"""How well an autoencoder explains images: the error of its reconstructions, its bounds on the likelihood, its code."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gen.losses import importance_weighted_nll
from gen.metrics.halves import Mask

VERSION = 1
ACTIVE = 0.01
"""Variance of a latent's posterior mean over images above which it is active (Burda et al. 2016, section 5.2)."""


def reconstruction_errors(reconstructed: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of each image [N], of images [N, C, H, W] in [-1, 1]; black against white is 4."""
    return (reconstructed - images).square().flatten(1).mean(1)


def negative_elbos(nll: Tensor, kl: Tensor) -> Tensor:
    """-ELBO of each image [N] in nats, summed over pixels and latents (Kingma & Welling 2014, eq. 3)."""
    return nll + kl


def negative_iwaes(log_weights: Tensor) -> Tensor:
    """The importance-weighted bound of each image [N] in nats, negated (Burda et al. 2016, eq. 8).

    From log p(x, z) - log q(z|x) [N, K] of K samples of the posterior. In expectation it falls as K grows, from the
    negative ELBO at K = 1 to the negative log-likelihood.
    """
    return importance_weighted_nll(log_weights.double())


def active_units(means: NDArray[np.floating], masks: Mask) -> NDArray[np.float64]:
    """How many latents are active in R subsets of the posterior means [N, d], masks [R, N]: [R]."""
    centred = means.astype(np.float64) - means.mean(0, np.float64)
    counts = masks.sum(1, keepdims=True)
    variances = masks @ np.square(centred) / counts - np.square(masks @ centred / counts)
    return np.asarray((variances * counts / (counts - 1) > ACTIVE).sum(1).astype(np.float64))
