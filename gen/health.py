"""Signs of collapse: in what a generator makes at a milestone, beside the real images of `select`."""

from collections.abc import Sequence

import numpy as np

from gen.images import Pixels
from gen.metrics.distribution import Features

ALIKE = 0.1
"""Share of the real images' variance below which generated images are too much alike."""
COMMON, RARE = 0.02, 0.05
"""A class with this share of the real images is missed below that share of its own share."""
COPIED = 0.1
"""Share of the way from a domain to the other below which a translation is a copy of its input."""


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


def copies(inputs: Pixels, outputs: Pixels, targets: Pixels) -> list[str]:
    """A translator that gives back its input: images uint8 [N, H, W, C] of domain a, their translations, and of b."""
    count = min(len(inputs), len(targets))
    way = _difference(inputs[:count], targets[:count])
    share = _difference(inputs, outputs) / way if way else 1.0
    return [f"the translator copies its input: it goes {share:.1%} of the way"] if share < COPIED else []


def _difference(some: Pixels, others: Pixels) -> float:
    """Mean absolute difference of a pixel."""
    return float(np.abs(some.astype(np.int16) - others).mean())
