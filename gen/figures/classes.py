"""What the extractor's classifier makes of generated images, where it was taught labels."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gen.choice import Choice
from gen.figures.subject import Subject
from gen.figures.values import side
from gen.metrics import classes
from gen.metrics.card import Figure, finite
from gen.metrics.classes import LEAST, Side
from gen.noise import noise
from gen.reference import REPORT

UNITS = {
    "class_divergence": "nats",
    "classifier_score": "effective number of classes",
    "kernel_worst_class": "squared MMD",
    "class_accuracy": "share of images",
}


@dataclass(frozen=True)
class ByClass:
    """One entry for each class of the extractor."""

    labels: list[str]
    shares: list[float]
    """Among the generated images."""
    real: list[float]
    """Shares among the real images."""
    kernel: list[float | None]
    """Kernel distance between generated and real images of the class; None where one side has too few."""
    floor: list[float | None]
    """The same of real images in the place of generated ones."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in metrics.json."""
        return asdict(self)


def by_class(subject: Subject) -> tuple[list[Figure], ByClass | None]:
    """The figures of classes, and what they are made of; nothing where the extractor knows no labels."""
    reference, extractor = subject.reference, subject.reference.extractor
    if extractor.description.meaning != "labels":
        return [], None
    real, generated = (side(extractor, features) for features in (reference.features, subject.counted))
    masks = subject.subsets()
    found = classes.compare(real, generated, *masks)
    counts = {"generated": len(subject.counted), "real": len(reference.features)}
    compared = [label for label, known in zip(extractor.labels, found.compared, strict=True) if known]
    protocols = {"kernel_worst_class": f"{LEAST} images of a class at least: {', '.join(compared)}"}
    # Scores by different classifiers have nothing to do with each other, so that its name tells whose it is.
    names = {"classifier_score": f"classifier_score_by_{extractor.description.known_as}"}
    figures = [
        Figure(
            name=names.get(name, name),
            value=float(values[0]),
            unit=UNITS[name],
            card=subject.feature_card(names.get(name, name), classes.VERSION, counts, protocols.get(name)),
            floor=reference.floor.get(name),
            baseline=reference.baseline.get(name),
            halves=values[1:],
            lower_is_better=name != "classifier_score",
        )
        for name, values in found.values.items()
    ]
    figures += _accuracy(subject, real, generated)
    shares, theirs = (
        one.shares(mask[:1])[0].tolist() for one, mask in zip((generated, real), masks[::-1], strict=True)
    )
    kernel = [finite(float(value)) for value in found.kernel[0]]
    return figures, ByClass(extractor.labels, shares, theirs, kernel, list(reference.class_floor))


def _accuracy(subject: Subject, real: Side, generated: Side) -> list[Figure]:
    """How often the classifier gives an image the class it was asked for, of a generator that knows those classes."""
    known, labels = subject.published.classes, subject.reference.extractor.labels
    if known is None or not set(known.names) <= set(labels):
        return []
    name, count = "class_accuracy", len(generated.classes)
    numbers = noise(count, subject.published.sampler.noise_dim, subject.settings.seed)[:, -1]
    places = np.array([labels.index(label) for label in known.names])
    right = generated.classes == places[Choice.of(known.shares)(numbers).numpy()]
    # The floor is what the classifier makes of real images, where it is known which of them these are.
    true = subject.prepared.labelled(REPORT, subject.prepared.target)
    floor = None
    if true and true.names == labels and len(true.each) == len(real.classes):
        floor = float((true.each == real.classes).mean())
    card = subject.feature_card(name, classes.VERSION, {"generated": count}, "asked for as often as the data have them")
    mask = subject.subsets()[1]
    values = mask @ right.astype(np.float64) / mask.sum(1)
    # To make images of the right classes without looking at which are asked for.
    baseline = float(np.square(known.shares).sum())
    return [
        Figure(
            *(name, float(values[0]), UNITS[name], card),
            floor=floor,
            baseline=baseline,
            halves=values[1:],
            lower_is_better=False,
        )
    ]
