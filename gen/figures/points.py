"""What can be said exactly of generated points, in the units of the plane."""

from dataclasses import replace

import numpy as np

from gen import patterns
from gen.figures.subject import Subject, mean_figure
from gen.metrics import points
from gen.metrics.card import Card, Figure
from gen.metrics.halves import whole
from gen.patterns import Mixture
from gen.plane import Box
from gen.reference import REPORT


def of_points(subject: Subject, box: Box) -> list[Figure]:
    """The distance to the real points, and where these are of a known mixture, what became of its modes.

    Floors are those of as many training points, baselines those of points all over the box.
    """
    prepared, made = subject.prepared, box.outside(subject.made[: subject.reference.count])
    real, train = (box.outside(prepared.images(split, prepared.target)[:]) for split in (REPORT, "train"))
    random = np.random.default_rng(subject.settings.seed)
    # The training points lie in the order of their hashes, so the first of them are drawn as if by chance.
    others = train[: len(made)], box.outside(random.uniform(-1, 1, (len(made), 1, 1, 2)).astype(np.float32))
    figures = [_sliced_wasserstein(subject, made, real, others)]
    mixture = patterns.known(prepared.distribution)
    return figures if mixture is None else [*figures, *_modes(subject, made, mixture, others)]


def _sliced_wasserstein(
    subject: Subject, made: points.Array, real: points.Array, others: tuple[points.Array, points.Array]
) -> Figure:
    card = _card(subject, "sliced_wasserstein", {"generated": len(made), "real": len(real)})
    in_real, in_made = subject.subsets()
    # The reference may keep fewer features than there are points.
    masks = zip(in_real[1:], in_made[1:], strict=True) if in_real.shape[1] == len(real) else ()
    halves = [points.sliced_wasserstein(made[chosen], real[kept]) for kept, chosen in masks]
    value, floor, baseline = (points.sliced_wasserstein(side, real) for side in (made, *others))
    figure = Figure(card.metric, value, "units of the plane", card, floor, baseline)
    return replace(figure, halves=np.array(halves)) if halves else figure


def _modes(
    subject: Subject, made: points.Array, mixture: Mixture, others: tuple[points.Array, points.Array]
) -> list[Figure]:
    counts = {"generated": len(made)}
    cards = {name: _card(subject, name, counts) for name in ("modes_found", "good_points", "reverse_kl")}
    found = points.modes(made, mixture.means, mixture.std, subject.subsets()[1])
    train, uniform = (points.modes(side, mixture.means, mixture.std, whole(len(side))) for side in others)
    modes = Figure(
        name="modes_found",
        value=float(found.found[0]),
        unit=f"of {len(mixture.means)} modes",
        card=cards["modes_found"],
        floor=float(train.found[0]),
        baseline=float(uniform.found[0]),
        halves=found.found[1:],
        lower_is_better=False,
    )
    good = mean_figure("share of generated points", cards["good_points"], found.good.astype(np.float64))
    good = replace(good, floor=float(train.good.mean()), baseline=float(uniform.good.mean()), lower_is_better=False)
    reverse_kl = Figure(
        name="reverse_kl",
        value=float(found.reverse_kl[0]),
        unit="nats",
        card=cards["reverse_kl"],
        floor=float(train.reverse_kl[0]),
        baseline=float(uniform.reverse_kl[0]),
        halves=found.reverse_kl[1:],
    )
    return [modes, good, reverse_kl]


def _card(subject: Subject, metric: str, counts: dict[str, int]) -> Card:
    card = subject.card(metric, points.VERSION, counts, subject.prepared.distribution)
    return replace(card, preprocessing="points in the units of the plane", dtype="float64")
