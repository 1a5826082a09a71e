"""Commands on the registry: what is in it, what is in use."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.terminal import age, figure, table
from gen import files
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.tracking.registry import Version
    from gen.tracking.store import Store

COLUMNS = ("dataset", "task", "model", "metric", "value", "lower_is_better", "spread", "floor", "eval_id")
"""Of `genflows compare --csv`."""


def models(
    name: Annotated[str | None, typer.Argument(help="A registered model, DATASET-TASK; all by default.")] = None,
) -> None:
    """List the registered versions: figures, verdicts, aliases, age."""
    from gen.errors import BadParamsError
    from gen.strict import nearest

    store = _store(Workspace.find())
    from gen.tracking import registry

    versions = registry.versions(store)
    known = sorted({version.name for version in versions})
    if not known:
        print("Nothing is registered yet. `genflows retrain` trains models and registers the best of each task.")
        return
    if name and name not in known:
        raise BadParamsError(f"No registered model `{name}`. {nearest(name, known)}")
    for wanted in [name] if name else known:
        rows = [
            (
                str(version.number),
                version.tags.get("model", "-"),
                f"{version.tags.get('metric', '')} {figure(_value(version))}".strip(),
                "withdrawn" if version.withdrawn else version.tags.get("verdict", "-"),
                ", ".join(version.aliases),
                age(version.created),
            )
            for version in versions
            if version.name == wanted
        ]
        print(f"\n{wanted}")
        table(("version", "model", "figure", "verdict", "alias", "age"), rows, numbers=("version",))


def compare(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL...]", help="The workspace's models, and versions such as digits-sample/3."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as CSV as well.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page: figures, pictures, curves, and what differs.")
    ] = None,
) -> None:
    """Compare models with each other; by default all of the workspace and the champions."""
    workspace = Workspace.find()
    from flows import comparison
    from gen.steps.comparison import render

    found, unreached = comparison.collect(workspace, wanted or [])
    rows = comparison.rows(found)
    # Figures with different eval_ids are not comparable, so each has a table of its own.
    for group in _groups(rows):
        first = group[0]
        what = f"{first['dataset']}, {first['task']}: {first['metric']}"
        better = {True: "lower is better", False: "higher is better", None: "best at the floor"}
        # Two lines, for the longest names fill one.
        print(f"\n{what}\n{better[first['lower_is_better']]} (eval_id {first['eval_id'][:8]})")
        shown = [(row["model"], figure(row["value"], row["spread"]), figure(row["floor"])) for row in group]
        table(("model", "figure", "floor"), shown, numbers=("figure", "floor"))
    for note in comparison.notes(found):
        print(f"\n{note['dataset']}, {note['task']}: {note['text']}")
    if csv:
        _write_csv(csv, rows)
    if html:
        files.write(html, render(found))
        print(f"\nWrote {html}")
    if unreached:
        raise unreached


def promote(
    version: Annotated[str, typer.Argument(metavar="NAME/NUMBER", help="A registered version, e.g. digits-sample/3.")],
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "promoted by hand",
) -> None:
    """Make a version the champion, whatever the judge says; the old one stays as `previous`."""
    store = _store(Workspace.find())
    from gen import loading
    from gen.tracking import promotion, registry

    wanted = loading.find(store, version)
    before = registry.champion(store, wanted.name)
    if before and before.number == wanted.number:
        print(f"{wanted.name}: version {wanted.number} is champion already.")
        return
    promotion.promote(store, wanted, before.number if before else None, reason, by="human")
    was = f"before: {before.number}, now `previous`" if before else "the first"
    print(f"{wanted.name}: version {wanted.number} is champion ({was}).")


def rollback(
    name: Annotated[str | None, typer.Argument(help="A registered model; may be left out where there is one.")] = None,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "rolled back by hand",
) -> None:
    """Make the previous champion the champion again."""
    store = _store(Workspace.find())
    from gen.errors import BadParamsError
    from gen.strict import nearest
    from gen.tracking import promotion, registry

    known = sorted({version.name for version in registry.versions(store)})
    if name is None and len(known) == 1:
        name = known[0]
    if name not in known:
        hint = nearest(name, known) if name else f"Name one of: {', '.join(known) or 'none is registered yet'}."
        raise BadParamsError(f"No registered model `{name}`. {hint}" if name else f"Which model? {hint}")
    now = promotion.rollback(store, name, reason)
    print(f"{name}: version {now.number} is champion again.")


def _store(workspace: Workspace) -> "Store":
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from gen.tracking.store import connect

    return connect(workspace)


def _value(version: "Version") -> float | None:
    value = version.tags.get("value")
    return float(value) if value else None


def _groups(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows that may be compared, best first; groups in the order in which they come."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in ("dataset", "task", "metric", "eval_id")), []).append(row)
    return [sorted(group, key=_cost) for group in groups.values()]


def _cost(row: dict[str, Any]) -> tuple[bool, float]:
    """Lower is better, and what has no value comes last."""
    value, sign = row["value"], -1 if row["lower_is_better"] is False else 1
    return value is None, sign * (value or 0.0)


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write(path, text.getvalue())
    print(f"\nWrote {path}")
