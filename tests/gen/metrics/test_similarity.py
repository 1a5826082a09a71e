"""Likeness of images, against torchmetrics and where the answer is known."""

import numpy as np
import pytest
import torch
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from gen.metrics.likelihood import reconstruction_errors
from gen.metrics.similarity import peak_signal_to_noise, structural_similarities, window


def pair(channels: int, side: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in [-1, 1], and the same with noise on them."""
    generator = torch.Generator().manual_seed(channels)
    true = torch.rand(6, channels, side, side, generator=generator) * 2 - 1
    return (true + noise * torch.randn(true.shape, generator=generator)).clamp(-1, 1), true


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [11, 12, 28, 64])
def test_similarity_is_that_of_torchmetrics(channels: int, side: int) -> None:
    made, true = pair(channels, side, 0.3)
    oracle = StructuralSimilarityIndexMeasure(data_range=1.0, sigma=1.5, reduction="none", return_full_image=True)
    _, everywhere = oracle((made + 1) / 2, (true + 1) / 2)
    # It also has windows that reach beyond the border; ours, like those of the paper's own program, lie inside.
    inside = everywhere[:, :, 5 : side - 5, 5 : side - 5]
    expected = inside.flatten(1).mean(1)
    torch.testing.assert_close(structural_similarities(made, true), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_ratio_is_that_of_torchmetrics(channels: int) -> None:
    made, true = pair(channels, 28, 0.3)
    oracle = PeakSignalNoiseRatio(data_range=1.0)
    expected = float(oracle((made + 1) / 2, (true + 1) / 2))
    error = float(reconstruction_errors(made, true).mean())
    assert peak_signal_to_noise(np.array([error])) == pytest.approx([expected], rel=1e-5)


def test_equal_images_are_alike_and_flat_ones_by_their_means_alone() -> None:
    _, true = pair(1, 28, 0.0)
    torch.testing.assert_close(structural_similarities(true, true), torch.ones(6))
    assert peak_signal_to_noise(np.array([0.0, 4.0])).tolist() == [np.inf, 0]
    black, white = torch.full((2, 1, 16, 16), -1.0), torch.full((2, 1, 16, 16), 1.0)
    # (2 mx my + c1) / (mx^2 + my^2 + c1), for means of 0 and 1.
    assert structural_similarities(black, white).tolist() == pytest.approx([1e-4 / (1 + 1e-4)] * 2, rel=1e-3)


def test_small_images_have_a_smaller_window() -> None:
    assert [window(side) for side in (8, 9, 10, 11, 12, 256)] == [7, 9, 9, 11, 11, 11]
    made, true = pair(1, 8, 0.3)
    assert (structural_similarities(made, true) < 1).all()
    assert structural_similarities(true, true).tolist() == pytest.approx([1] * 6)
