"""fourier: random Fourier features of points in the plane (Rahimi and Recht 2007), which nothing has to be trained for.

The mean of exp(i w . x) over points is their characteristic function at w: with frequencies w of several lengths, two
sets whose features have the same distribution are alike from the whole of the box down to the width of a mode.
"""

import torch
from torch import Tensor

from gen.extractors.architecture import Architecture, Network
from gen.images import to_float

NAME = "fourier"
TAP = "waves"
PREPROCESSING = "points in [-1, 1]"
LENGTHS = (1.0, 1 / 4, 1 / 16, 1 / 64)
"""Of the Gaussian kernels that the frequencies are drawn from, in parts of half a box."""


class Waves(Network):
    """Cosines and sines of points along fixed directions; the state holds the frequencies."""

    frequencies: Tensor
    """[waves, 2], radians for one half of the box."""

    def __init__(self, dimension: int) -> None:
        """`dimension`: features of a point, an even number."""
        super().__init__()
        self.register_buffer("frequencies", torch.zeros(dimension // 2, 2))

    def draw(self, generator: torch.Generator) -> None:
        """Draw the frequencies, of each length as many."""
        waves = len(self.frequencies)
        lengths = torch.tensor(LENGTHS).repeat(waves // len(LENGTHS) + 1)[:waves]
        self.frequencies.copy_(torch.randn(waves, 2, generator=generator) / lengths[:, None])

    def features(self, images: Tensor) -> Tensor:
        """Points [N, 2, 1, 1] in [-1, 1] to [N, dimension], all in [-1, 1]."""
        phases = images.flatten(1) @ self.frequencies.T
        return torch.cat([phases.cos(), phases.sin()], dim=1)


def architecture(dimension: int) -> Architecture:
    """The architecture of one with so many features."""
    return Architecture(
        taps={TAP: dimension},
        build=lambda _: Waves(dimension),
        prepare=to_float,
        preprocessing=PREPROCESSING,
        channels=(2,),
        smallest=1,
        largest=1,
        batch=4096,
    )
