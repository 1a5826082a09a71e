"""A choice that one number of the noise makes, by its place in the normal distribution.

So what is drawn from is still standard normal noise alone: seeds, walks, exports and the server know nothing else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Choice(nn.Module):
    """Among K things, each as often as its share. It has no weights; the shares are buffers."""

    edges: Tensor

    def __init__(self, count: int, *, persistent: bool = True) -> None:
        """Among `count` things of equal shares, until it is told others; a state dict holds them if `persistent`."""
        super().__init__()
        edges = _edges(torch.full((count,), 1 / count, dtype=torch.float64))
        self.register_buffer("edges", edges, persistent=persistent)

    @classmethod
    def of(cls, shares: Sequence[float]) -> "Choice":
        """Among things whose shares are known wherever it is built, so that no state dict holds them."""
        choice = cls(len(shares), persistent=False)
        choice.tell(torch.tensor(shares, dtype=torch.float64))
        return choice

    def tell(self, shares: Tensor) -> None:
        """How often each thing is to be chosen, [K], in sum 1."""
        self.edges.copy_(_edges(shares.double()))

    def forward(self, numbers: Tensor) -> Tensor:
        """Standard normal [N] to what is chosen, from 0 to K - 1: [N]."""
        chosen: Tensor = (numbers[:, None] >= self.edges).sum(1)
        return chosen

    def number(self, thing: int) -> float:
        """A number that chooses this thing: the one in the middle of all that do."""
        places = torch.cat([torch.zeros(1), torch.special.ndtr(self.edges.cpu()), torch.ones(1)]).double()
        return float(torch.special.ndtri(places[thing : thing + 2].mean()))


def _edges(shares: Tensor) -> Tensor:
    edges: Tensor = torch.special.ndtri(shares.cumsum(0)[:-1].clamp(0, 1))
    return edges.float()
