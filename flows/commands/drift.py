"""The command that tells how far images are from those that the champions were trained on."""

from typing import Annotated

import typer

from flows.completion import names
from flows.terminal import figure, table
from gen.workspace import Workspace


def drift(
    dataset: Annotated[
        str | None, typer.Argument(help="A dataset; all by default.", autocompletion=names("datasets"))
    ] = None,
) -> None:
    """Hold the images that are here now against those that the champion was trained on; trains nothing."""
    from gen import config
    from gen.tracking.environment import mlflow_environment

    workspace = Workspace.find()
    params = config.load(workspace.params_file)
    if dataset:
        params.dataset(dataset)
    mlflow_environment()
    from gen.__main__ import settle
    from gen.steps.drift import find_drift

    settle(params.machine)
    wanted = sorted({known for known, _ in params.contests if dataset in (None, known)})
    findings = [finding for name in wanted for finding in find_drift(workspace, params, name)]
    rows = []
    for finding in findings:
        for domain, each in finding.drifts.items() or [("", None)]:
            figures = [figure(value) for value in (each.distance, each.chance, each.p)] if each else ["-"] * 3
            images = f"{each.then:,} : {each.now:,}" if each else "-"
            what = [finding.dataset, finding.task, finding.champion or "-", domain if len(finding.drifts) > 1 else ""]
            rows.append([*what, images, *figures, "due" if finding.due else "not due"])
    numbers = ("images", "distance", "chance", "p")
    table(("dataset", "task", "champion", "domain", *numbers, "retrain"), rows, numbers=numbers)
    for finding in findings:
        print(f"\n{finding.dataset} {finding.reason}.")
