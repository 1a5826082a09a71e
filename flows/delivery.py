"""What comes after the graph: MLflow is told, challengers are judged, the report is written."""

import csv
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flows.outcome import Judged, Outcome, State
from flows.stages import Say
from gen.config import Params
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.tracking.groups import Group


def publish(workspace: Workspace, params: Params, model: str, group: "Group", say: Say = print) -> State:
    """Send a model's run to MLflow, nested in that of `group`; `unsent` where MLflow cannot be reached."""
    from gen.steps.publish import publish
    from gen.tracking.store import TrackingUnavailable

    try:
        publish(workspace, params, model, group=group)
    except TrackingUnavailable as error:
        say(f"{model} is not in MLflow yet: {error}")
        return "unsent"
    return "ran"


def judge(workspace: Workspace, params: Params, dataset: str, task: str, say: Say = print) -> Judged | None:
    """Hold the best new model of a task against the champion; None where MLflow cannot be reached."""
    from gen.__main__ import settle
    from gen.steps.judge import judge
    from gen.tracking.store import TrackingUnavailable

    settle(params.machine)
    try:
        verdict = judge(workspace, params, dataset, task)
    except TrackingUnavailable as error:
        say(f"{dataset} {task} is not judged yet: {error}")
        return None
    say(f"{dataset} {task}: {verdict.decision}. {' '.join(verdict.reasons)}")
    return Judged(dataset, task, verdict.decision, tuple(verdict.reasons))


def report(workspace: Workspace, params: Params, unsent: Sequence[str]) -> None:
    """Write report.html; `unsent` names what MLflow could not be told."""
    from gen.report import write

    write(workspace, params, unsent)


def conclude(workspace: Workspace, group: "Group", outcome: Outcome, say: Say = print) -> None:
    """Say in MLflow how the retrain ended, with its report, and end what killed ones left as running.

    Where MLflow cannot be reached, that is all.
    """
    from gen.tracking import abandoned, groups
    from gen.tracking.store import TrackingUnavailable, connect

    verdicts = {f"{judged.dataset}-{judged.task}": judged.decision for judged in outcome.verdicts}
    shown = [path for path in (workspace.report, workspace.compare / "table.csv") if path.exists()]
    try:
        tags = {"summary": outcome.summary, **verdicts}
        store = connect(workspace)
        groups.end(store, group, tags, shown, failed=bool(outcome.failed or outcome.stopped))
        for name in abandoned.end(store):
            say(f"MLflow showed `{name}` as running, whose process is gone: it is marked as killed.")
    except TrackingUnavailable as error:
        say(f"MLflow does not know how this retrain ended: {error}")


def table(workspace: Workspace) -> str:
    """The comparison of all models as a Markdown table; a sentence where there is none yet."""
    path = workspace.compare / "table.csv"
    if not path.exists():
        return "No model has been compared yet."
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def grids(workspace: Workspace, verdicts: Iterable[Judged]) -> dict[str, bytes]:
    """The challengers' sample grids as PNG, under names that Prefect allows."""
    found = {}
    for verdict in verdicts:
        name = f"{verdict.dataset}-{verdict.task}"
        path = workspace.verdict(verdict.dataset, verdict.task) / "challenger.png"
        if path.exists():
            found[f"challenger-{name.replace('_', '-')}"] = path.read_bytes()
    return found
