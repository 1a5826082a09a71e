"""The convolutional encoder and decoder of the VAE."""

from itertools import pairwise

from torch import Tensor, nn

from gen.networks import Flatten, Unflatten, encoder, pyramid


class Encoder(encoder.Encoder):
    """Images [N, C, S, S] to the posterior's mean and log-variance, [N, latent_dim] each, from separate layers."""

    def __init__(self, latent_dim: int, channels: int, size: int, width: int, context: int) -> None:
        """`width`: feature maps after the first layer; each coarser level has twice as many.

        `context` is as gen.networks.encoder has it.
        """
        side, levels = pyramid(size)
        widths = [channels, *(width * 2**level for level in range(levels))]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.SiLU(inplace=True)]
        hidden = 4 * widths[-1]
        layers += [Flatten(), nn.Linear(widths[-1] * side**2, hidden), nn.SiLU(inplace=True)]
        super().__init__(nn.Sequential(*layers), hidden, latent_dim, context)


class Decoder(nn.Module):
    """Latents [N, latent_dim] to the likelihood's parameter for each pixel, [N, C, S, S], without an activation."""

    def __init__(self, latent_dim: int, channels: int, size: int, width: int) -> None:
        """`width`: feature maps before the last layer; each coarser level has twice as many."""
        super().__init__()
        side, levels = pyramid(size)
        widths = [channels, *(width * 2**level for level in range(levels))]
        top = widths[-1]
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, 4 * top),
            nn.SiLU(inplace=True),
            nn.Linear(4 * top, top * side**2),
            nn.SiLU(inplace=True),
            Unflatten(top, side),
        ]
        for narrow, wide in list(pairwise(widths))[:0:-1]:
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1), nn.SiLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, 2, 1))

    def forward(self, latents: Tensor) -> Tensor:
        """Latents [N, latent_dim] to [N, C, S, S]."""
        pixels: Tensor = self.layers(latents)
        return pixels
