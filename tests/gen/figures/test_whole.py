"""Figures of a whole measurement, of generators whose quality is known."""

from dataclasses import replace

import numpy as np
import pytest

from gen.classes import Classes
from gen.datasets import Prepared
from gen.measure import measure
from gen.reference import Reference
from gen.workspace import Workspace
from tests.gen.world import (
    SETTINGS,
    Asked,
    Copier,
    Flat,
    Forgetful,
    Negative,
    Replay,
    build,
    opened,
    published,
    small_extractor,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(tmp_path_factory.mktemp("world"))[0]


@pytest.fixture(scope="module")
def real(world: Workspace) -> tuple[Prepared, Reference]:
    return opened(world, "bars")


@pytest.fixture(scope="module")
def negatives(world: Workspace) -> tuple[Prepared, Reference]:
    return opened(world, "negatives")


def test_a_collapsed_generator_shows_in_its_classes(real: tuple[Prepared, Reference]) -> None:
    collapsed, perfect = (measure(published(network), *real, SETTINGS) for network in (Flat(), Replay()))
    assert collapsed.classes is not None
    assert sorted(collapsed.classes.shares) == [0, 0, 1]
    assert sum(value is not None for value in collapsed.classes.kernel) == 1
    figures, best = collapsed.named, perfect.named
    assert figures["class_divergence"].value == pytest.approx(one_of_three(), abs=0.03)
    assert best["class_divergence"].value < 0.02 > best["class_divergence"].floor
    assert figures["classifier_score_by_bars"].value == pytest.approx(1)
    score = best["classifier_score_by_bars"]
    assert 2 < score.floor < 3, "as much as the extractor is sure of"
    assert abs(score.value - score.floor) < 4 * score.spread


def one_of_three() -> float:
    """The divergence of Jensen and Shannon of (1, 0, 0) from three equal shares."""
    return float((np.log(3 / 2) + np.log(1 / 2) / 3 + np.log(2) * 2 / 3) / 2)


def test_the_worst_class_is_ranked_among_equal_classes_alone(real: tuple[Prepared, Reference]) -> None:
    perfect, noisy, collapsed = (
        measure(published(network), *real, SETTINGS).named["kernel_worst_class"]
        for network in (Replay(), Replay(0.5), Flat())
    )
    assert abs(perfect.value - perfect.floor) < 4 * perfect.spread
    assert noisy.value > perfect.value + 4 * perfect.spread
    assert perfect.card.protocol == "30 images of a class at least: lies, stands, cross"
    assert collapsed.card.eval_id != perfect.card.eval_id


def test_what_is_made_as_asked_is_told_by_the_classifier(real: tuple[Prepared, Reference]) -> None:
    """Of a perfect generator as often as of real images, of one that makes always another class next to never."""
    right, wrong = (
        measure(replace(published(Asked(turned)), classes=Asked.classes), *real, SETTINGS).named["class_accuracy"]
        for turned in (0, 1)
    )
    assert right.floor > 0.95
    assert right.value == pytest.approx(right.floor, abs=0.03)
    assert wrong.value < 0.05
    assert right.baseline == pytest.approx(0.25**2 * 2 + 0.5**2)
    assert right.lower_is_better is False
    assert "class_accuracy" not in measure(published(Replay()), *real, SETTINGS).named
    strange = replace(published(Asked()), classes=Classes(names=("cat", "dog", "cow"), shares=Asked.classes.shares))
    assert "class_accuracy" not in measure(strange, *real, SETTINGS).named, "the classifier knows other classes"


def test_without_labels_there_are_no_figures_of_classes(real: tuple[Prepared, Reference]) -> None:
    prepared, reference = real
    turned = replace(reference, extractor=small_extractor(budget=200, labelled=False))
    measured = measure(published(Replay()), prepared, turned, SETTINGS)
    assert measured.classes is None
    assert not {name for name in measured.named if "class" in name}


def test_an_extrapolated_distance_lies_below_the_plain_one(real: tuple[Prepared, Reference]) -> None:
    named = measure(published(Replay()), *real, SETTINGS).named
    infinite, plain = named["frechet_infinite"], named["frechet"]
    assert infinite.value < plain.value
    assert infinite.floor < plain.floor
    assert abs(infinite.value) < 4 * infinite.spread
    assert infinite.baseline == pytest.approx(plain.baseline, rel=0.05)


def test_the_closest_pairs_are_shown_beside_what_is_usual(real: tuple[Prepared, Reference]) -> None:
    copier, perfect = (measure(published(network), *real, SETTINGS).closest for network in (Copier(), Replay()))
    train = real[0].images("train", "images")[:]
    for space in ("features", "pixels"):
        assert copier[space].distances == pytest.approx([0] * 12, abs=1e-6)
        np.testing.assert_array_equal(copier[space].made, copier[space].originals)
        pairs = perfect[space]
        assert 0 < pairs.distances[0] == min(pairs.distances)
        assert pairs.distances[5] < pairs.usual == copier[space].usual
        assert all((image == train).all((1, 2, 3)).any() for image in pairs.originals)
        assert pairs.picture.shape == (2 * 14 - 2, 12 * 14 - 2, 1)
    first = perfect["pixels"]
    apart = (first.made[0].astype(float) - first.originals[0]) / 255
    assert first.distances[0] == pytest.approx(np.linalg.norm(apart), rel=1e-5)


def test_a_translator_is_measured_by_its_way_back_and_by_what_it_changes_for_nothing(
    negatives: tuple[Prepared, Reference],
) -> None:
    """The negative of a negative is the image; the negative of an image is not."""
    right, idle = (measure(published(Negative(sign), "translate"), *negatives, SETTINGS).named for sign in (-1, 1))
    bars = negatives[0].images("report", "b")[:] / 127.5 - 1
    assert right["cycle_error"].value == idle["cycle_error"].value == idle["identity_error"].value == 0
    assert right["identity_error"].value == pytest.approx(4 * np.square(bars).mean(), rel=1e-5)
    assert {right[name].baseline for name in ("cycle_error", "identity_error")} == {0}
    lost = measure(published(Forgetful(-1), "translate"), *negatives, SETTINGS).named["cycle_error"]
    negative_bars = negatives[0].images("report", "a")[:] / 127.5 - 1
    assert lost.value == pytest.approx(np.square(negative_bars - 1).mean(), rel=1e-5)
