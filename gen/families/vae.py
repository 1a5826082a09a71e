"""Variational autoencoders (Kingma and Welling 2014, arXiv 1312.6114)."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from gen import binarisation
from gen.autoencoder import Autoencoder, Likelihood
from gen.binarisation import Binarisation
from gen.classes import Classes
from gen.errors import BadParamsError
from gen.families.base import ModelConfig, Shape, Task, require_domains
from gen.families.trainer import Trainer
from gen.losses import importance_weighted_nll
from gen.networks import convolutional, dense_autoencoder, encoder, initialise
from gen.networks.conditional import Condition
from gen.parallel import Team
from gen.posteriors import PosteriorName, flow
from gen.schedules import Positive, Schedule

DEAD = 0.1
"""Nats of KL, in sum over all latents, below which the code carries nothing."""
Units = Annotated[int, Field(ge=1)]


class VaeConfig(ModelConfig):
    """A VAE's block in params.yaml."""

    # What the decoder's numbers mean is of its shape too.
    shaping: ClassVar[tuple[str, ...]] = (
        *("network", "latent_dim", "width", "widths", "likelihood"),
        *("binarisation", "posterior", "flows", "flow_width", "components", "classes"),
    )

    family: Literal["vae"]
    network: Literal["convolutional", "mlp"]
    latent_dim: int = Field(default=16, ge=1)
    width: int = Field(default=32, ge=1)
    """Feature maps at the finest level of the network `convolutional`."""
    widths: list[Units] = Field(default_factory=list, max_length=16)
    """Units of each hidden layer of the network `mlp`, from the image to the code; the decoder has them backwards."""
    likelihood: Likelihood = "bernoulli"
    """Of a pixel: bernoulli takes greys as probabilities, gaussian learns one sigma, discretised-logistic is of 256
    levels and learns a scale for each channel."""
    classes: Literal["none", "embedding"] = "none"
    """Whether the decoder is told the class of an image."""
    binarisation: Binarisation = "none"
    """Whether each pixel is black or white by chance: never, once and for all, or anew each time it is seen."""
    beta: Positive = Schedule(value=1)
    """Weight of the KL; 1 is the evidence bound."""
    free_bits: float = Field(default=0, ge=0)
    """Nats of each latent's KL, in the mean of a batch, that cost as much as none."""
    importance_samples: int = Field(default=1, ge=1)
    """Codes of each image in training; with more than one the importance-weighted bound is trained on."""
    posterior: PosteriorName = "diagonal"
    """Of the code of an image: normal, or normal and then bent by a flow."""
    flows: int = Field(default=0, ge=0, le=64)
    """Steps of the flow."""
    flow_width: int = Field(default=0, ge=0)
    """Hidden units of a step of the flow `iaf`."""
    components: int = Field(default=0, ge=0, le=1000)
    """Normals of a mixture that is fitted to the codes of training images and that images are drawn from; with 0 they
    are drawn from the prior."""

    @model_validator(mode="after")
    def _possible(self) -> "VaeConfig":
        if (self.network == "mlp") != bool(self.widths):
            raise ValueError("network `mlp` needs `widths`, such as [200, 200], and no other network takes them")
        if self.network == "mlp" and self.width != type(self).model_fields["width"].default:
            raise ValueError("network `mlp` knows no `width`; remove it, for `widths` says how many units there are")
        if self.binarisation != "none" and self.likelihood != "bernoulli":
            raise ValueError(f"`binarisation` {self.binarisation} needs the likelihood bernoulli")
        if (self.posterior == "diagonal") != (self.flows == 0):
            raise ValueError("a posterior other than diagonal needs `flows`, such as 4, and diagonal has none")
        if (self.posterior == "iaf") != (self.flow_width > 0):
            raise ValueError("the posterior iaf needs `flow_width`, such as 320, and no other posterior takes it")
        if self.components and self.conditional:
            raise ValueError(
                "`components` fits one mixture to the codes of all classes, and one number of the noise cannot choose "
                "both a component and a class; set it to 0, or `classes` to none"
            )
        if self.free_bits and (self.importance_samples > 1 or self.posterior != "diagonal"):
            raise ValueError(
                "`free_bits` needs the KL of each latent, which is known for the posterior diagonal with "
                "`importance_samples` 1 alone; set it to 0, or those"
            )
        return self

    @property
    def task(self) -> Task:
        """Noise to image."""
        return "sample"

    @property
    def least_images(self) -> int:
        """A component of the mixture is of one code at least."""
        return max(self.images_a_step, self.components)

    @property
    def conditional(self) -> bool:
        """Whether the decoder knows the class."""
        return self.classes != "none"

    def check_dataset(self, dataset: Any, where: str) -> None:
        """One domain, of a size that the network can be built for, and grey where it is to be binarised."""
        require_domains(dataset, 1, where, self.family)
        if self.network == "convolutional":
            self.check_size(dataset, where)
        if dataset.holds_points and self.likelihood != "gaussian":
            raise BadParamsError(
                f"params.yaml: `{where}.likelihood` is {self.likelihood}, that of grey levels, and `{self.dataset}` "
                "holds points. Set it to gaussian."
            )
        if self.binarisation != "none" and dataset.channels != 1:
            raise BadParamsError(
                f"params.yaml: `{where}.binarisation` is {self.binarisation}, but `{self.dataset}` has images in "
                "colour, of which no pixel is black or white. Set it to none, or the dataset's `channels` to 1."
            )

    def build(self, shape: Shape, generator: torch.Generator, classes: Classes | None = None) -> Autoencoder:
        """Encoder and decoder, initialised."""
        bent = flow(self.posterior, self.latent_dim, self.flows, self.flow_width)
        coder, decoder = self._coders(shape, bent.context if bent else 0)
        networks = coder, decoder, bent
        condition = Condition(classes, self.latent_dim) if classes else None
        made = Autoencoder(
            *(networks, self.likelihood, self.binarisation, self.latent_dim, shape[0], self.components, condition)
        )
        if self.network == "mlp":
            dense_autoencoder.initialise(made, generator)
        else:
            initialise(made, generator, std=0.05)
        coder.begin_gently()
        if condition:
            condition.initialise(generator)
        return made

    def _coders(self, shape: Shape, context: int) -> tuple[encoder.Encoder, nn.Module]:
        """Encoder, which tells a flow so many numbers of each image, and decoder."""
        code = self.latent_dim
        decoded = code * (2 if self.conditional else 1)
        if self.network == "mlp":
            dense = shape, self.widths
            return dense_autoencoder.Encoder(code, *dense, context), dense_autoencoder.Decoder(decoded, *dense)
        sizes = shape[0], shape[1], self.width
        return convolutional.Encoder(code, *sizes, context), convolutional.Decoder(decoded, *sizes)

    def trainer(self, published: nn.Module, shape: Shape, generator: torch.Generator, team: Team) -> "VaeTrainer":  # noqa: ARG002
        """Gradient ascent on the evidence bound."""
        assert isinstance(published, Autoencoder)
        return VaeTrainer(self, published, generator, team)


class VaeTrainer(Trainer):
    """One update of encoder and decoder a batch."""

    def __init__(self, config: VaeConfig, published: Autoencoder, randomness: torch.Generator, team: Team) -> None:
        self.config = config
        self.autoencoder = published
        super().__init__(config, {"autoencoder": published}, randomness, team)

    def step(self, batch: tuple[Tensor, ...], progress: float) -> Mapping[str, Tensor]:
        """Minimise -log p(x|z) + beta KL, in nats per image, or the importance-weighted bound of them."""
        classes = batch[1] if self.config.conditional else None
        images, beta = self._seen(batch[0]), self.config.beta.at(progress)
        losses = (self._plain if self.config.importance_samples == 1 else self._weighted)(images, classes, beta)
        if classes is not None:
            losses["kl_of_code"] = losses["kl"] - self.autoencoder.class_kl(classes).mean()
        return losses

    def _seen(self, images: Tensor) -> Tensor:
        if self.config.binarisation == "dynamic":
            return binarisation.drawn(images, self.noise(images, images[0].numel()))
        return self.autoencoder.seen(images)

    def _plain(self, images: Tensor, classes: Tensor | None, beta: float) -> dict[str, Tensor]:
        noise = self.noise(images, self.config.latent_dim)
        with self.reduced():
            each, parts = self.autoencoder.bound(images, noise, classes)
        nll, kl = each.mean(), parts.sum(1).mean()
        self.update("autoencoder", nll + beta * (self._above_free(parts) if self.config.free_bits else kl))
        return {"negative_elbo": (nll + kl).detach(), "nll": nll.detach(), "kl": kl.detach()}

    def _above_free(self, kl: Tensor) -> Tensor:
        """The KL with `free_bits` in place of each latent that has less (Kingma et al. 2016, equation 15)."""
        own = kl.mean(0)
        # Of the whole batch, not of this process's part.
        whole = own.detach().clone()
        self.team.mean([whole])
        return torch.where(whole > self.config.free_bits, own, self.config.free_bits).sum()

    def _weighted(self, images: Tensor, classes: Tensor | None, beta: float) -> dict[str, Tensor]:
        samples = self.config.importance_samples
        noise = self.noise(images, samples * self.config.latent_dim).view(len(images), samples, -1)
        with self.reduced():
            nll, kl = self.autoencoder.estimates(images, noise, classes)
        self.update("autoencoder", importance_weighted_nll(-(nll + beta * kl)).mean())
        nll, kl = nll.detach(), kl.detach()
        losses = {
            "negative_elbo": nll + kl,
            "nll": nll,
            "kl": kl,
            "negative_iwae": importance_weighted_nll(-(nll + kl)),
        }
        return {name: each.mean() for name, each in losses.items()}

    def signs(self, losses: Mapping[str, float]) -> list[str]:
        """Codes that say nothing of their images."""
        kl = losses.get("kl_of_code", losses.get("kl", math.inf))
        return [f"the posterior has collapsed: the KL is {kl:.2g} nats"] if kl < DEAD else []
