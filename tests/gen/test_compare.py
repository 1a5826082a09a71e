"""The table ranks what can be ranked, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gen import config, files
from gen.errors import UserError
from gen.metrics.card import Card, Figure
from gen.steps.compare import COLUMNS, apart, compare, table
from gen.workspace import Workspace
from tests.gen.metrics.test_card import CARD, FIELDS, differing
from tests.gen.world import PARAMS


def metrics(model: str, value: float, card: Card = CARD, task: str = "sample", dataset: str = "d") -> dict[str, Any]:
    figures = [Figure("frechet", value, "", card), Figure("kernel", 1.0, "", replace(card, metric="kernel"))]
    facts = {"model": model, "family": "gan", "task": task, "dataset": dataset, "rank_by": "frechet"}
    return {**facts, "figures": [figure.to_json() for figure in figures]}


def ranks(*measured: dict[str, Any]) -> dict[str, Any]:
    rows = table(list(measured))
    return dict(zip(rows["model"], rows["rank"], strict=True)) if rows["model"].is_unique else _deciding(rows)


def _deciding(rows: pd.DataFrame) -> dict[str, Any]:
    deciding = rows[rows["metric"] == "frechet"]
    return dict(zip(deciding["model"], deciding["rank"].astype(object).where(deciding["rank"].notna()), strict=True))


def test_lower_is_better_and_comes_first() -> None:
    assert ranks(metrics("x", 3.0), metrics("y", 1.0), metrics("z", 2.0)) == {"y": 1, "z": 2, "x": 3}
    assert list(table([metrics("x", 3.0), metrics("y", 1.0)])["model"])[:2] == ["y", "x"]


def test_where_higher_is_better_the_highest_comes_first() -> None:
    measured = [metrics("x", 0.3), metrics("y", 0.1), metrics("z", 0.2)]
    for model in measured:
        model["figures"][0]["lower_is_better"] = False
    assert ranks(*measured) == {"x": 1, "z": 2, "y": 3}
    assert list(table(measured)["model"])[:3] == ["x", "z", "y"]


def test_only_the_deciding_figure_is_ranked() -> None:
    rows = table([metrics("x", 3.0), metrics("y", 1.0)])
    assert rows.loc[rows["metric"] == "kernel", "rank"].isna().all()
    assert list(rows.columns) == COLUMNS


def test_what_is_not_finite_has_no_rank_and_comes_last() -> None:
    rows = table([metrics("a-broken", float("nan")), metrics("sound", 9.0)])
    deciding = rows[rows["metric"] == "frechet"]
    assert list(deciding["model"]) == ["sound", "a-broken"]
    assert deciding["rank"].iloc[0] == 1
    assert pd.isna(deciding["rank"].iloc[1])


@pytest.mark.parametrize("field", FIELDS)
def test_cards_that_differ_in_one_field_are_ranked_apart_and_the_field_is_named(field: str) -> None:
    measured = [metrics("x", 3.0), metrics("y", 1.0, differing(field)), metrics("z", 5.0)]
    assert ranks(*measured) == {"x": 1, "z": 2, "y": 1}
    (note,) = apart(measured)
    assert note["text"] == f"`y` is not ranked with `x` and `z`: their eval cards differ in {field}."
    assert (note["task"], note["dataset"]) == ("sample", "d")


def test_every_two_protocols_are_told_apart() -> None:
    other, another = replace(CARD, seed=1), replace(CARD, seed=1, split="select")
    measured = [metrics("x", 3.0), metrics("y", 1.0, other), metrics("z", 5.0, other), metrics("w", 2.0, another)]
    assert [note["text"] for note in apart(measured)] == [
        "`y` and `z` are not ranked with `x`: their eval cards differ in seed.",
        "`w` is not ranked with `x`: their eval cards differ in split and seed.",
        "`w` is not ranked with `y` and `z`: their eval cards differ in split.",
    ]
    assert apart([metrics("x", 3.0), metrics("y", 1.0), metrics("z", 1.0, other, dataset="e")]) == []


def test_other_tasks_and_datasets_are_ranked_apart() -> None:
    measured = [metrics("x", 3.0), metrics("y", 4.0, task="translate"), metrics("z", 5.0, dataset="e")]
    assert ranks(*measured) == {"x": 1, "y": 1, "z": 1}


def test_equal_values_share_a_rank() -> None:
    assert ranks(metrics("x", 1.0), metrics("y", 1.0), metrics("z", 2.0)) == {"x": 1, "y": 1, "z": 3}


def test_a_model_that_is_not_evaluated_is_named(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(UserError, match=f"{workspace.evaluate('any')}.*dvc repro"):
        compare(workspace, config.from_values(PARAMS))


def test_the_stage_writes_the_same_table_twice_over(finished: Workspace) -> None:
    files.verify(finished.compare)
    rows = json.loads((finished.compare / "table.json").read_text())
    read = pd.read_csv(finished.compare / "table.csv")
    assert [row["model"] for row in rows] == list(read["model"])
    assert {row["model"] for row in rows} == {"gan", "vae", "cyclegan"}
    ranked = {(row["task"], row["model"]): row["rank"] for row in rows if row["rank"] is not None}
    assert sorted(ranked.values()) == [1, 1, 2]
    assert ranked["translate", "cyclegan"] == 1
