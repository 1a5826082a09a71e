"""Penalties on a discriminator's gradient."""

import torch
from torch import Tensor


def gradient_norm_squared(logits: Tensor, images: Tensor) -> Tensor:
    """Mean over images of the squared norm of d logit / d image (Mescheder et al. 2018, arXiv 1801.04406, equation 9).

    On real images it is R1, on generated ones R2; a loss adds gamma / 2 times it. `images` must require grad.
    """
    return _gradients(logits, images).square().sum(1).mean()


def gradient_norm_off_one(logits: Tensor, images: Tensor) -> Tensor:
    """Mean over images of (norm of d logit / d image - 1)^2 (Gulrajani et al. 2017, arXiv 1704.00028, equation 3).

    On images between real and generated ones; a loss adds lambda times it. `images` must require grad.
    """
    # The norm's own gradient at 0 is 0, where that of a root of squares would not be a number.
    norms: Tensor = torch.linalg.vector_norm(_gradients(logits, images), dim=1)
    return (norms - 1).square().mean()


def between(real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """A point on the line from each generated image [N, C, H, W] to a real one: at `shares` [N, 1], in [0, 1)."""
    return torch.lerp(fake, real, shares[:, :, None, None]).detach().requires_grad_()


def _gradients(logits: Tensor, images: Tensor) -> Tensor:
    """Of each logit by its image, as a row: [N, C * H * W]."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.flatten(1)
