"""What every family shares: the keys of a model's block, and what a published network can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from pydantic import Field, field_validator, model_validator

from gen.errors import BadParamsError
from gen.schedules import Positive, Schedule, Scheduled
from gen.strict import Strict, nearest, parse

if TYPE_CHECKING:
    # Whoever only reads params.yaml does not wait for torch.
    from collections.abc import Iterable

    import torch
    from torch import Tensor, nn

    from gen.classes import Classes
    from gen.families.trainer import Trainer
    from gen.parallel import Team

Task = Literal["sample", "translate"]
Precision = Literal["float32", "tf32", "bfloat16"]
Shape = tuple[int, int, int]
"""Channels, height, width of one image."""
RANDOM = "random"
CHAMPION_OF = "champion-of-"
"""What `init` says before the name of a dataset."""
REFRESHABLE = (
    "images", "batch", "beta1", "log_every", "checkpoint_every", "patience", "discriminator_learning_rate",
)  # fmt: skip
"""What a refresh may change besides every schedule: how long and how fast it learns, never what it is."""


class ModelConfig(Strict):
    """The keys that every model's block has."""

    shaping: ClassVar[tuple[str, ...]] = ("network",)
    """Keys that say what its networks are: a training goes on from a champion only where all of them are equal."""

    family: str
    dataset: str
    """Name of the dataset it is trained on; a translator needs one with two domains."""
    network: str
    """The file under gen/networks that holds its networks."""
    init: str
    """What it begins from: `random` weights, or `champion-of-DATASET`, as data/starts/NAME holds it."""
    refresh: dict[str, Any] = Field(default_factory=dict)
    """Budget, rates and schedules that hold instead when, and only when, it begins from a champion."""
    images: int = Field(ge=1)
    """Budget: images seen in training."""
    batch: int = Field(ge=1)
    """Images of one update."""
    learning_rate: Positive
    """Adam's step size."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Adam's memory of the gradient."""
    beta2: Scheduled = Schedule(value=0.999)
    """Adam's memory of the squared gradient, below 1."""
    ema_half_life: Scheduled = Schedule(value=0)
    """Images after which a weight's share in the published average has halved; 0 publishes the last weights."""
    seed: int = Field(default=0, ge=0, lt=2**30)
    """Seed of weights, order of images, and noise."""
    log_every: int = Field(default=2000, ge=1)
    """Images between two records of the journal."""
    checkpoint_every: int = Field(default=20000, ge=1)
    """Images between two milestones: a sample grid, a measurement, a checkpoint to go back to."""
    publish: Literal["best", "last"] = "best"
    """Which step is published: the best milestone on the split `select` (in doubt the later one), or the last step."""
    patience: int = Field(default=0, ge=0)
    """Milestones in a row without a better generator, beyond the noise of measuring, that end it; 0 for never."""
    on_collapse: Literal["warn", "roll_back", "stop"] = "warn"
    """What happens at a milestone at which the generator shows signs of collapse."""

    @field_validator("init")
    @classmethod
    def _known_start(cls, init: str) -> str:
        if init != RANDOM and init.removeprefix(CHAMPION_OF) in ("", init):
            raise ValueError(f"it is {init!r}. {nearest(init, [RANDOM, f'{CHAMPION_OF}DATASET'])}")
        return init

    @model_validator(mode="after")
    def _possible_refresh(self) -> Self:
        allowed = [key for key in type(self).model_fields if self._is_refreshable(key)]
        for key in self.refresh:
            if key not in allowed:
                raise ValueError(
                    f"`refresh.{key}` cannot be set: a refresh changes budget, rates and schedules alone. "
                    f"{nearest(key, allowed)}"
                )
        if self.refresh and self.init == RANDOM:
            raise ValueError(
                "`refresh` would never be used, for this model always begins from `random` weights. Set `init` to "
                f"`{CHAMPION_OF}{self.dataset}`, or remove the block"
            )
        return self

    def _is_refreshable(self, key: str) -> bool:
        return key in REFRESHABLE or isinstance(getattr(self, key), Schedule)

    @model_validator(mode="after")
    def _possible_schedules(self) -> Self:
        if max(self.beta2.value, self.beta2.to or 0.0) >= 1:
            raise ValueError("`beta2` must stay below 1; 0.999 and 0.99 are usual")
        if self.ema_half_life.to and not self.ema_half_life.value:
            raise ValueError("`ema_half_life` cannot grow from 0, which is no average at all; begin with 1")
        return self

    @property
    def champion_of(self) -> str | None:
        """The dataset whose champion it begins from; None where it begins from random weights."""
        return None if self.init == RANDOM else self.init.removeprefix(CHAMPION_OF)

    @property
    def images_a_step(self) -> int:
        """Real images of a domain that one step of its training sees: a batch, or several."""
        return self.batch

    @property
    def least_images(self) -> int:
        """Training images of a domain that it cannot do without."""
        return self.images_a_step

    @property
    def conditional(self) -> bool:
        """Whether its generators know the class of what they make; its training is then told those of its images."""
        return False

    def learning_rate_of(self, network: str) -> Schedule:  # noqa: ARG002
        """Adam's step size for one of the networks that its trainer names."""
        return self.learning_rate

    def begun_from(self, champion: bool, where: str) -> Self:
        """The config that holds when it begins from a champion, or from random weights; `refresh` is in it, or gone.

        `where` is the dotted key of its block. Raises UserError when `refresh` makes it impossible.
        """
        overrides = self.refresh if champion else {}
        return parse(type(self), {**self.model_dump(), **overrides, "refresh": {}}, f"{where}.refresh")

    @property
    def task(self) -> Task:
        """What its generators do: noise to image, or domain A to domain B."""
        raise NotImplementedError

    def check_dataset(self, dataset: Any, where: str) -> None:
        """Raise UserError when this model cannot be trained on `dataset` (a gen.config.Dataset)."""
        raise NotImplementedError

    def check_size(self, dataset: Any, where: str) -> None:
        """Raise UserError when a convolutional pyramid cannot be built for the dataset's image size."""
        from gen.networks import pyramid

        if dataset.holds_points:
            raise BadParamsError(
                f"params.yaml: `{where}.network` is `{self.network}`, which takes images, and the dataset "
                f"`{self.dataset}` holds points. Set it to `mlp`."
            )
        try:
            pyramid(dataset.size)
        except ValueError as error:
            raise BadParamsError(f"params.yaml: `{where}.dataset` is `{self.dataset}`: {error}.") from None

    def build(self, shape: Shape, generator: torch.Generator, classes: Classes | None = None) -> nn.Module:
        """The networks that are published, freshly initialised, for images of `shape`.

        `classes` are there where, and only where, the config is `conditional`.
        """
        raise NotImplementedError

    def trainer(self, published: nn.Module, shape: Shape, generator: torch.Generator, team: Team) -> Trainer:
        """What trains `published` in each process of `team`; it brings what training alone needs (critics, Adam)."""
        raise NotImplementedError


@runtime_checkable
class Sampler(Protocol):
    """A published network that turns noise into images."""

    noise_dim: int
    """Numbers of noise that an image is made of."""
    choices: int
    """How many of them, the last ones, only choose (gen.choice): they are neither scaled nor walked along."""

    def sample(self, noise: Tensor) -> Tensor:
        """Standard normal [N, noise_dim] to images [N, C, H, W] in [-1, 1]."""
        ...


@runtime_checkable
class Settled(Protocol):
    """A published network of which a part is fitted to images when its weights stand still, and not by steps."""

    def settle(self, images: Iterable[Tensor]) -> None:
        """Fit that part to training images, in batches [B, C, H, W] in [-1, 1]; no weight is changed."""
        ...


@runtime_checkable
class Reconstructor(Protocol):
    """A published network that encodes images and decodes them again."""

    latent_dim: int
    likelihood: str
    """Of a pixel, given its code: nats of one likelihood are not those of another."""
    binarisation: str
    """`none`, `static` or `dynamic`: nor are those of images that were made black and white in another way."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] to their reconstructions, by their codes without noise."""
        ...

    def evidence(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Per image [N]: the negative log-likelihood of a one-sample reconstruction, and the KL; both in nats.

        The sample is made of standard normal `noise` [N, latent_dim]. The KL may be an estimate by the same sample.
        """
        ...

    def codes(self, images: Tensor) -> Tensor:
        """The code that each image has without noise, the posterior's mean where that is normal: [N, latent_dim]."""
        ...

    def log_weights(self, images: Tensor, noise: Tensor) -> Tensor:
        """The log of p(x, z) / q(z|x) in nats for K codes of each image, of `noise` [N, K, latent_dim]: [N, K]."""
        ...


@runtime_checkable
class Translator(Protocol):
    """A published network that turns images of domain A into images of domain B, and back."""

    def translate(self, images: Tensor) -> Tensor:
        """Images of A [N, C, H, W] in [-1, 1] to images of B."""
        ...

    def translate_back(self, images: Tensor) -> Tensor:
        """Images of B [N, C, H, W] in [-1, 1] to images of A."""
        ...


def require_domains(dataset: Any, wanted: int, where: str, family: str) -> None:
    """Raise UserError when the dataset's source is known to have another number of domains than `wanted`."""
    ones = dict.fromkeys(("mnist-5k", "mnist", "fashion-mnist", "cifar10", "points"), 1)
    known = {**ones, "derived": 2}.get(dataset.source.get("kind"))
    if known is not None and known != wanted:
        raise BadParamsError(
            f"params.yaml: `{where}.dataset` names a dataset of {known} domain{'s' * (known > 1)}, but family "
            f"`{family}` needs {wanted}. Name one with {wanted}: `derived` datasets and folders with trainA/ and "
            "trainB/ have two, all others have one."
        )
