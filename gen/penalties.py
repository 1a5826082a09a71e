"""Penalties on a discriminator's gradient."""

import torch
from torch import Tensor


def gradient_norm_squared(logits: Tensor, images: Tensor) -> Tensor:
    """Mean over images of the squared norm of d logit / d image (Mescheder et al. 2018, arXiv 1801.04406, equation 9).

    On real images it is R1, on generated ones R2; a loss adds gamma / 2 times it. `images` must require grad.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()
