"""GANs: a generator learns to make what a discriminator cannot tell from real images."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from gen.families.base import ModelConfig, Shape, Task, adam, require_domains, set_learning_rate
from gen.losses import AdversarialName, adversarial
from gen.networks import dcgan, initialise
from gen.penalties import gradient_norm_squared


class GanConfig(ModelConfig):
    """A GAN's block in params.yaml."""

    family: Literal["gan"]
    network: Literal["dcgan"]
    latent_dim: int = Field(default=64, ge=1)
    width: int = Field(default=32, ge=1)
    """Feature maps at the finest level, of both networks."""
    norm: dcgan.Norm = "batch"
    """Norm of the discriminator's layers."""
    loss: AdversarialName = "non-saturating"
    r1: float = Field(default=0.0, ge=0)
    """gamma of the gradient penalty on real images."""
    r2: float = Field(default=0.0, ge=0)
    """gamma of the gradient penalty on generated images."""
    betas: list[float] = Field(default=[0.5, 0.999], min_length=2, max_length=2)
    """Adam's decay rates."""

    @model_validator(mode="after")
    def _possible(self) -> "GanConfig":
        if self.norm == "batch" and (self.r1 or self.r2 or self.loss == "relativistic"):
            # Batch norm mixes the images of a batch, so the gradient of one logit is no longer of one image.
            raise ValueError("batch norm does not go with r1, r2 or the relativistic loss; set norm to `none`")
        return self

    @property
    def task(self) -> Task:
        """Noise to image."""
        return "sample"

    def check_dataset(self, dataset: Any, where: str) -> None:
        """One domain, of a size that the network can be built for."""
        require_domains(dataset, 1, where, self.family)
        self.check_size(dataset, where)

    def build(self, shape: Shape, generator: torch.Generator) -> "Generator":
        """The generator, initialised."""
        return Generator(self, shape, generator)

    def trainer(self, published: nn.Module, shape: Shape, generator: torch.Generator) -> "GanTrainer":
        """The game against a fresh discriminator."""
        assert isinstance(published, Generator)
        return GanTrainer(self, published, shape, generator)


class Generator(nn.Module):
    """The published half of a GAN."""

    def __init__(self, config: GanConfig, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim
        self.network = dcgan.Generator(config.latent_dim, shape[0], shape[1], config.width)
        initialise(self.network, generator)

    def sample(self, noise: Tensor) -> Tensor:
        """Standard normal [N, latent_dim] to images [N, C, H, W] in [-1, 1]."""
        images: Tensor = self.network(noise)
        return images


class GanTrainer:
    """One discriminator step and one generator step a batch."""

    def __init__(self, config: GanConfig, published: Generator, shape: Shape, generator: torch.Generator) -> None:
        self.config = config
        self.randomness = generator
        self.game = adversarial(config.loss)
        self.generator = published
        self.discriminator = dcgan.Discriminator(shape[0], shape[1], config.width, config.norm)
        initialise(self.discriminator, generator)
        device = next(published.parameters()).device
        self.discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator_optimiser = adam(self.generator, config.learning_rate, config.betas)
        self.discriminator_optimiser = adam(self.discriminator, config.learning_rate, config.betas)

    def step(self, batch: tuple[Tensor, ...], progress: float) -> Mapping[str, Tensor]:
        """Update the discriminator, then the generator, on the same generated images."""
        (real,) = batch
        for optimiser in (self.generator_optimiser, self.discriminator_optimiser):
            set_learning_rate(optimiser, self.config.learning_rate_at(progress))
        noise = torch.randn(len(real), self.config.latent_dim, generator=self.randomness).to(real.device)
        fake = self.generator.sample(noise)
        losses = self._update_discriminator(real, fake.detach())
        return losses | self._update_generator(real, fake)

    def _update_discriminator(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        real.requires_grad_(self.config.r1 > 0)
        fake.requires_grad_(self.config.r2 > 0)
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
        game = loss = self.game.discriminator(real_logits, fake_logits)
        if self.config.r1:
            loss = loss + self.config.r1 / 2 * gradient_norm_squared(real_logits, real)
        if self.config.r2:
            loss = loss + self.config.r2 / 2 * gradient_norm_squared(fake_logits, fake)
        self.discriminator_optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.discriminator_optimiser.step()
        real.requires_grad_(False)
        return {
            "discriminator": game.detach(),
            "real_logit": real_logits.detach().mean(),
            "fake_logit": fake_logits.detach().mean(),
        }

    def _update_generator(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        # Frozen, its weights get no gradient: the backward pass only goes through it.
        self.discriminator.requires_grad_(False)
        with torch.set_grad_enabled(True):
            real_logits = self.discriminator(real) if self.config.loss == "relativistic" else real.new_zeros(())
            loss = self.game.generator(real_logits, self.discriminator(fake))
        self.generator_optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.generator_optimiser.step()
        self.discriminator.requires_grad_(True)
        return {"generator": loss.detach()}
