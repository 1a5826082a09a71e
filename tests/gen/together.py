"""Two processes that do something together."""

import os
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from gen import parallel
from gen.parallel import Team
from tests.gen.killing import START

Work = Callable[[Team], dict[str, Tensor]]


def together(work: Work, folder: Path, size: int = 2) -> list[dict[str, Tensor]]:
    """What `work`, a function of a module, gives in each of so many processes; it travels as tensors do on disk."""
    children = [START.Process(target=_do, args=(work, folder, rank, size)) for rank in range(size)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * size
    return [safetensors.torch.load_file(folder / f"{rank}.safetensors") for rank in range(size)]


def _do(work: Work, folder: Path, rank: int, size: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), parallel.MEETING: str(folder / "meeting"),
        "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    with parallel.team(torch.device("cpu")) as team:
        safetensors.torch.save_file(work(team), folder / f"{rank}.safetensors")
