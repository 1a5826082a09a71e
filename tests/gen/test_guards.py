"""What guards let pass, on figures that a test chooses."""

from dataclasses import replace

import numpy as np
import pytest

from gen.guards import CHANCE, LEAST_COPIES, Guard, check
from gen.metrics.card import Figure
from tests.gen.metrics.test_card import CARD

NOISE = np.random.default_rng(0).standard_normal(100)
NOISE = (NOISE - NOISE.mean()) / NOISE.std(ddof=1)


def copied(value: float, floor: float = 0.0, spread: float = 0.01) -> dict[str, Figure]:
    return {"copied_share": Figure("copied_share", value, "", CARD, floor=floor, deviation=spread)}


def covering(coverage: float, precision: float = 1.0, spread: float = 0.01) -> dict[str, Figure]:
    cover = Figure("coverage", coverage, "", CARD, 1.0, halves=coverage + spread * NOISE, lower_is_better=False)
    return {"coverage": cover, "precision": Figure("precision", precision, "", CARD, 1.0, lower_is_better=False)}


def uneven(divergence: float, spread: float = 0.001) -> dict[str, Figure]:
    name = "class_divergence"
    return {name: Figure(name, divergence, "nats", CARD, 0.0, halves=divergence + spread * NOISE)}


def only(found: tuple[Guard, ...]) -> Guard:
    (guard,) = found
    return guard


@pytest.mark.parametrize(
    ("value", "floor", "spread", "passed"),
    [
        (CHANCE * 0.01 - 1e-6, 0, 0.01, True),
        (CHANCE * 0.01 + 1e-6, 0, 0.01, False),
        (LEAST_COPIES, 0, 0.001, True),
        (LEAST_COPIES + 0.001, 0, 0.001, False),
        (0.1, 0.08, 0.01, True),
        (0.04, -0.5, 0.01, False),
    ],
    ids=["by chance", "beyond chance", "few", "more than few", "as real images do", "a floor below 0 is no measure"],
)
def test_copies_beyond_chance_and_floor_are_kept_out(value: float, floor: float, spread: float, passed: bool) -> None:
    guard = only(check(copied(value, floor, spread), None))
    assert guard.passed is passed
    assert guard.reason.startswith("No copies" if passed else "It repeats training images: copied share")


def test_what_the_champion_does_as_well_keeps_nothing_out() -> None:
    assert not only(check(copied(0.3), None)).passed
    assert not only(check(copied(0.3), copied(0.1))).passed
    assert only(check(copied(0.3), copied(0.28))).passed
    assert not only(check(covering(0.3), None)).passed
    assert only(check(covering(0.3), covering(0.35))).passed


def test_a_quarter_of_the_coverage_may_be_lost_and_what_chance_moves() -> None:
    assert only(check(covering(0.61), covering(0.8))).passed
    assert not only(check(covering(0.59), covering(0.8))).passed
    assert only(check(covering(0.59, spread=0.1), covering(0.8, spread=0.0))).passed
    guard = only(check(covering(0.59), covering(0.8)))
    assert guard.reason.startswith("It leaves out too much of what real images show: coverage 0.59 (the champion's 0.8")


def test_without_a_champion_coverage_is_asked_for_in_proportion_to_precision() -> None:
    assert not only(check(covering(0.5), None)).passed
    assert only(check(covering(0.5, precision=0.6), None)).passed
    assert only(check(covering(0.0, precision=0.0), None)).passed


def test_one_of_ten_classes_may_not_be_lost() -> None:
    real, generated = np.full(10, 0.1), np.r_[0, np.full(9, 1 / 9)]
    middle = (real + generated) / 2
    left_out = float(real @ np.log(real / middle) + generated[1:] @ np.log(generated[1:] / middle[1:])) / 2
    assert only(check(uneven(0.25 * left_out), uneven(0.0))).passed
    guard = only(check(uneven(left_out), uneven(0.0)))
    assert not guard.passed
    assert guard.reason.startswith("It has less of some classes, or none: class divergence 0.036 (the champion's 0,")
    assert only(check(uneven(left_out, spread=0.02), uneven(0.0))).passed, "chance moves it as far"
    assert only(check(uneven(left_out), uneven(0.01))).passed
    assert check(uneven(left_out), None) == ()


def test_figures_of_another_card_or_without_a_value_are_as_if_there_were_none() -> None:
    figure = copied(0.28)["copied_share"]
    other = replace(figure, card=replace(CARD, extractor="another"))
    assert not only(check(copied(0.3), {"copied_share": other})).passed
    assert not only(check(copied(0.3), {"copied_share": replace(figure, value=float("nan"))})).passed
    assert check({"copied_share": replace(figure, value=float("nan"))}, None) == ()
    assert check({}, None) == ()


def test_a_figure_read_from_its_file_is_guarded_alike() -> None:
    for figures in (copied(0.3), copied(0.01), covering(0.3), covering(0.9)):
        read = {name: Figure.from_json(figure.to_json()) for name, figure in figures.items()}
        assert only(check(read, None)) == only(check(figures, None))
