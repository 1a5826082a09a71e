"""What every VAE is once it is trained: encoder, decoder and, where there is one, a flow between them."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from gen import binarisation
from gen.binarisation import Binarisation
from gen.losses import bernoulli_nll, discretised_logistic_nll, gaussian_nll, kl_to_standard_normal
from gen.mixture import Mixture
from gen.networks.conditional import Condition, told
from gen.posteriors import Flow

Likelihood = Literal["bernoulli", "gaussian", "discretised-logistic"]
SEED = 0
"""Of the codes that a mixture is fitted to, and of where its components begin."""


class Autoencoder(nn.Module):
    """The published VAE: it samples, reconstructs and bounds likelihoods."""

    def __init__(
        self,
        networks: tuple[nn.Module, nn.Module, Flow | None],
        likelihood: Likelihood,
        binarised: Binarisation,
        latent_dim: int,
        channels: int,
        components: int = 0,
        condition: Condition | None = None,
    ) -> None:
        """Of encoder, decoder and flow, as gen.networks and gen.posteriors have them.

        With `components` images are drawn from a mixture of so many normals, once it is settled, and not from the
        prior. With a `condition` the decoder knows classes. The last number of the noise chooses either; not both.
        """
        super().__init__()
        self.encoder, self.decoder, self.flow = networks
        self.likelihood = likelihood
        self.binarisation = binarised
        self.condition = condition
        self.latent_dim = latent_dim
        self.mixture = Mixture(components, latent_dim) if components else None
        self.choices = 1 if self.mixture or self.condition else 0
        self.noise_dim = latent_dim + self.choices
        # One spread for all pixels, or one for each channel.
        spreads = torch.zeros((channels, 1, 1) if likelihood == "discretised-logistic" else ())
        self.log_sigma = nn.Parameter(spreads, requires_grad=likelihood != "bernoulli")

    def sample(self, noise: Tensor) -> Tensor:
        """Standard normal [N, noise_dim] to the mean images [N, C, H, W] in [-1, 1]."""
        chooser = self.mixture or self.condition
        return self._mean_image(self.decoder(chooser(noise) if chooser else noise))

    @torch.no_grad()
    def settle(self, images: Iterable[Tensor]) -> None:
        """Fit the mixture, where there is one, to a code of each of the images, in batches [B, C, H, W] in [-1, 1]."""
        if self.mixture is None:
            return
        generator = torch.Generator().manual_seed(SEED)
        codes = torch.cat([self._drawn(self.seen(batch), generator) for batch in images])
        if codes.isfinite().all():
            self.mixture.fit(codes, SEED)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] to the mean images of their codes without noise, and of their classes."""
        classes = self.likeliest(self.seen(images))
        return self._mean_image(self.decoder(told(self.codes(images), self.condition, classes)))

    @torch.no_grad()
    def likeliest(self, images: Tensor) -> Tensor | None:
        """Of each image, as it is seen, the class y with the most of log p(x|z, y) + log p(y): [N].

        z is its code without noise. None where the decoder knows no classes.
        """
        if self.condition is None:
            return None
        codes = self.codes(images)
        # One after another: as many pictures at once as there are classes would take as many times the memory.
        each = [self._nll(images, codes, codes.new_full((len(codes),), y).long()) for y in range(self.condition.count)]
        return (torch.stack(each, 1) - self.condition.log_shares).argmin(1)

    def codes(self, images: Tensor) -> Tensor:
        """The code of each image without noise, of a normal posterior the mean: [N, latent_dim]."""
        mean, _, *context = self._encoded(self.seen(images))
        return self.flow(mean[:, None], *context)[0].squeeze(1) if self.flow else mean

    def evidence(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Per image [N], in nats: -log p(x|z) for one z of the posterior, and the KL to the prior.

        z is made of standard normal `noise` [N, latent_dim]. Their sum is the negative evidence bound (equation 10),
        summed over pixels and latents. Of a posterior that is not normal the KL is estimated by the same z.
        A class is a latent as well, of which the posterior is the one point that is likeliest: its KL is -log p(y).
        """
        images = self.seen(images)
        nll, kl = self.bound(images, noise, self.likeliest(images))
        return nll, kl.sum(1)

    def log_weights(self, images: Tensor, noise: Tensor) -> Tensor:
        """The log of p(x, z) / q(z|x) in nats for K codes of each image, of `noise` [N, K, latent_dim]: [N, K].

        Their importance-weighted mean bounds log p(x) (Burda et al. 2016, arXiv 1509.00519, equation 8).
        """
        images = self.seen(images)
        nll, kl = self.estimates(images, noise, self.likeliest(images))
        return -(nll + kl)

    def seen(self, images: Tensor) -> Tensor:
        """Images as encoder and likelihood know them; what is binarised already stays as it is."""
        return images if self.binarisation == "none" else binarisation.fixed(images)

    def bound(self, images: Tensor, noise: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of `images` as they are seen, with `noise` [N, latent_dim]: -log p(x|z) [N], and the KL in its parts.

        [N, latent_dim]: that of each latent, and where the decoder knows the `classes` [N] one more, that of the class;
        of a posterior that is not normal [N, 1]: an estimate of all in one.
        """
        if self.flow:
            nll, kl = self.estimates(images, noise[:, None], classes)
            return nll.squeeze(1), kl
        mean, log_variance = self._encoded(images)
        nll = self._nll(images, mean + noise * torch.exp(0.5 * log_variance), classes)
        kl = kl_to_standard_normal(mean, log_variance)
        return nll, kl if classes is None else torch.cat([kl, self.class_kl(classes)[:, None]], 1)

    def class_kl(self, classes: Tensor) -> Tensor:
        """What it costs in nats to say which of the `classes` [N] an image is of: -log p(y), [N]."""
        assert self.condition
        return -self.condition.log_shares[classes]

    def estimates(self, images: Tensor, noise: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same for K codes of each image, of `noise` [N, K, latent_dim], and log q(z|x) - log p(z): [N, K] each.

        Where the decoder knows the `classes` [N], -log p(y) is added to the latter.
        """
        mean, log_variance, *context = self._encoded(images)
        codes = mean[:, None] + noise * torch.exp(0.5 * log_variance[:, None])
        bent, log_determinant = self.flow(codes, *context) if self.flow else (codes, 0.0)
        samples = noise.shape[1]
        repeated = images.repeat_interleave(samples, 0)
        of = None if classes is None else classes.repeat_interleave(samples)
        nll = self._nll(repeated, bent.flatten(0, 1), of).reshape(noise.shape[:2])
        # Prior and noise are normal: what is left of their quotient when the constants are gone.
        kl = 0.5 * (bent.square() - noise.square() - log_variance[:, None]).sum(2) - log_determinant
        return nll, kl if classes is None else kl + self.class_kl(classes)[:, None]

    def _drawn(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A code of each image [N, latent_dim], from its posterior: that is what the decoder was trained on."""
        mean, log_variance, *context = self._encoded(images)
        noise = torch.randn(mean.shape, generator=generator).to(mean.device)
        codes = mean + noise * torch.exp(0.5 * log_variance)
        return self.flow(codes[:, None], *context)[0].squeeze(1) if self.flow else codes

    def _encoded(self, images: Tensor) -> tuple[Tensor, ...]:
        """Mean and log-variance of what noise makes codes of, [N, latent_dim] each, and a flow's context."""
        # Sums over pixels and latents need all digits, whatever the networks compute in.
        return tuple(part.to(images.dtype) for part in self.encoder(images))

    def _nll(self, images: Tensor, codes: Tensor, classes: Tensor | None = None) -> Tensor:
        """-log p(x|z) in nats of each image [N] with its code [N, latent_dim] and class [N]."""
        decoded = self.decoder(told(codes, self.condition, classes)).to(images.dtype)
        match self.likelihood:
            case "bernoulli":
                return bernoulli_nll(decoded, images)
            case "gaussian":
                return gaussian_nll(decoded, images, self.log_sigma)
            case "discretised-logistic":
                return discretised_logistic_nll(decoded, images, self.log_sigma)

    def _mean_image(self, decoded: Tensor) -> Tensor:
        return torch.sigmoid(decoded) * 2 - 1 if self.likelihood == "bernoulli" else decoded.clamp(-1, 1)
