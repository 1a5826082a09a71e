"""CycleGAN: translation between two domains without pairs (Zhu et al. 2017, arXiv 1703.10593)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from gen.classes import Classes
from gen.errors import BadParamsError
from gen.families.base import ModelConfig, Shape, Task, require_domains
from gen.families.trainer import Trainer, frozen
from gen.losses import adversarial, least_squares
from gen.networks import initialise
from gen.networks.patches import PatchDiscriminator
from gen.parallel import Team


class CycleGanConfig(ModelConfig):
    """A CycleGAN's block in params.yaml."""

    shaping: ClassVar[tuple[str, ...]] = ("network", "width", "blocks", "halvings")

    family: Literal["cyclegan"]
    network: Literal["translator", "unet"]
    width: int = Field(default=64, ge=1)
    """Feature maps of both networks at full size; of a U-Net at half."""
    blocks: int = Field(default=6, ge=1)
    """Residual blocks of a generator: 6 at 128 px, 9 at 256 px in the paper. A U-Net has none."""
    halvings: int = Field(default=3, ge=1, le=5)
    """Of a discriminator: 2 judges patches of 34x34 pixels, 3 of 70x70."""
    cycle: float = Field(default=10.0, ge=0)
    """Weight of the cycle loss."""
    identity: float = Field(default=0.5, ge=0)
    """Weight of the identity loss, as a share of `cycle`."""
    pool: int = Field(default=50, ge=0)
    """Generated images remembered for the discriminators."""

    @property
    def task(self) -> Task:
        """Domain A to domain B."""
        return "translate"

    def check_dataset(self, dataset: Any, where: str) -> None:
        """Two domains; a size that can be halved twice and still fill a patch."""
        require_domains(dataset, 2, where, self.family)
        if dataset.size % 4 or dataset.size < 4 * 2**self.halvings // 2:
            raise BadParamsError(
                f"params.yaml: `{where}` cannot translate images of {dataset.size} px with {self.halvings} halvings: "
                "the size must be a multiple of 4 and large enough. Change the dataset's `size` or lower `halvings`."
            )

    def build(self, shape: Shape, generator: torch.Generator, classes: Classes | None = None) -> "TranslatorPair":  # noqa: ARG002
        """Both generators, initialised."""
        return TranslatorPair(self, shape, generator)

    def trainer(self, published: nn.Module, shape: Shape, generator: torch.Generator, team: Team) -> "CycleGanTrainer":
        """Two games and two cycles."""
        assert isinstance(published, TranslatorPair)
        return CycleGanTrainer(self, published, shape, generator, team)


class TranslatorPair(nn.Module):
    """The published CycleGAN: A to B, and B to A."""

    def __init__(self, config: CycleGanConfig, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.forth, self.back = _generator(config, shape), _generator(config, shape)
        initialise(self, generator)

    def translate(self, images: Tensor) -> Tensor:
        """Images of A [N, C, H, W] in [-1, 1] to images of B."""
        translated: Tensor = self.forth(images)
        return translated

    def translate_back(self, images: Tensor) -> Tensor:
        """Images of B [N, C, H, W] in [-1, 1] to images of A."""
        translated: Tensor = self.back(images)
        return translated


def _generator(config: CycleGanConfig, shape: Shape) -> nn.Module:
    channels, size, _ = shape
    # Only the one that is asked for is imported, so an edit of the other trains nothing anew.
    match config.network:
        case "translator":
            from gen.networks import translator

            return translator.Generator(channels, config.width, config.blocks)
        case "unet":
            from gen.networks import unet

            return unet.Generator(channels, size, config.width)


class ImagePool:
    """Remembers generated images, so that a discriminator also sees older ones (section 4, Training details)."""

    def __init__(self, size: int, shape: Shape, randomness: torch.Generator, device: torch.device) -> None:
        """Empty, with room for `size` images of `shape`."""
        self.randomness = randomness
        self.images = torch.zeros(size, *shape, device=device)
        self.filled = torch.zeros((), dtype=torch.int64)

    def exchange(self, images: Tensor) -> Tensor:
        """Each image [N, C, H, W] is stored; with even odds an older one is given back in its place."""
        if not len(self.images):
            return images
        given = images.clone()
        for place, image in enumerate(images):
            if self.filled < len(self.images):
                self.images[self.filled] = image
                self.filled += 1
            elif float(torch.rand((), generator=self.randomness)) < 0.5:
                index = int(torch.randint(len(self.images), (), generator=self.randomness))
                given[place] = self.images[index]
                self.images[index] = image
        return given


class CycleGanTrainer(Trainer):
    """One update of both generators, then one of both discriminators, a batch."""

    def __init__(
        self, config: CycleGanConfig, published: TranslatorPair, shape: Shape, randomness: torch.Generator, team: Team
    ) -> None:
        self.config = config
        self.pair = published
        self.judge_a = PatchDiscriminator(shape[0], config.width, config.halvings)
        self.judge_b = PatchDiscriminator(shape[0], config.width, config.halvings)
        self.judges = nn.ModuleList([self.judge_a, self.judge_b])
        initialise(self.judges, randomness)
        device = next(published.parameters()).device
        self.judges.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pools = [ImagePool(config.pool, shape, randomness, device) for _ in "ab"]
        super().__init__(config, {"generators": self.pair, "discriminators": self.judges}, randomness, team)

    def memory(self) -> dict[str, Tensor]:
        """The generated images in both pools, and how many there are."""
        pools = dict(zip("ab", self.pools, strict=True))
        return {
            f"pool_{name}.{key}": getattr(pool, key) for name, pool in pools.items() for key in ("images", "filled")
        }

    def step(self, batch: tuple[Tensor, ...], progress: float) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Update on unpaired images of A and B."""
        real_a, real_b = batch
        fake_a, fake_b, losses = self._update_generators(real_a, real_b)
        fake_a, fake_b = (self._exchange(pool, fake) for pool, fake in zip(self.pools, (fake_a, fake_b), strict=True))
        return losses | self._update_discriminators((real_a, fake_a), (real_b, fake_b))

    def _exchange(self, pool: ImagePool, fake: Tensor) -> Tensor:
        """Every process remembers what all of them made."""
        whole = self.team.whole(fake)
        return pool.exchange(whole)[self.team.part(len(whole))]

    def _update_generators(self, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        with frozen(self.judges):
            forth, back = self.pair.translate, self.pair.translate_back
            fake_b, fake_a = self.run(forth, real_a), self.run(back, real_b)
            game = least_squares(self.run(self.judge_b, fake_b), 1) + least_squares(self.run(self.judge_a, fake_a), 1)
            cycle = l1_loss(self.run(back, fake_b), real_a) + l1_loss(self.run(forth, fake_a), real_b)
            loss, losses = game + self.config.cycle * cycle, {"generator": game.detach(), "cycle": cycle.detach()}
            if self.config.identity:
                same_a, same_b = self.run(back, real_a), self.run(forth, real_b)
                identity = l1_loss(same_b, real_b) + l1_loss(same_a, real_a)
                loss = loss + self.config.cycle * self.config.identity * identity
                losses["identity"] = identity.detach()
            self.update("generators", loss)
        return fake_a.detach(), fake_b.detach(), losses

    def _update_discriminators(self, *domains: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        # Halved, so that it learns more slowly than the generators (section 4, Training details).
        game, losses = adversarial("least-squares"), {}
        for name, judge, (real, fake) in zip("ab", (self.judge_a, self.judge_b), domains, strict=True):
            losses[f"discriminator_{name}"] = game.discriminator(self.run(judge, real), self.run(judge, fake))
        self.update("discriminators", torch.stack(list(losses.values())).sum())
        return {name: loss.detach() for name, loss in losses.items()}
