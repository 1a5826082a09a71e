"""Signs of collapse: in what a generator makes at a milestone, beside the real images of `select`."""

from collections.abc import Sequence

import numpy as np

from gen.images import Pixels
from gen.metrics.distribution import Features
from gen.metrics.neighbours import among_themselves, blocks

ALIKE = 0.1
"""Share of the real images' variance below which generated images are too much alike."""
SURE = 0.7
"""Probability of its class below which a generated image is of none: what is blurred falls into any class."""
COMMON, RARE = 0.02, 0.2
"""A class with this share of the real images is missed below that share of its own share. Of digits that a GAN never
saw the rarest had 0.15 at most; of those that it saw, 0.3 at least in five of six trainings, and 0.14 in the sixth.
"""
LIFELIKE, NEIGHBOURS = 0.5, 3
"""Share of images among the real ones above which classes are looked for, and the neighbour that says what is among."""
COPIED, STAYED = 0.4, 0.5
"""A translation is a copy below that share of the way from a domain to the other, in pixels, when more than this share
of the way between the domains' centres, in features, is still to go. Small networks copy badly, and a translation that
is right may change few pixels: only both together tell."""


def too_alike(made: Features, real: Features) -> list[str]:
    """Few distinct outputs: the total variance of generated features [N, d] against that of real ones [M, d]."""
    ratio = float(made.var(0).sum() / real.var(0).sum())
    return [f"few distinct images: they vary {ratio:.1%} as much as real ones"] if ratio < ALIKE else []


def missing_modes(made: Sequence[float], real: Sequence[float], labels: Sequence[str]) -> list[str]:
    """Classes that real images have and generated ones hardly: shares of each class, as the extractor tells them."""
    missing = [
        label
        for label, share, wanted in zip(labels, made, real, strict=True)
        if wanted >= COMMON and share < RARE * wanted
    ]
    return [f"missing modes: hardly any {', '.join(missing)}"] if missing else []


def lifelike(made: Features, real: Features) -> bool:
    """Whether most generated features [N, d] lie among the real ones [M, d], M > NEIGHBOURS.

    Among them lies what is no further from one of them than its own third neighbour (Kynkaanniemi et al. 2019). A
    generator that has hardly learnt anything yet has no classes to miss.
    """
    radius = among_themselves(real, NEIGHBOURS)[0][:, -1]
    among = sum(int((squared <= radius).any(1).sum()) for _, squared in blocks(made, real))
    return among > LIFELIKE * len(made)


def copies(pixels: Sequence[Pixels], features: Sequence[Features]) -> list[str]:
    """A translator that gives back its input.

    `pixels`, uint8 [N, H, W, C], and `features`, [N, d], are of images of domain a, their translations, and of b.
    """
    inputs, outputs, targets = pixels
    count = min(len(inputs), len(targets))
    way = _difference(inputs[:count], targets[:count])
    share = _difference(inputs, outputs) / way if way else 1.0
    start, centre, goal = (side.mean(0) for side in features)
    if share >= COPIED or np.linalg.norm(centre - goal) <= STAYED * np.linalg.norm(start - goal):
        return []
    return [f"the translator copies its input: it goes {share:.1%} of the way"]


def _difference(some: Pixels, others: Pixels) -> float:
    """Mean absolute difference of a pixel."""
    return float(np.abs(some.astype(np.int16) - others).mean())
