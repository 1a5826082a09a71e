"""Standard normal noise, image by image: what image i is made of depends on the seed and on i alone."""

import numpy as np
import torch
from torch import Tensor


def noise(count: int, latent_dim: int, seed: int, start: int = 0) -> Tensor:
    """Standard normal [count, latent_dim] on the CPU; row i depends on `seed` and `start + i` alone."""
    # Philox takes seed and index as its key. (torch's own generator on the CPU keeps 32 bits of a seed.)
    rows = [
        np.random.Generator(np.random.Philox(key=[seed, index])).standard_normal(latent_dim, np.float32)
        for index in range(start, start + count)
    ]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, latent_dim)
