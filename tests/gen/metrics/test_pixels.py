"""Errors of pixels, where the answer is known."""

import pytest
import torch

from gen.metrics.likelihood import reconstruction_errors
from gen.metrics.translation import pair_errors


@pytest.mark.parametrize("errors", [pair_errors, reconstruction_errors])
def test_one_error_for_each_image(errors: object) -> None:
    black, white = torch.full((3, 1, 4, 4), -1.0), torch.full((3, 1, 4, 4), 1.0)
    half = black.clone()
    half[1, :, :2] = 1.0
    assert errors(black, white).tolist() == [4, 4, 4]
    assert errors(black, half).tolist() == [0, 2, 0]
