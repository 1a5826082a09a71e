"""What follows from two figures: whether one generator is better than another, beyond chance and by enough to count.

Both figures are paired (gen.judge), so the spread of their difference over half-samples is the noise of the comparison.
A Frechet distance of n images lies above its limit by about c / n, where c depends on the generator (Chong & Forsyth
2020): plain resampling with replacement would inflate it further. Half-samples lie above it by 2 c / n, so twice the
value less their mean is rid of it, at hardly more noise: to first order both move together.
"""

import math
from dataclasses import asdict, dataclass
from typing import Literal

from gen.chance import quantile
from gen.metrics.card import Figure, differences

Decision = Literal["promote", "keep", "undecided"]
BIASED = ("frechet",)
"""Figures that lie above their limit by about c / n; those of half-samples by twice as much."""


@dataclass(frozen=True)
class Standard:
    """What a challenger is held to."""

    level: float
    """Chance of calling it better when it is not."""
    effect: float
    """The least gain that counts, as a part of the way from the champion to a perfect generator."""


@dataclass(frozen=True)
class Gain:
    """By how much a challenger is better than the champion, in the figure's unit; below 0 it is worse."""

    value: float
    low: float
    """It is less than this with a chance of `Standard.level`."""
    high: float
    """It is more than this with the same chance."""
    needed: float
    """The least gain that counts."""


@dataclass(frozen=True)
class Ruling:
    """What follows from two figures alone."""

    decision: Decision
    reason: str
    gain: Gain | None = None


def decide(challenger: Figure, champion: Figure | None, standard: Standard) -> Ruling:
    """Promote a challenger whose gain is above 0 beyond chance, and is measured to be large enough to count.

    Keep the champion when a gain that counts is out of the question, or the challenger is not finite or no better than
    doing nothing; else nothing is decided. Without a champion figure any sound challenger is promoted. Figures of
    different eval cards are never compared.
    """
    name, value = challenger.name, challenger.value
    if not math.isfinite(value):
        return Ruling("keep", f"The challenger's {name} is not finite: its weights hold NaN or infinity.")
    if challenger.baseline is not None and challenger.cost >= challenger.sign * challenger.baseline:
        return Ruling(
            "keep",
            f"The challenger's {name} of {value:.4g} is no better than doing nothing ({challenger.baseline:.4g}).",
        )
    if champion is None:
        return Ruling("promote", f"The challenger's {name} is {value:.4g}{_context(challenger)}, with nothing to beat.")
    if differing := differences(asdict(challenger.card), asdict(champion.card)):
        return Ruling("undecided", f"The two were measured differently ({', '.join(differing)}): they have no order.")
    if not math.isfinite(champion.value):
        return Ruling("promote", f"The champion's {name} is not finite, the challenger's is {value:.4g}.")
    return _by_gain(challenger, champion, standard)


def _by_gain(challenger: Figure, champion: Figure, standard: Standard) -> Ruling:
    figures = (
        f"{challenger.name} {challenger.value:.4g} against the champion's {champion.value:.4g}{_context(champion)}"
    )
    found = gain(challenger, champion, standard)
    if found is None:
        why = "half of the images are too few to tell how far chance moves it"
        fix = "Bring more images to `report`, or take an extractor of fewer features (`feature_dim`, or another tap)."
        return Ruling("undecided", f"{figures}, but {why}. {fix}")
    known = (
        f"{'better' if found.value > 0 else 'worse'} by {abs(found.value):.3g} (a gain between {found.low:.3g} and "
        f"{found.high:.3g}, with a chance of {_percent(standard.level)} to lie beyond either)"
    )
    asked = f"{found.needed:.3g}, {_percent(standard.effect)} of the champion's way to a perfect generator"
    if found.low > 0 and found.value >= found.needed:
        return Ruling("promote", f"{figures}: {known}, where {asked}, is asked for.", found)
    if found.high <= found.needed:
        return Ruling("keep", f"{figures}: {known}, so it does not gain {asked}.", found)
    return Ruling("undecided", f"{figures}: {known}, so that it may or may not gain {asked}.", found)


def gain(challenger: Figure, champion: Figure, standard: Standard) -> Gain | None:
    """The challenger's gain with its interval; None where half of the images are too few to know one."""
    if challenger.halves is None or champion.halves is None:
        return None
    halves = challenger.sign * (champion.halves - challenger.halves)
    value = champion.cost - challenger.cost
    if challenger.name in BIASED:
        value = 2 * value - float(halves.mean())
    reach = quantile(1 - standard.level, len(halves) - 1) * float(halves.std(ddof=1))
    # Value and floor are of as many images, so that their biases cancel.
    way = champion.cost - champion.sign * (champion.floor or 0.0)
    return Gain(value, value - reach, value + reach, standard.effect * max(way, 0.0))


def _context(figure: Figure) -> str:
    known = {"a perfect generator": figure.floor, "doing nothing": figure.baseline}
    parts = [f"{who} {value:.4g}" for who, value in known.items() if value is not None]
    return f" ({', '.join(parts)})" if parts else ""


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
