"""Ways through noise: along the arc between two noises, where noise between them is as likely as they are."""

from itertools import pairwise

import torch
from torch import Tensor

SAME_LINE = 1e-6
"""How near to 1 or -1 a cosine is where two noises lie on one line through the origin, and no single arc joins them."""


def path(noises: Tensor, steps: int, choices: int = 0) -> Tensor:
    """From each of K noises [K, d] to the next in `steps` steps: [(K - 1) * steps + 1, d]. The K noises are in it.

    The last `choices` numbers only choose (gen.choice): they are those of the nearer end.
    """
    described = noises.shape[1] - choices
    pieces = [
        torch.cat(
            [
                between(start[:described], end[:described], step / steps),
                (start if 2 * step < steps else end)[described:],
            ]
        )
        if step
        else start
        for start, end in pairwise(noises.unbind())
        for step in range(steps)
    ]
    return torch.stack([*pieces, noises[-1]])


def between(start: Tensor, end: Tensor, share: float) -> Tensor:
    """The noise [d] at a `share` in [0, 1] of the way from `start` to `end`, spherically (Shoemake 1985).

    The direction goes along the arc at an even speed, and the norm evenly from that of one to that of the other. Noises
    on one line through the origin, which no single arc joins, are joined by that line.
    """
    norms = start.norm(), end.norm()
    cosine = (start / norms[0]).dot(end / norms[1]).clamp(-1, 1)
    if 1 - cosine.abs() < SAME_LINE:
        return torch.lerp(start, end, share)
    angle = torch.arccos(cosine)
    direction = torch.sin((1 - share) * angle) * start / norms[0] + torch.sin(share * angle) * end / norms[1]
    on_arc: Tensor = direction / torch.sin(angle) * torch.lerp(*norms, share)
    return on_arc
