"""Guards: what keeps a challenger out of use however good its deciding figure is.

A copy of the training images has the best distance of all, and one that left out what is hard may have a better one
than its champion. Each guard holds a figure of the challenger against the floor and, where there is one, the champion
in use: what it does as well, whatever the reason, is no ground to keep it, so that data on which a guard errs do not
stop every retraining. A challenger that a guard kept out by chance is followed by another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gen.metrics.card import Figure

CHANCE = 3.72
"""Standard deviations beyond which chance is no excuse: 1 in 10,000. Six guards in a nightly schedule stop a sound
challenger once in four years and a half."""
LEAST_COPIES = 0.02
"""Share of copies that is let pass, however certain it is."""
MOST_LOST = 0.25
"""Part of the champion's coverage that may be lost."""
LEAST_COVERED = 0.6
"""Without a champion: part of the coverage of real images that is asked for, in proportion to the precision. It is low
in images of poor quality as well, and the first generator may be poor."""
MOST_UNEVEN = 0.03
"""Nats by which classes may lie further from the real shares than the champion's. To leave out one of ten classes takes
0.036, two of them 0.075."""
COPIES = {
    "copied_share": "its images lie nearer to the training images than to real images that were held out",
    "copied_closely": "they lie as near to a training image as few real images do",
    "copied_share_pixels": "their pixels lie nearer to training images than to real images that were held out",
    "copied_closely_pixels": "their pixels lie as near to a training image as those of few real images do",
}
NAMES = (*COPIES, "coverage", "precision", "class_divergence")
"""Of the figures that guards look at."""


@dataclass(frozen=True)
class Guard:
    """What one guard found."""

    figure: str
    passed: bool
    value: float
    """The challenger's."""
    limit: float
    """The last value that passes."""
    floor: float | None
    champion: float | None
    reason: str
    """In words and figures."""


def check(challenger: Mapping[str, Figure], champion: Mapping[str, Figure] | None) -> tuple[Guard, ...]:
    """Hold a challenger's figures, by name, against its champion's.

    A figure that was not measured or is not finite is not guarded (that keeps a challenger out by itself), and a
    champion's figure that is not, or that has another eval card, is as if there were none.
    """
    known = {name: figure for name in NAMES if (figure := challenger.get(name)) and np.isfinite(figure.value)}
    rivals = {
        name: figure
        for name, figure in (champion or {}).items()
        if name in known and np.isfinite(figure.value) and figure.card.eval_id == known[name].card.eval_id
    }
    found = [_copies(known[name], rivals.get(name)) for name in COPIES if name in known]
    if "coverage" in known:
        rival = rivals.get("coverage")
        found.append(_lost(known["coverage"], rival) if rival else _left_out(known))
    if rival := rivals.get("class_divergence"):
        found.append(_uneven(known["class_divergence"], rival))
    return tuple(found)


def _copies(figure: Figure, champion: Figure | None) -> Guard:
    usual = max(0.0, figure.floor or 0.0, champion.value if champion else 0.0)
    limit = max(LEAST_COPIES, usual + CHANCE * (figure.spread or 0.0))
    passed = figure.value <= limit
    said = _beside(figure, champion, limit)
    reason = f"No copies: {said}." if passed else f"It repeats training images: {said}; {COPIES[figure.name]}."
    return _guard(figure, champion, limit, passed, reason)


def _lost(figure: Figure, champion: Figure) -> Guard:
    limit = min((1 - MOST_LOST) * champion.value, champion.value - CHANCE * _noise(figure, champion))
    return _covered(figure, champion, limit)


def _left_out(figures: Mapping[str, Figure]) -> Guard:
    figure, precision = figures["coverage"], figures.get("precision")
    expected = figure.floor or 0.0
    if precision is not None and precision.floor:
        expected *= min(1.0, precision.value / precision.floor)
    return _covered(figure, None, LEAST_COVERED * expected - CHANCE * (figure.spread or 0.0))


def _covered(figure: Figure, champion: Figure | None, limit: float) -> Guard:
    passed = figure.value >= limit
    said = _beside(figure, champion, limit)
    reason = f"It covers enough: {said}." if passed else f"It leaves out too much of what real images show: {said}."
    return _guard(figure, champion, limit, passed, reason)


def _uneven(figure: Figure, champion: Figure) -> Guard:
    limit = champion.value + max(MOST_UNEVEN, CHANCE * _noise(figure, champion))
    passed = figure.value <= limit
    said = _beside(figure, champion, limit)
    reason = f"It has all classes: {said}." if passed else f"It has less of some classes, or none: {said}."
    return _guard(figure, champion, limit, passed, reason)


def _noise(figure: Figure, champion: Figure) -> float:
    """The spread of the difference of two figures, which are paired where their half-samples are known."""
    if figure.halves is not None and champion.halves is not None:
        return float((figure.halves - champion.halves).std(ddof=1))
    return float(np.hypot(figure.spread or 0.0, champion.spread or 0.0))


def _beside(figure: Figure, champion: Figure | None, limit: float) -> str:
    others = {"the champion's": champion.value if champion else None, "of real images": figure.floor, "limit": limit}
    told = ", ".join(f"{who} {value:.3g}" for who, value in others.items() if value is not None)
    return f"{figure.name.replace('_', ' ')} {figure.value:.3g} ({told})"


def _guard(figure: Figure, champion: Figure | None, limit: float, passed: bool, reason: str) -> Guard:
    return Guard(figure.name, passed, figure.value, limit, figure.floor, champion.value if champion else None, reason)
