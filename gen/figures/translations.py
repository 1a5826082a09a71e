"""What a translator does to each image."""

from gen.figures.subject import Subject, by_batch, mean_figure
from gen.images import Pixels
from gen.metrics import translation
from gen.metrics.card import Figure
from gen.reference import REPORT

UNIT = "MSE in [-1, 1]"


def translations(subject: Subject) -> list[Figure]:
    """The error of pairs, where somebody knows them."""
    figures = []
    pairs = subject.prepared.pairs(REPORT)
    if pairs is not None:
        figures.append(_pair_error(subject, pairs[: len(subject.made)]))
    return figures


def _pair_error(subject: Subject, true: Pixels) -> Figure:
    """Doing nothing leaves the input as it is."""
    errors, idle = (by_batch(translation.pair_errors, images, true) for images in (subject.made, subject.inputs))
    card = subject.card("pair_error", translation.VERSION, {"pairs": len(true)})
    return mean_figure(UNIT, card, errors, baseline=float(idle.mean()))
