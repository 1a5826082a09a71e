"""Bilinear resizing as TensorFlow 1 does it: figures that are compared with published ones have to begin with it."""

import torch
from torch import Tensor


def resize_bilinear(images: Tensor, height: int, width: int) -> Tensor:
    """Images float32 [N, H, W, C] to [N, height, width, C].

    Target row i is read at source row i * H / height, between the row there (rounded down) and the next, the last one
    where there is none; columns first, then rows. So corners are not aligned, centres of pixels are not at halves, and
    what is made smaller is not smoothed first: each of these is otherwise in newer programs, and moves distances.
    """
    left, right, across = _places(images.shape[2], width, images.device)
    first = images[:, :, left]
    wide = first + (images[:, :, right] - first) * across[:, None]
    upper, lower, down = _places(images.shape[1], height, images.device)
    first = wide[:, upper]
    return first + (wide[:, lower] - first) * down[:, None, None]


def _places(count: int, target: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `target` places the two of `count` that it lies between, and how far it is from the first: [0, 1).

    In float32, as the original computes them.
    """
    scale = torch.tensor(count, dtype=torch.float32) / torch.tensor(target, dtype=torch.float32)
    place = torch.arange(target, dtype=torch.float32) * scale
    before = place.long()
    after = (before + 1).clamp(max=count - 1)
    return before.to(device), after.to(device), (place - before).to(device)
