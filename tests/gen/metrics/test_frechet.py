"""The Frechet distance against its closed forms, and against torchmetrics on the same features."""

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from gen.errors import TooFewImagesError
from gen.metrics.frechet import Gaussian, Moments, fit, frechet_distance


class Identity(nn.Module):
    """Features are what is given: torchmetrics then computes the distance alone."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.num_features = dimension

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def features(count: int, dimension: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Correlated, skewed, far from the origin: nothing that a shortcut would forgive."""
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((count, dimension)) @ random.standard_normal((dimension, dimension))
    return np.maximum(mixed, 0) + 10 + shift


@pytest.mark.parametrize(("count", "dimension"), [(500, 8), (700, 64), (300, 256)])
def test_equals_torchmetrics_on_the_same_features(count: int, dimension: int) -> None:
    real, made = features(count, dimension, 0), features(count + 100, dimension, 1, shift=0.5)
    oracle = FrechetInceptionDistance(feature=Identity(dimension), input_img_size=(1, 2, 2)).set_dtype(torch.float64)
    oracle.update(torch.from_numpy(real), real=True)
    oracle.update(torch.from_numpy(made), real=False)
    assert frechet_distance(fit(real), fit(made)) == pytest.approx(float(oracle.compute()), rel=1e-6)


def test_is_zero_for_equal_gaussians() -> None:
    one = fit(features(200, 16, 0))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9 * np.trace(one.covariance))


def test_diagonal_gaussians_have_a_closed_form() -> None:
    """|m1 - m2|^2 + sum (s1 - s2)^2 for standard deviations s."""
    random = np.random.default_rng(0)
    m1, m2 = random.standard_normal((2, 12))
    s1, s2 = random.uniform(0, 3, (2, 12))
    expected = np.sum((m1 - m2) ** 2) + np.sum((s1 - s2) ** 2)
    assert frechet_distance(Gaussian(m1, np.diag(s1**2)), Gaussian(m2, np.diag(s2**2))) == pytest.approx(expected)


def test_commuting_covariances_have_a_closed_form() -> None:
    """With common eigenvectors the roots subtract: tr (S1^1/2 - S2^1/2)^2."""
    random = np.random.default_rng(0)
    vectors = np.linalg.qr(random.standard_normal((10, 10)))[0]
    v1, v2 = random.uniform(0, 4, (2, 10))
    zero = np.zeros(10)
    one, other = (Gaussian(zero, vectors @ np.diag(values) @ vectors.T) for values in (v1, v2))
    assert frechet_distance(one, other) == pytest.approx(np.sum((np.sqrt(v1) - np.sqrt(v2)) ** 2))


def test_is_symmetric_and_survives_a_singular_covariance() -> None:
    full, flat = fit(features(100, 6, 0)), Gaussian(np.zeros(6), np.zeros((6, 6)))
    other = fit(features(100, 6, 1))
    assert frechet_distance(full, other) == pytest.approx(frechet_distance(other, full))
    expected = full.mean @ full.mean + np.trace(full.covariance)
    assert frechet_distance(full, flat) == pytest.approx(expected) == frechet_distance(flat, full)


def test_a_root_is_one_of_the_covariance_also_of_a_singular_one() -> None:
    flat = features(100, 6, 0)
    flat[:, 2] = 3
    for made in (features(100, 6, 0), flat):
        gaussian = fit(made)
        np.testing.assert_allclose(gaussian.root @ gaussian.root.T, gaussian.covariance, rtol=1e-9, atol=1e-12)
        kept = Gaussian(gaussian.mean, gaussian.covariance, gaussian.root)
        other = fit(features(100, 6, 1))
        assert frechet_distance(kept, other) == frechet_distance(gaussian, other)


def test_moments_in_batches_are_those_of_the_whole() -> None:
    whole = features(1000, 7, 0) + 1e6
    moments = Moments(7)
    for batch in np.split(whole, [1, 10, 500]):
        moments.update(batch)
    np.testing.assert_allclose(moments.gaussian().mean, whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.gaussian().covariance, np.cov(whole, rowvar=False), rtol=1e-7)


def test_too_few_images_are_refused_with_the_way_out() -> None:
    with pytest.raises(TooFewImagesError, match=r"64 dimensions was asked of 64 images.*samples.*feature_dim"):
        fit(features(64, 64, 0))
    fit(features(65, 64, 0))


def test_features_that_are_not_finite_have_no_distance() -> None:
    broken = features(50, 4, 0)
    broken[3, 2] = np.nan
    assert np.isnan(frechet_distance(fit(features(50, 4, 1)), fit(broken)))
