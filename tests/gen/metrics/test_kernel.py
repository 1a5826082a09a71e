"""The kernel distance against a double loop, and against torchmetrics on the same features."""

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance

from gen.errors import TooFewImagesError
from gen.metrics.halves import half_samples
from gen.metrics.kernel import BLOCK, kernel_distance, subset_distances
from tests.gen.metrics.test_frechet import Identity, features


def brute_force(x: np.ndarray, y: np.ndarray) -> float:
    def mean(a: np.ndarray, b: np.ndarray, skip_equal: bool) -> float:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (skip_equal and i == j)]
        return sum((a[i] @ b[j] / a.shape[1] + 1) ** 3 for i, j in pairs) / len(pairs)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


def test_equals_the_double_loop() -> None:
    x, y = features(23, 5, 0), features(31, 5, 1, shift=1)
    assert kernel_distance(x, y) == pytest.approx(brute_force(x, y), rel=1e-9)


def test_blocks_change_nothing() -> None:
    """2,500 images span three blocks of the kernel."""
    x, y = features(2500, 3, 0), features(40, 3, 1)
    kernel = (x @ x.T / 3 + 1) ** 3
    within_x = (kernel.sum() - np.trace(kernel)) / (2500 * 2499)
    own = (y @ y.T / 3 + 1) ** 3
    within_y = (own.sum() - np.trace(own)) / (40 * 39)
    expected = within_x + within_y - 2 * ((x @ y.T / 3 + 1) ** 3).mean()
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_subsets_by_masks_equal_subsets_by_hand() -> None:
    x, y = features(30, 4, 0), features(20, 4, 1)
    in_x, in_y = (half_samples(n, 10, torch.Generator().manual_seed(n)) for n in (30, 20))
    by_hand = [kernel_distance(x[a], y[b]) for a, b in zip(in_x, in_y, strict=True)]
    np.testing.assert_allclose(subset_distances(x, y, in_x, in_y), by_hand, rtol=1e-9)


@pytest.mark.parametrize(("count", "dimension"), [(120, 16), (300, 256), (BLOCK + 76, 4)])
def test_equals_torchmetrics_when_its_subset_is_everything(count: int, dimension: int) -> None:
    x, y = features(count, dimension, 0), features(count, dimension, 1, shift=0.2)
    assert kernel_distance(x, y) == pytest.approx(torchmetrics(x, y, subsets=1, size=count)[0], rel=1e-9)


def test_lies_within_the_sampling_error_of_torchmetrics_subsets() -> None:
    x, y = features(800, 16, 0), features(800, 16, 1, shift=0.05)
    mean, spread = torchmetrics(x, y, subsets=100, size=100)
    assert abs(kernel_distance(x, y) - mean) < 4 * spread / np.sqrt(100)


def test_is_unbiased() -> None:
    """Between samples of one distribution its mean is 0, so some values are below it."""
    random = np.random.default_rng(0)
    values = np.array([kernel_distance(*random.standard_normal((2, 30, 4))) for _ in range(200)])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(200)
    assert values.min() < 0


def test_one_image_is_too_few() -> None:
    with pytest.raises(TooFewImagesError, match="fewer than 2 images"):
        kernel_distance(features(1, 4, 0), features(10, 4, 0))


def torchmetrics(x: np.ndarray, y: np.ndarray, subsets: int, size: int) -> tuple[float, float]:
    with pytest.warns(UserWarning, match="save all extracted features"):
        oracle = KernelInceptionDistance(feature=Identity(x.shape[1]), subsets=subsets, subset_size=size)
    oracle.set_dtype(torch.float64)
    oracle.update(torch.from_numpy(x), real=True)
    oracle.update(torch.from_numpy(y), real=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mean, spread = oracle.compute()
    return float(mean), float(spread)
