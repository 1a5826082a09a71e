"""Several processes that train one model together: each on its part of every batch, and all in the same state.

They meet as `torchrun` has it, by the environment (RANK, WORLD_SIZE and, on several machines, MASTER_ADDR and
MASTER_PORT), so that it can start them anywhere; gen/launch.py starts them on one machine.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from gen.errors import PartedError, UserError

MEETING = "GENFLOWS_MEETING"
"""Environment variable: a file by which the processes of one machine find each other. Nothing listens for it."""
PATIENCE = timedelta(days=1)
"""How long a process waits for another one: for a measurement, or for an accelerator that is not free."""


class Team:
    """The processes that train one model. Alone, a process is a team of one, and asks nobody."""

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None) -> None:
        """Number `rank` of `size` processes, its networks on `device`."""
        self.rank = rank
        self.size = size
        self.device = device or torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this is the process that reads, writes and speaks for all."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Which of `count` things of a whole batch are this process's; `count` is a multiple of the team's size."""
        share = count // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    @torch.no_grad()
    def mean(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes: what a mean over the whole batch would have given."""
        if self.size == 1:
            return
        # One message for all of them: many small ones would only wait for each other.
        message = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(message)
        message /= self.size
        parts = torch.split(message, [tensor.numel() for tensor in tensors])
        for tensor, values in zip(tensors, parts, strict=True):
            tensor.copy_(values.view(tensor.shape))

    def whole(self, part: Tensor) -> Tensor:
        """The parts [N / size, ...] of all processes as one batch [N, ...], in their order."""
        if self.size == 1:
            return part
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.size)]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    def any(self, wish: bool) -> bool:
        """Whether any of the processes wishes it."""
        if self.size == 1:
            return wish
        wishes = torch.tensor(float(wish), device=self.device)
        distributed.all_reduce(wishes)
        return bool(wishes)

    def tell(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """As its leader, give all others JSON values, and tensors that they have of the same names and shapes."""
        if self.size == 1:
            return
        text = torch.frombuffer(bytearray(json.dumps(facts).encode()), dtype=torch.uint8).to(self.device)
        distributed.broadcast(torch.tensor(len(text), device=self.device), 0)
        distributed.broadcast(text, 0)
        for name in sorted(tensors):
            distributed.broadcast(tensors[name].detach().to(self.device).contiguous(), 0)

    def hear(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What the leader tells; `tensors` show the shapes, and stay as they are."""
        length = torch.tensor(0, device=self.device)
        distributed.broadcast(length, 0)
        text = torch.empty(int(length), dtype=torch.uint8, device=self.device)
        distributed.broadcast(text, 0)
        heard = {}
        for name in sorted(tensors):
            like = tensors[name]
            heard[name] = torch.empty(like.shape, dtype=like.dtype, device=self.device)
            distributed.broadcast(heard[name], 0)
        return json.loads(text.cpu().numpy().tobytes()), {name: heard[name].to(tensors[name].device) for name in heard}

    def join(self, network: nn.Module) -> None:
        """Make every batch norm in `network` take its statistics over the whole batch."""
        if self.size == 1:
            return
        for name, child in network.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(network, name, SharedBatchNorm(child))
            else:
                self.join(child)


ALONE = Team()


def own_device(kind: str) -> torch.device:
    """The device of this process: of several accelerators of a machine each process of a team has its own.

    Raises UserError when there are more processes than accelerators.
    """
    number = int(os.environ.get("LOCAL_RANK", "0"))
    if kind != "cuda" or "LOCAL_RANK" not in os.environ:
        return torch.device(kind)
    if number >= torch.cuda.device_count():
        raise UserError(
            f"Process {number} of this training has no accelerator of its own: torch sees {torch.cuda.device_count()}. "
            "Set `machine.processes` in params.yaml to as many as there are."
        )
    return torch.device(kind, number)


def leads() -> bool:
    """Whether this process is the one that reads, writes and speaks for all, before it has met them."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def team(device: torch.device) -> Iterator[Team]:
    """The team that this process was started in; it meets the others, and parts from them.

    Raises PartedError when another process of the team has gone before, UserError when they do not meet.
    """
    if "RANK" not in os.environ:
        yield Team(device=device)
        return
    met = _meet(device)
    try:
        yield met
    except RuntimeError as error:
        # gloo has no error of its own for it.
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise PartedError(
                "Another of the processes that train this model has ended before its time; what it printed says why. "
                "Run the same command again: it goes on from the newest checkpoint."
            ) from error
        raise
    # Not after a failure: it would wait for what the others send no more.
    distributed.destroy_process_group()


def _meet(device: torch.device) -> Team:
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    where = f"file://{os.environ[MEETING]}" if MEETING in os.environ else "env://"
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        distributed.init_process_group(backend, init_method=where, rank=rank, world_size=size, timeout=PATIENCE)
    except RuntimeError as error:
        raise UserError(
            f"Process {rank} of {size} did not find the others ({' '.join(str(error).split())[:200]}). Check "
            "MASTER_ADDR and MASTER_PORT, and that every machine reaches that address."
        ) from error
    return Team(rank, size, device)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. Its gradient is one too: every process loses or gains by each part."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:  # noqa: ARG004
        total = part.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        (gradient,) = gradients
        return _sum(gradient)


def _sum(part: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(part)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batch of all processes, on any device (torch's own is for CUDA alone)."""

    def __init__(self, alone: nn.BatchNorm2d) -> None:
        """In the place of `alone`, with its weights and statistics. All processes have parts of equal size."""
        super().__init__(alone.num_features, alone.eps, alone.momentum)
        self.weight, self.bias = alone.weight, alone.bias
        self.running_mean, self.running_var = alone.running_mean, alone.running_var
        self.num_batches_tracked = alone.num_batches_tracked
        self.train(alone.training)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] to the same; in eval mode by the running statistics."""
        if not self.training:
            return super().forward(maps)
        size = distributed.get_world_size()
        # Statistics need all digits, whatever the network computes in.
        precise = maps.float() if maps.dtype == torch.bfloat16 else maps
        mean = _sum(precise.mean((0, 2, 3))) / size
        centred = precise - mean[:, None, None]
        variance = _sum(centred.square().mean((0, 2, 3))) / size
        self._remember(mean.detach(), variance.detach(), size * maps.numel() // maps.shape[1])
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(maps.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
