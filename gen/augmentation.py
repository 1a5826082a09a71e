"""Changes of images that a discriminator is shown instead of them, so that it cannot learn a few images by heart.

Differentiable, the same kinds for real and generated images (DiffAugment: Zhao et al. 2020, arXiv 2006.10738), and as
often as its answers ask for (ADA: Karras et al. 2020, arXiv 2006.06676). What is published has seen none of them.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from gen.parallel import Team

Kind = Literal["colour", "translation", "cutout"]
DRAWS = {"colour": 3, "translation": 2, "cutout": 2}
"""Numbers that a change of an image takes; one more decides whether it is made."""
LARGEST_SHIFT = 1 / 8
HOLE = 1 / 2
"""Sides, as shares of an image's."""
INTERVAL = 4
"""Batches between two moves of the probability."""
RISE = 500_000
"""Images after which it has risen from 0 to 1, if it never falls."""


class Augmentation:
    """Changes of several kinds, each made to an image with one probability: always, or moved towards a target."""

    def __init__(self, kinds: Sequence[Kind], target: float | None, device: torch.device) -> None:
        """`target`: of the mean sign of real images' logits, which is 1 where all are known by heart."""
        self.kinds = kinds
        self.target = target
        self.draws = sum(1 + DRAWS[kind] for kind in kinds)
        """Numbers that an image takes."""
        self.probability = torch.full((), 1.0 if target is None else 0.0, device=device)
        self.signs = torch.zeros((), device=device)
        self.batches = torch.zeros((), dtype=torch.int64)

    def __call__(self, images: Tensor, numbers: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1], changed as `numbers` [N, draws] say, which are even over [0, 1)."""
        sizes = [size for kind in self.kinds for size in (1, DRAWS[kind])]
        parts = iter(torch.split(numbers, sizes, 1))
        for kind in self.kinds:
            chosen, drawn = next(parts) < self.probability, next(parts)
            images = torch.where(chosen[:, :, None, None], changed(kind, images, drawn), images)
        return images

    def memory(self) -> dict[str, Tensor]:
        """What it knows of earlier batches, by name: live tensors, changed in place."""
        if self.target is None:
            return {}
        return {name: getattr(self, name) for name in ("probability", "signs", "batches")}

    @torch.no_grad()
    def adapt(self, real_logits: Tensor, team: Team) -> None:
        """After a batch of real images, of whose logits [N] this is the part of one process of `team`.

        Where their mean sign (r_t, equation 1) is above the target, changes become likelier.
        """
        if self.target is None:
            return
        sign = real_logits.sign().mean()
        team.mean([sign])
        self.signs += sign
        self.batches += 1
        if self.batches == INTERVAL:
            images = INTERVAL * len(real_logits) * team.size
            move = torch.sign(self.signs / INTERVAL - self.target) * (images / RISE)
            self.probability.add_(move).clamp_(0, 1)
            self.signs.zero_()
            self.batches.zero_()


def changed(kind: Kind, images: Tensor, numbers: Tensor) -> Tensor:
    """All of `images` [N, C, H, W], changed as `numbers` [N, DRAWS[kind]] in [0, 1) say."""
    match kind:
        case "colour":
            return _colour(images, *(column[:, None, None, None] for column in numbers.unbind(1)))
        case "translation":
            return _translation(images, *numbers.unbind(1))
        case "cutout":
            return _cutout(images, *numbers.unbind(1))


def _colour(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Brighter by -0.5 to 0.5; colours 0 to 2 times as far from grey; pixels 0.5 to 1.5 times as far from the mean."""
    images = images + (brightness - 0.5)
    images = torch.lerp(images.mean(1, keepdim=True), images, 2 * saturation)
    return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast + 0.5)


def _translation(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Moved by whole pixels, up to LARGEST_SHIFT of the side each way; what comes in is 0, a middle grey."""
    side = images.shape[-1]
    most = int(side * LARGEST_SHIFT + 0.5)
    # A border of one pixel stands for all that lies outside.
    rows, columns = (
        (torch.arange(side, device=images.device) - _below(2 * most + 1, share)[:, None] + most + 1).clamp(0, side + 1)
        for share in (down, right)
    )
    numbers = torch.arange(len(images), device=images.device)[:, None, None]
    bordered = pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    return bordered[numbers, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cutout(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """A square of HOLE of the side, about a centre that may lie anywhere in the image, is made 0."""
    side = images.shape[-1]
    hole = int(side * HOLE + 0.5)
    inside = []
    for share in (down, right):
        first = _below(side + 1 - hole % 2, share)[:, None] - hole // 2
        places = torch.arange(side, device=images.device)
        inside.append((places >= first) & (places < first + hole))
    return images.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0)


def _below(count: int, shares: Tensor) -> Tensor:
    """Whole numbers from 0 to `count` - 1, one for each share of [0, 1)."""
    return (shares * count).long().clamp(max=count - 1)
