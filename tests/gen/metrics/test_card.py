"""An eval card tells apart whatever a number depends on."""

from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from gen import files
from gen.metrics.card import Card, Figure, differences

CARD = Card(
    metric="frechet",
    version=1,
    split="report",
    data="d" * 64,
    counts={"generated": 100, "real": 50},
    seed=0,
    resamples=50,
    preprocessing="uint8 / 127.5 - 1",
    dtype="float64",
    extractor="e" * 64,
    protocol="none",
)


FIELDS = [field.name for field in fields(Card)]


def differing(field: str) -> Card:
    """CARD, but for one field."""
    value = getattr(CARD, field)
    if field == "counts":
        return replace(CARD, counts={"generated": 101, "real": 50})
    return replace(CARD, **{field: value + 1 if isinstance(value, int) else value + "x"})


@pytest.mark.parametrize("field", FIELDS)
def test_a_change_of_any_field_is_another_eval_id(field: str) -> None:
    assert differing(field).eval_id != CARD.eval_id
    assert replace(CARD).eval_id == CARD.eval_id
    assert differences(asdict(CARD), asdict(differing(field))) == [field]
    assert differences(asdict(CARD), asdict(replace(CARD))) == []


def test_what_is_not_finite_is_null_in_json() -> None:
    figure = Figure("frechet", float("nan"), "squared feature distance", CARD, floor=0.1, baseline=9.0)
    written = figure.to_json()
    assert (written["value"], written["spread"], written["floor"]) == (None, None, 0.1)
    files.canonical_json(written)


def test_spread_is_the_standard_deviation_over_halves() -> None:
    figure = Figure("frechet", 2.0, "", CARD, halves=np.array([1.0, 2.0, 3.0]))
    assert figure.spread == pytest.approx(1.0)
