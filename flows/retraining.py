"""One retrain from here: alone in the workspace, with a Prefect server for as long as it lasts."""

from flows import notices, stages
from flows.environment import prefect_environment
from flows.outcome import Outcome
from flows.server import prefect_server
from flows.stages import Say
from gen.tracking.environment import mlflow_environment
from gen.workspace import Workspace


def retrain(
    workspace: Workspace, *, ingest: bool = True, wait: bool = False, notify: str | None = None, say: Say = print
) -> Outcome:
    """Run the whole pipeline once; what has not changed is not run again.

    With `ingest` false the snapshots stay as they are (after `genflows data --restore`, say). `notify` is a webhook's
    URL or a Prefect block that is told of a failed or undecided retrain; by default what GENFLOWS_NOTIFY says.
    Raises BusyError when another retrain works in the workspace, unless `wait`; UserError for a bad params.yaml or
    dvc.yaml. Ctrl-C and SIGTERM stop it within seconds, and it goes on from there the next time.
    """
    prefect_environment(workspace)
    mlflow_environment()
    with stages.exclusive(workspace, wait=wait), prefect_server(workspace) as server:
        # Three seconds of imports, in which the server starts.
        from flows.pipeline import drive

        server.wait()
        return drive(workspace, server, ingest=ingest, notify=notify or notices.address(), say=say)
