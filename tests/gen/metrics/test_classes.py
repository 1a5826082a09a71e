"""Figures of classes, where the answer is known."""

import numpy as np
import pytest
import torch
from torchmetrics.image.inception import InceptionScore

from gen.metrics.classes import LEAST, Side, classifier_score, compare, jensen_shannon
from gen.metrics.halves import half_samples
from gen.metrics.kernel import kernel_distance
from tests.gen.metrics.test_frechet import Identity

CLASSES = 4
EYE = np.eye(CLASSES)


def side(counts: list[int], seed: int, shifts: tuple[float, ...] = (0, 0, 0, 0)) -> Side:
    """So many images of each class, whose features lie `shifts` away from where they belong."""
    classes = np.repeat(np.arange(CLASSES), counts)
    random = np.random.default_rng(seed)
    features = random.standard_normal((len(classes), 8)) + 3 * classes[:, None] + np.array(shifts)[classes][:, None]
    return Side(features, EYE[classes])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def whole(one: Side) -> np.ndarray:
    return np.ones((1, len(one.features)), np.bool_)


def test_divergence_of_known_shares() -> None:
    even, lopsided = np.array([[0.5, 0.5, 0, 0]]), np.array([[0.75, 0.25, 0, 0]])
    middle = (even + lopsided) / 2
    by_hand = sum((p[0, :2] * np.log(p[0, :2] / middle[0, :2])).sum() / 2 for p in (even, lopsided))
    assert jensen_shannon(even, lopsided) == pytest.approx([by_hand])
    assert jensen_shannon(even, even) == pytest.approx([0])
    assert jensen_shannon(EYE[:1], EYE[1:2]) == pytest.approx([np.log(2)])


def test_a_missing_class_diverges_by_what_it_was_worth() -> None:
    """One of four equal classes: the closed form is finite where KL from real to generated is not."""
    real, made = side([50] * 4, 0), side([50, 50, 50, 0], 1)
    found = compare(real, made, whole(real), whole(made))
    by_hand = (np.log(8 / 7) + 0.75 * np.log(6 / 7) + 0.25 * np.log(2)) / 2
    assert found.divergence == pytest.approx([by_hand])
    assert compare(real, real, whole(real), whole(real)).divergence == pytest.approx([0])


def test_score_is_1_without_and_the_number_of_classes_with_all_that_it_asks_for() -> None:
    even = np.repeat(EYE, 10, axis=0)
    all_of_them = np.ones((1, len(even)), np.bool_)
    assert classifier_score(even, all_of_them) == pytest.approx([CLASSES])
    assert classifier_score(np.full((40, CLASSES), 1 / CLASSES), all_of_them) == pytest.approx([1])
    assert classifier_score(EYE[[0] * 40], all_of_them) == pytest.approx([1])


def test_score_is_that_of_torchmetrics_for_the_same_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (400, CLASSES))
    with pytest.warns(UserWarning, match="memory"):
        oracle = InceptionScore(feature=Identity(CLASSES), splits=1)
    oracle.update(torch.tensor(logits))
    with pytest.warns(UserWarning, match="degrees of freedom"):
        expected = float(oracle.compute()[0])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = classifier_score(probabilities, np.ones((1, 400), np.bool_))
    assert found == pytest.approx([expected], rel=1e-5)


def test_the_worst_class_is_the_one_that_went_wrong() -> None:
    real, made = side([100] * 4, 0), side([80] * 4, 1, shifts=(0, 0, 0.5, 0))
    found = compare(real, made, whole(real), whole(made))
    by_hand = [
        kernel_distance(real.features[real.classes == number], made.features[made.classes == number])
        for number in range(CLASSES)
    ]
    assert found.kernel[0] == pytest.approx(by_hand)
    assert found.worst == pytest.approx([by_hand[2]])
    assert found.kernel[0].argmax() == 2


def test_a_class_with_few_images_on_either_side_has_no_distance() -> None:
    real, made = side([LEAST - 1, 60, 60, LEAST], 0), side([60, LEAST - 1, 0, LEAST], 1)
    in_real, in_made = (
        np.vstack([whole(one), half_samples(len(one.features), 20, generator)])
        for one, generator in ((real, seeded(0)), (made, seeded(1)))
    )
    found = compare(real, made, in_real, in_made)
    assert found.compared.tolist() == [False, False, False, True]
    assert found.worst is not None
    assert np.isfinite(found.worst).all()
    none = compare(real, side([0, 0, 9, 0], 1), whole(real), np.ones((1, 9), np.bool_))
    assert none.worst is None
    assert "kernel_worst_class" not in none.values


def test_spread_is_that_of_new_images() -> None:
    """Shares drawn anew move the divergence as the half-samples say."""
    random = np.random.default_rng(0)
    shares, values, said = np.array([0.4, 0.3, 0.2, 0.1]), [], []
    for seed in range(60):
        real, made = (side(list(random.multinomial(400, p)), seed) for p in (np.full(4, 0.25), shares))
        masks = [
            np.vstack([whole(one), half_samples(400, 30, seeded(2 * seed + number))])
            for number, one in enumerate((real, made))
        ]
        found = compare(real, made, *masks)
        values.append(found.divergence[0])
        said.append(found.divergence[1:].std(ddof=1))
    assert np.mean(said) == pytest.approx(np.std(values, ddof=1), rel=0.3)
