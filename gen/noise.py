"""Standard normal noise, image by image: what image i is made of depends on the seed and on i alone."""

import numpy as np
import torch
from torch import Tensor


def noise(count: int, dimension: int, seed: int, start: int = 0) -> Tensor:
    """Standard normal [count, dimension] on the CPU; row i depends on `seed` and `start + i` alone."""
    # Philox takes seed and index as its key. (torch's own generator on the CPU keeps 32 bits of a seed.)
    rows = [
        np.random.Generator(np.random.Philox(key=[seed, index])).standard_normal(dimension, np.float32)
        for index in range(start, start + count)
    ]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, dimension)


def truncated(noise: Tensor, truncation: float, choices: int) -> Tensor:
    """Noise [N, d] scaled by `truncation`, all but the last `choices` numbers, which only choose."""
    described = noise.shape[1] - choices
    return torch.cat([noise[:, :described] * truncation, noise[:, described:]], 1)
