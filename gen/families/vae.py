"""Variational autoencoders (Kingma and Welling 2014, arXiv 1312.6114)."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from gen.families.base import ModelConfig, Shape, Task, require_domains
from gen.families.trainer import Trainer
from gen.losses import bernoulli_nll, gaussian_nll, kl_to_standard_normal
from gen.networks import convolutional, initialise
from gen.parallel import Team
from gen.schedules import Positive, Schedule

DEAD = 0.1
"""Nats of KL, in sum over all latents, below which the code carries nothing."""


class VaeConfig(ModelConfig):
    """A VAE's block in params.yaml."""

    # What the decoder's numbers mean is of its shape too.
    shaping: ClassVar[tuple[str, ...]] = ("network", "latent_dim", "width", "likelihood")

    family: Literal["vae"]
    network: Literal["convolutional"]
    latent_dim: int = Field(default=16, ge=1)
    width: int = Field(default=32, ge=1)
    """Feature maps at the finest level."""
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Of a pixel: bernoulli takes greys as probabilities, gaussian learns one sigma."""
    beta: Positive = Schedule(value=1)
    """Weight of the KL; 1 is the evidence bound."""

    @property
    def task(self) -> Task:
        """Noise to image."""
        return "sample"

    def check_dataset(self, dataset: Any, where: str) -> None:
        """One domain, of a size that the network can be built for."""
        require_domains(dataset, 1, where, self.family)
        self.check_size(dataset, where)

    def build(self, shape: Shape, generator: torch.Generator) -> "Autoencoder":
        """Encoder and decoder, initialised."""
        return Autoencoder(self, shape, generator)

    def trainer(self, published: nn.Module, shape: Shape, generator: torch.Generator, team: Team) -> "VaeTrainer":  # noqa: ARG002
        """Gradient ascent on the evidence bound."""
        assert isinstance(published, Autoencoder)
        return VaeTrainer(self, published, generator, team)


class Autoencoder(nn.Module):
    """The published VAE: it samples, reconstructs and bounds likelihoods."""

    def __init__(self, config: VaeConfig, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim
        self.likelihood = config.likelihood
        self.encoder = convolutional.Encoder(config.latent_dim, shape[0], shape[1], config.width)
        self.decoder = convolutional.Decoder(config.latent_dim, shape[0], shape[1], config.width)
        self.log_sigma = nn.Parameter(torch.zeros(()), requires_grad=config.likelihood == "gaussian")
        initialise(self, generator, std=0.05)

    def sample(self, noise: Tensor) -> Tensor:
        """Standard normal [N, latent_dim] to the mean images [N, C, H, W] in [-1, 1]."""
        return self._mean_image(self.decoder(noise))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] to the mean images at the posterior's mean."""
        mean, _ = self.encoder(images)
        return self._mean_image(self.decoder(mean))

    def evidence(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Per image [N], in nats: -log p(x|z) for one z of the posterior, and the KL to the prior.

        z is made of standard normal `noise` [N, latent_dim]. Their sum is the negative evidence bound (equation 10),
        summed over pixels and latents.
        """
        mean, log_variance = self.posterior(images)
        nll = self._nll(images, mean + noise * torch.exp(0.5 * log_variance))
        return nll, kl_to_standard_normal(mean, log_variance)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x) for images [N, C, H, W] in [-1, 1]: [N, latent_dim] each."""
        # Sums over pixels and latents need all digits, whatever the networks compute in.
        mean, log_variance = (part.to(images.dtype) for part in self.encoder(images))
        return mean, log_variance

    def log_weights(self, images: Tensor, noise: Tensor) -> Tensor:
        """The log of p(x, z) / q(z|x) in nats for K codes of each image, of `noise` [N, K, latent_dim]: [N, K].

        Their importance-weighted mean bounds log p(x) (Burda et al. 2016, arXiv 1509.00519, equation 8).
        """
        mean, log_variance = (part[:, None] for part in self.posterior(images))
        codes = mean + noise * torch.exp(0.5 * log_variance)
        repeated = images.repeat_interleave(noise.shape[1], 0)
        nll = self._nll(repeated, codes.flatten(0, 1)).reshape(noise.shape[:2])
        # Prior and posterior are normal: what is left of their quotient when the constants are gone.
        return 0.5 * (noise.square() - codes.square() + log_variance).sum(2) - nll

    def _nll(self, images: Tensor, codes: Tensor) -> Tensor:
        """-log p(x|z) in nats of each image [N] with its code [N, latent_dim]."""
        decoded = self.decoder(codes).to(images.dtype)
        if self.likelihood == "bernoulli":
            return bernoulli_nll(decoded, images)
        return gaussian_nll(decoded, images, self.log_sigma)

    def _mean_image(self, decoded: Tensor) -> Tensor:
        return torch.sigmoid(decoded) * 2 - 1 if self.likelihood == "bernoulli" else decoded.clamp(-1, 1)


class VaeTrainer(Trainer):
    """One update of encoder and decoder a batch."""

    def __init__(self, config: VaeConfig, published: Autoencoder, randomness: torch.Generator, team: Team) -> None:
        self.config = config
        self.autoencoder = published
        super().__init__(config, {"autoencoder": published}, randomness, team)

    def step(self, batch: tuple[Tensor, ...], progress: float) -> Mapping[str, Tensor]:
        """Minimise -log p(x|z) + beta KL, in nats per image."""
        (images,) = batch
        noise = self.noise(images, self.config.latent_dim)
        with self.reduced():
            terms = self.autoencoder.evidence(images, noise)
        nll, kl = (term.mean() for term in terms)
        self.update("autoencoder", nll + self.config.beta.at(progress) * kl)
        return {"negative_elbo": (nll + kl).detach(), "nll": nll.detach(), "kl": kl.detach()}

    def signs(self, losses: Mapping[str, float]) -> list[str]:
        """Codes that say nothing of their images."""
        kl = losses.get("kl", math.inf)
        return [f"the posterior has collapsed: the KL is {kl:.2g} nats"] if kl < DEAD else []
