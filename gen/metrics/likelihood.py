"""How well an autoencoder explains images: the error of its reconstructions, and its bound on the likelihood."""

from torch import Tensor

VERSION = 1


def reconstruction_errors(reconstructed: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of each image [N], of images [N, C, H, W] in [-1, 1]; black against white is 4."""
    return (reconstructed - images).square().flatten(1).mean(1)


def negative_elbos(nll: Tensor, kl: Tensor) -> Tensor:
    """-ELBO of each image [N] in nats, summed over pixels and latents (Kingma & Welling 2014, eq. 3)."""
    return nll + kl
