"""How far a generator repeats the training images of the domain that its images are to look like."""

from dataclasses import replace

import numpy as np

from gen.figures.subject import Subject, mean_figure
from gen.metrics import memorisation
from gen.metrics.card import Figure

SHARE = "share of generated images"
RANKS = "z of distances to the training images"


def copies(subject: Subject) -> list[Figure]:
    """Figures of memorisation."""
    reference = subject.reference
    found = memorisation.memorisation(subject.counted, reference.train, reference.features)
    train = subject.prepared.images("train", subject.prepared.target)
    equal = memorisation.equal_pixels(subject.made[: reference.count], train.blocks())
    counts = {
        "generated": len(subject.counted),
        "train": len(reference.train),
        "held_out": len(reference.features),
    }
    cards = {name: subject.feature_card(name, memorisation.VERSION, counts) for name in found.values}
    means = [
        mean_figure(SHARE, cards[name], images.astype(np.float64))
        for name, images in (("authenticity", found.authentic), ("near_duplicates", found.near | equal))
    ]
    exact = float(equal.mean())
    figures = [
        replace(means[0], lower_is_better=False),
        replace(means[1], parts={"exact": exact, "close": means[1].value - exact}),
        Figure("copying", found.copying, RANKS, cards["copying"], lower_is_better=None, deviation=1.0),
        *(
            Figure(name, share.value, SHARE, cards[name], deviation=share.deviation)
            for name, share in (("copied_share", found.copied), ("copied_closely", found.copied_closely))
        ),
    ]
    return [replace(figure, floor=reference.floor[figure.name]) for figure in figures]
