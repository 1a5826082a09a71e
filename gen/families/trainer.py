"""What every family's training shares: networks and optimisers whose whole state lies in tensors, changed in place."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from gen.families.base import ModelConfig, Precision
from gen.parallel import Team


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside the block the weights of `network` get no gradient: a backward pass only goes through it."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


class SickStepError(Exception):
    """A loss or a gradient is not finite."""


class Trainer:
    """One model in training.

    All that it knows after a step is in its tensors and in the state of `randomness`: that is why a step can be
    taken back, and why another process can go on from there to the bit.
    """

    precision: Precision = "float32"
    """Of what networks compute on their way forward. Weights, losses and penalties are float32 with each."""

    def __init__(
        self, config: ModelConfig, networks: Mapping[str, nn.Module], randomness: torch.Generator, team: Team
    ) -> None:
        """`networks` that learn, by name, in the order in which a step updates them; noise comes from `randomness`.

        Every process of `team` holds the same networks and draws the same noise.
        """
        self.networks = networks
        self.randomness = randomness
        self.team = team
        for network in networks.values():
            team.join(network)
        self.optimisers = {name: _adam(name, network, config) for name, network in networks.items()}

    def step(self, batch: tuple[Tensor, ...], progress: float) -> Mapping[str, Tensor]:
        """One update of each network on a batch: a tensor [B, C, H, W] in [-1, 1] for each domain, in a team its part.

        Of a conditional model the classes of the images, int64 [B], come after them.
        `progress` is the share of the budget that was seen, in [0, 1): schedules are functions of it.
        Returns detached scalars by name, still on the device: means over the images of this process.
        """
        raise NotImplementedError

    def run(self, network: Callable[[Tensor], Tensor], batch: Tensor, *, precise: bool = False) -> Tensor:
        """What `network` makes of a batch, in that one's type; on the way in the training's, unless `precise`."""
        # A block for each pass: inside of one, casts of weights are kept, and an update would not reach them.
        with self.reduced(precise=precise):
            made = network(batch)
        return made.to(batch.dtype)

    def reduced(self, *, precise: bool = False) -> torch.autocast:
        """Inside the block networks compute in the training's precision."""
        enabled = self.precision == "bfloat16" and not precise
        return torch.autocast(self.team.device.type, torch.bfloat16, enabled=enabled)

    def noise(self, images: Tensor, dimension: int) -> Tensor:
        """Standard normal [N, dimension] for N `images` of this process: its part of what is drawn for all."""
        return self._drawn(torch.randn, images, dimension)

    def uniform(self, images: Tensor, dimension: int) -> Tensor:
        """The same, of numbers evenly spread over [0, 1)."""
        return self._drawn(torch.rand, images, dimension)

    def _drawn(self, draw: Callable[..., Tensor], images: Tensor, dimension: int) -> Tensor:
        count = len(images) * self.team.size
        drawn = draw(count, dimension, generator=self.randomness)
        return drawn[self.team.part(count)].to(images.device)

    def update(self, name: str, loss: Tensor) -> None:
        """One step of the network called `name` down the gradient of `loss`.

        Raises SickStepError, and changes no weight of it, where loss or gradient is not finite.
        """
        optimiser = self.optimisers[name]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [weight.grad for weight in self.networks[name].parameters() if weight.grad is not None]
        # In one message once all are there: torch's own wrapper sends them as they come, but neither freezes a
        # network in another's step nor differentiates twice.
        loss = loss.detach()
        self.team.mean([loss, *gradients])
        # By squares, as Adam sums them: what overflows there does so here.
        if not torch.stack([loss, *(gradient.norm() for gradient in gradients)]).isfinite().all():
            raise SickStepError
        optimiser.step()

    def signs(self, losses: Mapping[str, float]) -> list[str]:  # noqa: ARG002
        """Signs of collapse in the losses of a record, in words."""
        return []

    def passing(self) -> dict[str, Tensor]:
        """The tensors that a step may have changed already when it turns out to be sick, by name.

        All but the weights and moments of the network that is updated last.
        """
        last = list(self.networks)[-1]
        kept = {f"{last}.{name}" for name, _ in self.networks[last].named_buffers()}
        return {name: live for name, live in self.tensors().items() if not name.startswith(f"{last}.") or name in kept}

    def memory(self) -> dict[str, Tensor]:
        """What it remembers between steps besides networks and optimisers, by name."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that a step changes, by name: weights, buffers, moments, memory. They are live, not copies."""
        named = {f"memory.{name}": tensor for name, tensor in self.memory().items()}
        for name, network in self.networks.items():
            named |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
            for index, moments in enumerate(self.optimisers[name].state.values()):
                named |= {f"{name}.adam.{index}.{key}": tensor for key, tensor in moments.items()}
        return named


def _adam(name: str, network: nn.Module, config: ModelConfig) -> torch.optim.Adam:
    """Adam over all weights, fused into one kernel where the device has it, its moments there from the start."""
    betas = (config.beta1, config.beta2.value)
    rate = config.learning_rate_of(name).value
    optimiser = torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=True)
    for weight in network.parameters():
        optimiser.state[weight] = {
            "step": torch.zeros((), device=weight.device),
            "exp_avg": torch.zeros_like(weight),
            "exp_avg_sq": torch.zeros_like(weight),
        }
    return optimiser
