"""Challenger against champion: both measured now, by the same code, and a decision with its reasons.

The two are paired: the same noise (or inputs), the same counts, the same half-samples of both sides. So what the
images have in common cancels, and the spread of the difference over half-samples is the noise of the comparison
(why half-samples need no factor stands in gen.metrics.halves).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gen import guards
from gen.artifact import Published
from gen.config import Judge
from gen.datasets import Prepared
from gen.guards import Guard
from gen.measure import measure
from gen.metrics.card import Figure, finite
from gen.reference import Reference
from gen.ruling import Decision, Gain, Standard, decide


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
    gain: Gain | None = None
    """The challenger's, over the champion; None where there was nothing to compare."""
    standard: Standard | None = None
    """What it was held to."""
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
        champion, gain, standard = (values[name] for name in ("champion", "gain", "standard"))
        return cls(
            **{
                **values,
                "reasons": tuple(values["reasons"]),
                "challenger": Score(**values["challenger"]),
                "champion": champion and Score(**champion),
                "gain": gain and Gain(**gain),
                "standard": standard and Standard(**standard),
                "guards": tuple(Guard(**guard) for guard in values.get("guards", ())),
            }
        )


def judge(
    challenger: Contender,
    champion: Contender | None,
    prepared: Prepared,
    reference: Reference,
    settings: Judge,
    standard: Standard,
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
    elif (champion.published.shape, champion.published.box) != (prepared.shape, prepared.box):
        reasons.append(_unfit(champion.published, prepared))
    else:
        known = measure(champion.published, prepared, reference, settings)
        ours = known.deciding
    ruling = decide(theirs, ours, standard)
    found = guards.check(measured.named, known.named if known else None)
    failed = [guard.reason for guard in found if not guard.passed]
    return Verdict(
        decision="keep" if failed else ruling.decision,
        reasons=(*reasons, ruling.reason, *failed),
        challenger=_score(challenger, theirs),
        champion=None if champion is None else _score(champion, ours),
        gain=ruling.gain,
        standard=standard,
        metric=theirs.name,
        eval_id=theirs.card.eval_id,
        guards=found,
    )


def _unfit(champion: Published, prepared: Prepared) -> str:
    if champion.shape == prepared.shape:
        return (
            f"The champion `{champion.name}` makes points in {champion.box}, but those of the dataset now lie in "
            f"{prepared.box}: it cannot be measured on them."
        )
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
