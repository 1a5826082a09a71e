"""What a translator does to each image."""

from dataclasses import replace

from gen.figures.subject import BATCH, Subject, by_batch, mean_figure
from gen.images import Pixels
from gen.metrics import translation
from gen.metrics.card import Figure
from gen.reference import REPORT


def translations(subject: Subject) -> list[Figure]:
    """What is lost on the way there and back, what is changed for nothing, and the error of pairs that somebody knows.

    Doing nothing costs nothing but in pairs: the first two are small for a translator that hardly translates.
    """
    published, target = subject.published, subject.prepared.images(REPORT, subject.prepared.target)
    wanted = target[: subject.settings.samples]
    back = published.translate(subject.made, back=True, batch=BATCH)
    again = published.translate(wanted, batch=BATCH)
    figures = [
        _error("cycle_error", subject, back, subject.inputs),
        _error("identity_error", subject, again, wanted),
    ]
    pairs = subject.prepared.pairs(REPORT)
    if pairs is not None:
        true = pairs[: len(subject.made)]
        idle = float(by_batch(translation.pair_errors, subject.inputs, true).mean())
        figures.append(replace(_error("pair_error", subject, subject.made, true), baseline=idle))
    return figures


def _error(name: str, subject: Subject, made: Pixels, wanted: Pixels) -> Figure:
    counts = {"pairs" if name == "pair_error" else "images": len(wanted)}
    card = subject.card(name, translation.VERSION, counts)
    return mean_figure("MSE in [-1, 1]", card, by_batch(translation.pair_errors, made, wanted), baseline=0.0)
