"""The command that says what a registered version was made from."""

from typing import Annotated

import typer

from flows.terminal import hanging
from gen.workspace import Workspace


def explain(
    version: Annotated[str, typer.Argument(metavar="NAME@ALIAS|NAME/NUMBER", help="E.g. digits-sample@champion.")],
) -> None:
    """Say what a version was made from: run, config, code, data; and how to make it again."""
    workspace = Workspace.find()
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from flows import explaining
    from gen.loading import find
    from gen.tracking.store import connect

    store = connect(workspace)
    origin = explaining.trace(store, find(store, version))
    for name, fact in explaining.told(origin):
        print(f"{name}\n  {hanging(fact, indent=2)}" if len(name) > 14 else f"{name:<14}{hanging(fact, indent=14)}")
    if "untraceable" in origin.version.tags:
        print("\nIt cannot be made again from what is known.")
        return
    print("\nTo make it again, where no DVC remote holds its data with `genflows ingest` in the place of `dvc pull`:\n")
    for command in explaining.rebuild(workspace, store, origin):
        print(f"  {command}")
