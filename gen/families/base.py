"""What every family shares: the keys of a model's block, and what a trainer and a generator can do."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from gen.errors import BadParamsError
from gen.networks import pyramid
from gen.strict import Strict

Task = Literal["sample", "translate"]
Shape = tuple[int, int, int]
"""Channels, height, width of one image."""


class ModelConfig(Strict):
    """The keys that every model's block has."""

    family: str
    dataset: str
    """Name of the dataset it is trained on; a translator needs one with two domains."""
    network: str
    """The file under gen/networks that holds its networks."""
    images: int = Field(ge=1)
    """Budget: images seen in training."""
    batch: int = Field(ge=1)
    """Images of one step."""
    learning_rate: float = Field(gt=0)
    decay_from: float = Field(default=1.0, ge=0, le=1)
    """Share of the budget after which the learning rate falls linearly to 0; 1 keeps it constant."""
    ema_half_life: int = Field(default=0, ge=0)
    """Images after which a weight's share in the published average has halved; 0 publishes the last weights."""
    seed: int = Field(default=0, ge=0, lt=2**30)
    """Seed of weights, order of images, and noise."""
    log_every: int = Field(default=2000, ge=1)
    """Images between two records of the journal."""
    sample_every: int = Field(default=20000, ge=1)
    """Images between two sample grids."""

    @property
    def task(self) -> Task:
        """What its generators do: noise to image, or domain A to domain B."""
        raise NotImplementedError

    def learning_rate_at(self, progress: float) -> float:
        """The learning rate after the share `progress` of the budget, in [0, 1)."""
        left = (1 - progress) / (1 - self.decay_from) if self.decay_from < 1 else 1.0
        return self.learning_rate * min(1.0, left)

    def check_dataset(self, dataset: Any, where: str) -> None:
        """Raise UserError when this model cannot be trained on `dataset` (a gen.config.Dataset)."""
        raise NotImplementedError

    def check_size(self, dataset: Any, where: str) -> None:
        """Raise UserError when a convolutional pyramid cannot be built for the dataset's image size."""
        try:
            pyramid(dataset.size)
        except ValueError as error:
            raise BadParamsError(f"params.yaml: `{where}.dataset` is `{self.dataset}`: {error}.") from None

    def build(self, shape: Shape, generator: torch.Generator) -> nn.Module:
        """The networks that are published, freshly initialised, for images of `shape`."""
        raise NotImplementedError

    def trainer(self, published: nn.Module, shape: Shape, generator: torch.Generator) -> "Trainer":
        """What trains `published`; it brings what is needed in training only (critics, optimisers)."""
        raise NotImplementedError


class Trainer(Protocol):
    """One model in training."""

    def step(self, batch: tuple[Tensor, ...], progress: float) -> Mapping[str, Tensor]:
        """One update on one batch: a tensor [B, C, H, W] in [-1, 1] for each domain.

        `progress` is the share of the budget that was seen, in [0, 1): schedules are functions of it.
        Returns detached scalars by name, still on the device.
        """
        ...


@runtime_checkable
class Sampler(Protocol):
    """A published network that turns noise into images."""

    latent_dim: int

    def sample(self, noise: Tensor) -> Tensor:
        """Standard normal [N, latent_dim] to images [N, C, H, W] in [-1, 1]."""
        ...


@runtime_checkable
class Reconstructor(Protocol):
    """A published network that encodes images and decodes them again."""

    likelihood: str
    """Of a pixel, given its code: nats of one likelihood are not those of another."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] to their reconstructions, by the posterior's mean."""
        ...

    def evidence(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Per image [N]: the negative log-likelihood of a one-sample reconstruction, and the KL; both in nats."""
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


def noise(count: int, latent_dim: int, seed: int, start: int = 0) -> Tensor:
    """Standard normal [count, latent_dim] on the CPU; row i depends on `seed` and `start + i` alone."""
    # Philox takes seed and index as its key. (torch's own generator on the CPU keeps 32 bits of a seed.)
    rows = [
        np.random.Generator(np.random.Philox(key=[seed, index])).standard_normal(latent_dim, np.float32)
        for index in range(start, start + count)
    ]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, latent_dim)


def adam(module: nn.Module, learning_rate: float, betas: list[float]) -> torch.optim.Adam:
    """Adam over all weights of `module` that learn, fused into one kernel where the device has it."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    return torch.optim.Adam(weights, lr=learning_rate, betas=(betas[0], betas[1]), fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate


def require_domains(dataset: Any, wanted: int, where: str, family: str) -> None:
    """Raise UserError when the dataset's source is known to have another number of domains than `wanted`."""
    ones = dict.fromkeys(("mnist-5k", "mnist", "fashion-mnist", "cifar10"), 1)
    known = {**ones, "derived": 2}.get(dataset.source.get("kind"))
    if known is not None and known != wanted:
        raise BadParamsError(
            f"params.yaml: `{where}.dataset` names a dataset of {known} domain{'s' * (known > 1)}, but family "
            f"`{family}` needs {wanted}. Name one with {wanted}: `derived` datasets and folders with trainA/ and "
            "trainB/ have two, all others have one."
        )
