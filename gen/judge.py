"""Challenger against champion: both measured now, by the same code, and a decision with its reasons.

The two are paired: the same noise (or inputs), the same counts, the same half-samples of both sides. So what the
images have in common cancels, and the spread of the difference over half-samples is the noise of the comparison
(why half-samples need no factor stands in gen.metrics.halves).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gen import guards
from gen.artifact import Published
from gen.config import Judge
from gen.datasets import Prepared
from gen.guards import Guard
from gen.measure import measure
from gen.metrics.card import Card, Figure, finite
from gen.reference import Reference

Decision = Literal["promote", "keep", "undecided"]


@dataclass(frozen=True)
class Contender:
    """A published model that stands to be judged."""

    published: Published
    key: str
    """Of the stage that trained it: equal keys are the same model."""
    version: int | None = None
    """In the registry, where it has one."""


@dataclass(frozen=True)
class Score:
    """A contender with the deciding figure, as measured for this verdict."""

    model: str
    key: str
    version: int | None
    value: float | None
    """None where it could not be measured, or is not finite."""
    spread: float | None
    floor: float | None
    baseline: float | None


@dataclass(frozen=True)
class Verdict:
    """What the judge decided, and why."""

    decision: Decision
    reasons: tuple[str, ...]
    challenger: Score
    champion: Score | None = None
    difference: float | None = None
    """Challenger's value less the champion's; where lower is better, one below 0 is for the challenger."""
    spread: float | None = None
    """Of the difference, over paired half-samples."""
    metric: str | None = None
    eval_id: str | None = None
    guards: tuple[Guard, ...] = ()
    """What could keep the challenger out whatever its deciding figure is."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in verdict.json."""
        return {**asdict(self), "reasons": list(self.reasons), "guards": [asdict(guard) for guard in self.guards]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Verdict":
        """The verdict that `to_json` wrote."""
        champion = values["champion"]
        return cls(
            **{
                **values,
                "reasons": tuple(values["reasons"]),
                "challenger": Score(**values["challenger"]),
                "champion": champion and Score(**champion),
                "guards": tuple(Guard(**guard) for guard in values.get("guards", ())),
            }
        )


@dataclass(frozen=True)
class Ruling:
    """What follows from two figures alone."""

    decision: Decision
    reason: str
    difference: float | None = None
    spread: float | None = None


def judge(
    challenger: Contender, champion: Contender | None, prepared: Prepared, reference: Reference, settings: Judge
) -> Verdict:
    """Measure both on the current reference and decide. A champion that is the challenger is not measured again.

    Raises TooFewImagesError when there are too few images to measure a figure.
    """
    if champion is not None and champion.key == challenger.key:
        reason = f"`{challenger.published.name}` is the champion already: the same code, parameters and data made it."
        return Verdict("keep", (reason,), _score(challenger, None), _score(champion, None))
    reasons = []
    measured = measure(challenger.published, prepared, reference, settings)
    theirs, ours, known = measured.deciding, None, None
    if champion is None:
        reasons.append("There is no champion yet.")
    elif champion.published.shape != prepared.shape:
        reasons.append(_unfit(champion.published, prepared))
    else:
        known = measure(champion.published, prepared, reference, settings)
        ours = known.deciding
    ruling = decide(theirs, ours, settings.margin)
    found = guards.check(measured.named, known.named if known else None)
    failed = [guard.reason for guard in found if not guard.passed]
    return Verdict(
        decision="keep" if failed else ruling.decision,
        reasons=(*reasons, ruling.reason, *failed),
        challenger=_score(challenger, theirs),
        champion=None if champion is None else _score(champion, ours),
        difference=ruling.difference,
        spread=ruling.spread,
        metric=theirs.name,
        eval_id=theirs.card.eval_id,
        guards=found,
    )


def decide(challenger: Figure, champion: Figure | None, margin: float) -> Ruling:
    """Promote a challenger that is better by more than `margin` spreads of the paired difference.

    Keep the champion when the challenger is worse by more than that, is not finite, or is no better than doing
    nothing; else nothing is decided. Without a champion figure any sound challenger is promoted. Figures of different
    eval cards are never compared.
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
    if differing := differences(challenger.card, champion.card):
        return Ruling("undecided", f"The two were measured differently ({', '.join(differing)}): they have no order.")
    if not math.isfinite(champion.value):
        return Ruling("promote", f"The champion's {name} is not finite, the challenger's is {value:.4g}.")
    return _by_margin(challenger, champion, margin)


def _by_margin(challenger: Figure, champion: Figure, margin: float) -> Ruling:
    difference = challenger.value - champion.value
    figures = (
        f"{challenger.name} {challenger.value:.4g} against the champion's {champion.value:.4g}{_context(champion)}"
    )
    if challenger.halves is None or champion.halves is None:
        why = "half of the images are too few to tell how far chance moves it"
        fix = "Bring more images to `report`, or lower the dataset's `feature_dim` and train its extractor again."
        return Ruling("undecided", f"{figures}, but {why}. {fix}", difference)
    spread = float((challenger.halves - champion.halves).std(ddof=1))
    needed = margin * spread
    amount = f"{abs(difference):.4g}, where chance moves the difference by {spread:.4g} and {needed:.4g} is asked for"
    if challenger.sign * difference < -needed:
        return Ruling("promote", f"{figures}: better by {amount}.", difference, spread)
    if challenger.sign * difference > needed:
        return Ruling("keep", f"{figures}: worse by {amount}.", difference, spread)
    return Ruling("undecided", f"{figures}: they differ by {amount}.", difference, spread)


def differences(one: Card, other: Card) -> list[str]:
    """The fields in which two eval cards differ."""
    theirs = asdict(other)
    return [field for field, value in asdict(one).items() if value != theirs[field]]


def _context(figure: Figure) -> str:
    known = {"a perfect generator": figure.floor, "doing nothing": figure.baseline}
    parts = [f"{who} {value:.4g}" for who, value in known.items() if value is not None]
    return f" ({', '.join(parts)})" if parts else ""


def _unfit(champion: Published, prepared: Prepared) -> str:
    made, wanted = (" x ".join(map(str, shape)) for shape in (champion.shape, prepared.shape))
    return (
        f"The champion `{champion.name}` makes images of {made} (channels, height, width), but the dataset now has "
        f"{wanted}: it cannot be measured on it."
    )


def _score(contender: Contender, figure: Figure | None) -> Score:
    return Score(
        model=contender.published.name,
        key=contender.key,
        version=contender.version,
        value=None if figure is None else finite(figure.value),
        spread=None if figure is None else finite(figure.spread),
        floor=None if figure is None else figure.floor,
        baseline=None if figure is None else figure.baseline,
    )
