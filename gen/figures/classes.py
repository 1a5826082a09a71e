"""What the extractor's classifier makes of generated images, where it was taught labels."""

from dataclasses import asdict, dataclass
from typing import Any

from gen.figures.subject import Subject
from gen.figures.values import side
from gen.metrics import classes
from gen.metrics.card import Figure, finite
from gen.metrics.classes import LEAST

UNITS = {
    "class_divergence": "nats",
    "classifier_score": "effective number of classes",
    "kernel_worst_class": "squared MMD",
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
    shares, theirs = (
        one.shares(mask[:1])[0].tolist() for one, mask in zip((generated, real), masks[::-1], strict=True)
    )
    kernel = [finite(float(value)) for value in found.kernel[0]]
    return figures, ByClass(extractor.labels, shares, theirs, kernel, list(reference.class_floor))
