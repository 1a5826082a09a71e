"""GANs: a generator learns to make what a discriminator cannot tell from real images."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from gen.augmentation import Augmentation, Kind
from gen.classes import Classes
from gen.errors import BadParamsError
from gen.families.base import ModelConfig, Shape, Task, require_domains
from gen.families.trainer import Trainer, frozen
from gen.losses import AdversarialName, adversarial
from gen.networks import Drawable, conditional, pairs, spectral
from gen.parallel import Team
from gen.penalties import between, gradient_norm_off_one, gradient_norm_squared
from gen.schedules import Positive, Schedule, Scheduled

SATURATED = 12.0
"""Mean distance of real and generated logits at which the loss is 5e-3. Against a generator that stands still it grows
with the logarithm of the steps alone, to 16 in some hundred; in a game that goes on it was at most 7."""


class GanConfig(ModelConfig):
    """A GAN's block in params.yaml."""

    shaping: ClassVar[tuple[str, ...]] = ("network", "latent_dim", "width", "widths", "blocks", "norm", "classes")

    family: Literal["gan"]
    network: pairs.Name
    latent_dim: int = Field(default=64, ge=1)
    width: int | None = Field(default=None, ge=1)
    """Feature maps at the finest level, of both networks: of a dcgan (32 by default) and a resnet (16)."""
    widths: list[Annotated[int, Field(ge=1)]] | None = Field(default=None, min_length=1)
    """Of the hidden layers of an mlp's generator, and in reverse of its discriminator's; [256, 512] by default."""
    blocks: int | None = Field(default=None, ge=1)
    """Residual blocks of a resnet at each level; 2 by default."""
    norm: pairs.Norm = "none"
    """Norm of the discriminator's layers: of a dcgan `batch` by default."""
    classes: Literal["none", "projection", "embedding"] = "none"
    """How the discriminator is told the class of an image; with each but none the generator is told it as well."""
    loss: AdversarialName = "non-saturating"
    r1: Scheduled = Schedule(value=0)
    """gamma of the gradient penalty on real images."""
    r2: Scheduled = Schedule(value=0)
    """gamma of the gradient penalty on generated images."""
    discriminator_steps: int = Field(default=1, ge=1)
    """Updates of the discriminator, each on a batch of its own, for one of the generator."""
    discriminator_learning_rate: Positive | None = None
    """Adam's step size for the discriminator; without it, that of the generator."""
    gradient_penalty: Scheduled = Schedule(value=0)
    """lambda of the penalty on gradients that are not 1 long, between real and generated images."""
    augment: list[Kind] = Field(default_factory=list)
    """Changes that the discriminator sees both real and generated images with."""
    augment_target: float | None = Field(default=None, gt=0, lt=1)
    """Mean sign of the logits of real images that the probability of a change is moved to reach; else it is 1."""

    @model_validator(mode="before")
    @classmethod
    def _of_its_network(cls, values: dict[str, Any]) -> dict[str, Any]:
        return pairs.with_defaults(values)

    @field_validator("augment")
    @classmethod
    def _each_once(cls, augment: list[Kind]) -> list[Kind]:
        once = list(dict.fromkeys(augment))
        if once != augment:
            raise ValueError(f"it is {augment}, but a change is made once or not at all; set it to {once}")
        return augment

    @model_validator(mode="after")
    def _possible(self) -> "GanConfig":
        # Residual blocks begin as 0, which has no largest singular value to be divided by.
        if (self.norm, self.network) in {("batch", "mlp"), ("batch", "resnet"), ("spectral", "resnet")}:
            raise ValueError(f"`norm: {self.norm}` does not go with `network: {self.network}`; set it to `none`")
        penalties = self.r1.value or self.r2.value or self.gradient_penalty.value
        if self.norm == "batch" and (penalties or self.loss == "relativistic"):
            # Batch norm mixes the images of a batch, so the gradient of one logit is no longer of one image.
            raise ValueError(
                "batch norm does not go with r1, r2, gradient_penalty or the relativistic loss; set norm to `none`"
            )
        if self.augment_target is not None and not (self.augment and self.loss in ("non-saturating", "hinge")):
            raise ValueError(
                "`augment_target` goes with `augment`, and with the losses non-saturating and hinge, whose logits have "
                "a sign that says real or generated; set `augment: [colour, translation, cutout]`, or remove it"
            )
        penalised = any(weight.value and weight.to != 0 for weight in (self.gradient_penalty, self.r1))
        if self.loss == "wasserstein" and not (penalised or self.norm == "spectral"):
            raise ValueError(
                "the wasserstein loss needs a discriminator of bounded slope, for else it falls without end; set "
                "`gradient_penalty: 10` and norm to `none`, or norm to `spectral`, or `r1`"
            )
        return self

    @property
    def task(self) -> Task:
        """Noise to image."""
        return "sample"

    @property
    def conditional(self) -> bool:
        """Whether both networks know the class."""
        return self.classes != "none"

    @property
    def images_a_step(self) -> int:
        """Every update of the discriminator sees other real images."""
        return self.batch * self.discriminator_steps

    def learning_rate_of(self, network: str) -> Schedule:
        """Adam's step size for one of the two networks."""
        apart = self.discriminator_learning_rate if network == "discriminator" else None
        return apart or self.learning_rate

    def check_dataset(self, dataset: Any, where: str) -> None:
        """One domain, of a size that the network can be built for."""
        require_domains(dataset, 1, where, self.family)
        if self.network != "mlp":
            self.check_size(dataset, where)
        if dataset.holds_points and self.augment:
            raise BadParamsError(
                f"params.yaml: `{where}.augment` changes images, and `{self.dataset}` holds points. Remove it."
            )
        # It imports the networks' file: a stage depends on what is imported when all is checked.
        self.networks((dataset.channels, dataset.size, dataset.size))

    def networks(self, shape: Shape) -> pairs.Pair:
        """What makes the generator, and a discriminator that knows no classes."""
        inputs = self.latent_dim * (2 if self.conditional else 1)
        return pairs.pair(self.network, shape, inputs, self.norm, self.width, self.widths, self.blocks)

    def discriminator(self, shape: Shape, classes: int) -> Drawable:
        """The discriminator for images of `shape`; where it is told their class, of so many `classes`."""
        match self.classes:
            case "none":
                return self.networks(shape).discriminator()
            case "projection":
                return conditional.Projected(self.networks(shape).discriminator(), classes)
            case "embedding":
                wider = (shape[0] + 1, *shape[1:])
                return conditional.Joined(self.networks(wider).discriminator(), classes, shape[1])

    def build(self, shape: Shape, generator: torch.Generator, classes: Classes | None = None) -> "Generator":
        """The generator, initialised."""
        return Generator(self, shape, generator, classes)

    def trainer(self, published: nn.Module, shape: Shape, generator: torch.Generator, team: Team) -> "GanTrainer":
        """The game against a fresh discriminator."""
        assert isinstance(published, Generator)
        return GanTrainer(self, published, shape, generator, team)


class Generator(nn.Module):
    """The published half of a GAN. Where it knows classes, the last number of the noise chooses one."""

    def __init__(
        self, config: GanConfig, shape: Shape, generator: torch.Generator, classes: Classes | None = None
    ) -> None:
        super().__init__()
        self.choices = 1 if classes else 0
        self.noise_dim = config.latent_dim + self.choices
        self.network = config.networks(shape).generator()
        self.network.initialise(generator)
        self.condition = conditional.Condition(classes, config.latent_dim) if classes else None
        if self.condition:
            self.condition.initialise(generator)

    def sample(self, noise: Tensor) -> Tensor:
        """Standard normal [N, noise_dim] to images [N, C, H, W] in [-1, 1]."""
        images: Tensor = self.network(self.condition(noise) if self.condition else noise)
        return images

    def of(self, codes: Tensor, classes: Tensor | None) -> Tensor:
        """Images [N, C, H, W] of codes [N, latent_dim] and, where it knows any, of these classes [N]."""
        images: Tensor = self.network(conditional.told(codes, self.condition, classes))
        return images


class GanTrainer(Trainer):
    """Discriminator steps, each on a batch of its own, and then one generator step."""

    def __init__(
        self, config: GanConfig, published: Generator, shape: Shape, randomness: torch.Generator, team: Team
    ) -> None:
        self.config = config
        self.game = adversarial(config.loss)
        self.generator = published
        self.discriminator = config.discriminator(shape, published.condition.count if published.condition else 0)
        self.discriminator.initialise(randomness)
        if config.norm == "spectral":
            spectral.constrain(self.discriminator, randomness)
        device = next(published.parameters()).device
        self.discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.augmentation = Augmentation(config.augment, config.augment_target, device)
        networks = {"discriminator": self.discriminator, "generator": self.generator}
        super().__init__(config, networks, randomness, team)

    def memory(self) -> dict[str, Tensor]:
        """How likely a change of an image is, and what moves that next."""
        return {f"augment.{name}": tensor for name, tensor in self.augmentation.memory().items()}

    def step(self, batch: tuple[Tensor, ...], progress: float) -> Mapping[str, Tensor]:
        """Update the discriminator, then the generator on the same generated images as the discriminator last.

        Losses are those of the last updates.
        """
        steps = self.config.discriminator_steps
        classes = batch[1].chunk(steps) if self.config.conditional else [None] * steps
        # Generated images are of the classes of the real ones, so that a pair is of one class.
        *earlier, (last, of) = zip(batch[0].chunk(steps), classes, strict=True)
        for real, their in earlier:
            with torch.no_grad():
                fake = self._generate(real, their)
            self._update_discriminator(real, fake, their, progress)
        fake = self._generate(last, of)
        losses = self._update_discriminator(last, fake.detach(), of, progress)
        losses |= self._update_generator(last, fake, of)
        if self.config.augment_target is not None:
            losses["augment_probability"] = self.augmentation.probability.clone()
        return losses

    def signs(self, losses: Mapping[str, float]) -> list[str]:
        """A discriminator whose every logit is certain has nothing left to teach."""
        if self.config.loss == "wasserstein":  # its scores are distances, not logits
            return []
        apart = losses.get("real_logit", 0.0) - losses.get("fake_logit", 0.0)
        return [f"the discriminator is saturated: its logits are {apart:.0f} apart"] if apart > SATURATED else []

    def _generate(self, real: Tensor, classes: Tensor | None) -> Tensor:
        """As many images, of fresh noise and of these classes."""
        return self.run(partial(self.generator.of, classes=classes), self.noise(real, self.config.latent_dim))

    def _logits(self, images: Tensor, classes: Tensor | None, *, precise: bool = False) -> Tensor:
        """What the discriminator says of images [N, C, H, W], each as one of its class: [N]."""
        told = self.discriminator if classes is None else partial(self.discriminator, classes=classes)
        return self.run(told, images, precise=precise)

    def _shown(self, images: Tensor) -> Tensor:
        """What the discriminator sees of them."""
        if not self.config.augment:
            return images
        return self.augmentation(images, self.uniform(images, self.augmentation.draws))

    def _update_discriminator(
        self, real: Tensor, fake: Tensor, classes: Tensor | None, progress: float
    ) -> dict[str, Tensor]:
        if self.config.norm == "spectral":
            spectral.advance(self.discriminator)
        real, fake = self._shown(real), self._shown(fake)
        r1, r2 = self.config.r1.at(progress), self.config.r2.at(progress)
        gradient_penalty = self.config.gradient_penalty.at(progress)
        real.requires_grad_(r1 > 0)
        fake.requires_grad_(r2 > 0)
        # A penalty is a small number made of many: it needs all digits.
        real_logits = self._logits(real, classes, precise=r1 > 0)
        fake_logits = self._logits(fake, classes, precise=r2 > 0)
        game = loss = self.game.discriminator(real_logits, fake_logits)
        if r1:
            loss = loss + r1 / 2 * gradient_norm_squared(real_logits, real)
        if r2:
            loss = loss + r2 / 2 * gradient_norm_squared(fake_logits, fake)
        if gradient_penalty:
            middle = between(real, fake, self.uniform(real, 1))
            slopes = gradient_norm_off_one(self._logits(middle, classes, precise=True), middle)
            loss = loss + gradient_penalty * slopes
        self.update("discriminator", loss)
        real.requires_grad_(False)
        self.augmentation.adapt(real_logits, self.team)
        return {
            "discriminator": game.detach(),
            "real_logit": real_logits.detach().mean(),
            "fake_logit": fake_logits.detach().mean(),
        }

    def _update_generator(self, real: Tensor, fake: Tensor, classes: Tensor | None) -> dict[str, Tensor]:
        with frozen(self.discriminator):
            relative = self.config.loss == "relativistic"
            real_logits = self._logits(self._shown(real), classes) if relative else real.new_zeros(())
            loss = self.game.generator(real_logits, self._logits(self._shown(fake), classes))
            self.update("generator", loss)
        return {"generator": loss.detach()}
