"""compare: the figures of all models in, one table out, ranked where ranking means something."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from gen import files
from gen.config import Params
from gen.metrics.card import differences
from gen.workspace import Workspace

COLUMNS = [
    "model",
    "family",
    "task",
    "dataset",
    "metric",
    "value",
    "lower_is_better",
    "spread",
    "floor",
    "baseline",
    "eval_id",
    "rank",
]


def compare(workspace: Workspace, params: Params) -> None:
    """Write runs/compare (table.csv, table.json, apart.json) from what `evaluate` wrote of each model in params.yaml.

    Raises UserError when a model is not evaluated yet, or its folder is not what was written.
    """
    measured = []
    for name in params.blocks:
        files.verify(workspace.evaluate(name))
        measured.append(files.read_json(workspace.evaluate(name) / "metrics.json"))
    ranked = table(measured)
    with files.fresh_folder(workspace.compare) as folder:
        ranked.to_csv(folder / "table.csv", index=False, lineterminator="\n")
        files.write_json(folder / "table.json", records(ranked))
        files.write_json(folder / "apart.json", apart(measured))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, None where there is no value."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def apart(measured: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Why models of one task and dataset are not ranked together: their eval cards, and what differs between them."""
    found: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for model in measured:
        same_task = found.setdefault((model["task"], model["dataset"]), {})
        same_task.setdefault(deciding(model)["eval_id"], []).append(model)
    said = []
    for (task, dataset), protocols in sorted(found.items()):
        for some, others in combinations(protocols.values(), 2):
            names, rest = (_listed([f"`{model['model']}`" for model in side]) for side in (some, others))
            fields = differences(*(deciding(side[0])["card"] for side in (some, others)))
            text = f"{rest} {_are(others)} not ranked with {names}: their eval cards differ in {_listed(fields)}."
            said.append({"task": task, "dataset": dataset, "text": text})
    return said


def deciding(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figure that a model is ranked by."""
    return next(figure for figure in model["figures"] if figure["name"] == model["rank_by"])


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _are(models: Sequence[Any]) -> str:
    return "is" if len(models) == 1 else "are"


def table(measured: list[Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each figure of each metrics.json, best first inside a task and dataset.

    `rank` stands at the figure that decides (`rank_by`) and counts from 1 inside one task, dataset and `eval_id`
    alone: numbers of different protocols are never ranked together. A model without a finite value has no rank.
    """
    rows = [
        {
            **{key: model[key] for key in ("model", "family", "task", "dataset")},
            "metric": figure["name"],
            **{key: figure[key] for key in ("value", "lower_is_better", "spread", "floor", "baseline", "eval_id")},
            "decides": figure["name"] == model["rank_by"],
        }
        for model in measured
        for figure in model["figures"]
    ]
    frame = pd.DataFrame(rows).astype(dict.fromkeys(("value", "spread", "floor", "baseline"), "float64"))
    # Turned so that lower is better: models with one eval_id have one direction.
    frame["cost"] = frame["value"].where(frame["lower_is_better"].astype("boolean").fillna(True), -frame["value"])
    deciding = frame[frame["decides"]].groupby(["task", "dataset", "eval_id"])["cost"]
    frame["rank"] = deciding.rank(method="min", na_option="keep").reindex(frame.index).astype("Int64")
    order = ["task", "dataset", "decides", "metric", "eval_id", "rank", "model"]
    ascending = [key != "decides" for key in order]
    return frame.sort_values(order, ascending=ascending, na_position="last", ignore_index=True)[COLUMNS]
