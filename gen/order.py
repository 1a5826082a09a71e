"""A shuffled order that is computed, not stored: any place of it at once, whatever the number of images."""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
ROUNDS = 8
"""Of the cipher; four pass for random against an attacker (Luby and Rackoff 1988), small squares like a few more."""


class Order:
    """An endless order of `count` images. In every pass each image comes once, in an order of that pass's own.

    A pass is a permutation by a keyed generalised Feistel cipher on a square just larger than `count`, walked again
    where it leads outside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains", sections 3 and 4).
    So position p is known without the positions before it: a training goes on anywhere, on any number of processes.
    """

    def __init__(self, count: int, seed: int, stream: int = 0) -> None:
        """Equal arguments give equal orders; another `stream` of a seed gives another order."""
        self.count = count
        self.seed = seed
        self.stream = stream
        self.side = isqrt(count - 1) + 1

    def at(self, start: int, size: int) -> Indices:
        """The images at positions `start` to `start + size - 1`: int64 [size], each in [0, count)."""
        positions = np.arange(start, start + size, dtype=np.int64)
        passes = positions // self.count
        indices = positions % self.count
        for number in np.unique(passes):
            here = passes == number
            indices[here] = self._permuted(indices[here], self._keys(int(number)))
        return indices

    def _permuted(self, values: Indices, keys: NDArray[np.uint64]) -> Indices:
        values = self._enciphered(values, keys)
        while (outside := values >= self.count).any():
            values[outside] = self._enciphered(values[outside], keys)
        return values

    def _enciphered(self, values: Indices, keys: NDArray[np.uint64]) -> Indices:
        left, right = np.divmod(values, self.side)
        for key in keys:
            left, right = right, (left + (_mixed(right, key) % np.uint64(self.side)).astype(np.int64)) % self.side
        return left * self.side + right

    def _keys(self, number: int) -> NDArray[np.uint64]:
        return (
            np.random.SeedSequence((self.seed, self.stream, number)).generate_state(ROUNDS, np.uint64).astype(np.uint64)
        )


def _mixed(values: Indices, key: np.uint64) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input moves half of the output's."""
    bits = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
