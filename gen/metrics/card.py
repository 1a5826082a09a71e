"""Figures and their eval cards: a number together with all that it depends on."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gen import files


@dataclass(frozen=True)
class Card:
    """All that a figure depends on but the generator. Figures are ranked together only when all of it is equal."""

    metric: str
    version: int
    """Of the metric's own code: a change that moves numbers raises it."""
    split: str
    """The real images that it is measured on."""
    data: str
    """Digest of the prepared dataset."""
    counts: Mapping[str, int]
    """Images on each side, and the rule that gave them is in `gen.reference.generated_count`."""
    seed: int
    """Of the noise, and of the half-samples."""
    resamples: int
    """Half-samples behind the spread."""
    preprocessing: str
    """From uint8 pixels to what the arithmetic sees."""
    dtype: str
    """Of the arithmetic."""
    extractor: str | None = None
    """Digest of the network whose features are compared; None for figures of pixels."""
    protocol: str | None = None
    """What else defines the number, such as a likelihood."""

    @property
    def eval_id(self) -> str:
        """The digest of the card: figures with different ones are never ranked together."""
        return files.digest(asdict(self))


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    """NaN when the generator is not finite."""
    unit: str
    card: Card
    floor: float | None = None
    """What a perfect generator would score: the same metric between real and real, at the same counts."""
    baseline: float | None = None
    """What doing nothing scores: uniform noise, the mean image, the input left as it is."""
    halves: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
    """The figure on half-samples [R]; None where half of the images are too few."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What the value is the sum of."""
    lower_is_better: bool | None = True
    """None where the value is best at its floor, and worse on either side of it."""
    deviation: float | None = None
    """Standard deviation of a value whose theory knows it: it needs no half-samples."""

    @property
    def spread(self) -> float | None:
        """Standard deviation over half-samples: how far the value would move with other images."""
        return self.deviation if self.halves is None else float(self.halves.std(ddof=1))

    @property
    def cost(self) -> float:
        """The value, turned so that lower is better. Raises ValueError where neither direction is better."""
        return self.value * self.sign

    @property
    def sign(self) -> int:
        """1 where lower is better, -1 where higher is. Raises ValueError where neither is."""
        if self.lower_is_better is None:
            raise ValueError(f"nothing can be ranked by {self.name}: neither direction is better")
        return 1 if self.lower_is_better else -1

    def to_json(self) -> dict[str, Any]:
        """As it stands in metrics.json, with None for what is not finite."""
        return {
            "name": self.name,
            "value": finite(self.value),
            "unit": self.unit,
            "lower_is_better": self.lower_is_better,
            "floor": self.floor,
            "baseline": self.baseline,
            "spread": finite(self.spread),
            "parts": {name: finite(part) for name, part in self.parts.items()},
            "card": asdict(self.card),
            "eval_id": self.card.eval_id,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Figure":
        """The figure that `to_json` wrote, with its spread but without its half-samples."""
        kept = {name: values[name] for name in ("name", "unit", "floor", "baseline", "lower_is_better")}
        value = float("nan") if values["value"] is None else values["value"]
        return cls(value=value, card=Card(**values["card"]), deviation=values["spread"], parts=values["parts"], **kept)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The fields in which two eval cards, as JSON has them, differ: none where figures may be ranked together."""
    return [field for field in {**one, **other} if one.get(field) != other.get(field)]


def finite(value: float | None) -> float | None:
    """`value`, or None where JSON has no word for it."""
    return value if value is not None and math.isfinite(value) else None
