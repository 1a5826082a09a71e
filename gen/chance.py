"""How far chance goes: quantiles of a measured spread, and the gain that another seed alone may bring."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

LUCK = 0.05
"""Share of pairs of seeds of one recipe whose difference may pass for a gain."""


def quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t, from that of the normal distribution (Abramowitz & Stegun 1964, 26.7.5).

    Within 1 % of the exact value up to a probability of 0.999 from 4 degrees of freedom, up to 1 - 1e-6 from 9.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


@dataclass(frozen=True)
class Luck:
    """What seeds alone do to a figure of one recipe."""

    mean: float
    deviation: float
    """Over seeds."""
    floor: float
    """What a perfect generator scores."""
    seeds: int

    @property
    def minimum_effect(self) -> float:
        """The part of the way to the floor by which one seed beats another in a share LUCK of pairs.

        The difference of two seeds has the deviation sqrt(2) s, and s is known from a few seeds only: hence Student's
        quantile. A generator at its floor has no way to go: infinity.
        """
        way = abs(self.mean - self.floor)
        return quantile(1 - LUCK, self.seeds - 1) * math.sqrt(2) * self.deviation / way if way else math.inf


def luck(values: Sequence[float], floor: float) -> Luck:
    """From a figure's values over at least five seeds. Raises ValueError for fewer."""
    if len(values) < 5:
        raise ValueError(f"{len(values)} seeds say too little of their spread; 5 are needed")
    return Luck(fmean(values), stdev(values), floor, len(values))
