"""Distributions of points in the plane that are known exactly, so that what a generator made of them can be counted."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Name = Literal["ring", "grid", "moons"]
Points = NDArray[np.float64]
"""In the plane: [N, 2]."""
MOON_NOISE = 0.05
SEED = 0
"""Of the points of a source: the same name and count are the same points, everywhere."""


@dataclass(frozen=True)
class Mixture:
    """Equally likely round normals."""

    means: Points
    """Of the modes: [K, 2]."""
    std: float
    """Of each of them, along each axis."""

    def draw(self, count: int, random: np.random.Generator) -> Points:
        """So many points, each of a mode drawn anew."""
        modes = random.integers(len(self.means), size=count)
        return self.means[modes] + self.std * random.standard_normal((count, 2))


def ring() -> Mixture:
    """8 modes on a circle of radius 2, std 0.02 (Metz et al. 2017, arXiv 1611.02163, section 4.1).

    PacGAN's (arXiv 1712.04086, section 4.1) is the same at half the scale.
    """
    angles = 2 * math.pi * np.arange(8) / 8
    return Mixture(2 * np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.02)


def grid() -> Mixture:
    """25 modes on 5 x 5 places from -4 to 4, std 0.05 (PacGAN, arXiv 1712.04086, section 4.1)."""
    places = np.arange(-4.0, 5.0, 2.0)
    return Mixture(np.stack(np.meshgrid(places, places), axis=2).reshape(-1, 2), 0.05)


def known(name: str | None) -> Mixture | None:
    """The mixture called `name`; None where that is none whose modes can be counted."""
    mixtures: dict[str, Callable[[], Mixture]] = {"ring": ring, "grid": grid}
    return mixtures[name]() if name in mixtures else None


def draw(name: Name, count: int, seed: int = SEED) -> Points:
    """So many points of the distribution called `name`."""
    random = np.random.default_rng(seed)
    mixture = known(name)
    return _moons(count, random) if mixture is None else mixture.draw(count, random)


def _moons(count: int, random: np.random.Generator) -> Points:
    """Two half circles of radius 1 that reach into each other, about (0, 0) and (1, 0.5), with noise."""
    angles = math.pi * random.random(count)
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    lower = np.array([1.0, 0.5]) - upper
    curve = np.where(random.integers(2, size=(count, 1)) == 0, upper, lower)
    return curve + MOON_NOISE * random.standard_normal((count, 2))
