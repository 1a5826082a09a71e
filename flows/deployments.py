"""The flow on a schedule, in a long-lived process. Import it after flows.environment.prefect_environment."""

import asyncio
import os
import signal
import sys
from typing import Any

from prefect.runner import Runner
from prefect.schedules import Schedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.types.entrypoint import EntrypointType

from flows import automations, notices, standing, watching, worktree
from flows.firing import scheduled
from flows.server import prefect_server
from flows.stages import Say
from flows.timetable import checked
from flows.when import When
from gen import files, orphan
from gen.tracking.environment import mlflow_environment
from gen.workspace import Workspace


def schedule(workspace: Workspace, when: When, *, notify: str | None = None, say: Say = print) -> None:
    """Retrain whenever `when` says, until SIGINT or SIGTERM.

    A Prefect server is started for it unless PREFECT_API_URL names one. Each retrain is a process of its own; one
    that is due while another runs waits for its end, and stands for all that were due meanwhile. `notify` is as for a
    retrain.
    Raises UserError for an expression that is none, where there is nothing to watch or no commit to make a tree of,
    and when the server does not answer.
    """
    serve(workspace, checked(workspace, when, say), watch=when.new_data, notify=notify, say=say)


def serve(
    workspace: Workspace, clock: Schedule | None, *, watch: bool = False, notify: str | None = None, say: Say = print
) -> None:
    """Retrain by any schedule of Prefect's, until SIGINT or SIGTERM. Raises BusyError where another process does."""
    orphan.watch()
    standing.check_unscheduled(workspace)
    worktree.check(workspace)
    mlflow_environment()
    os.environ[orphan.DRIVER] = orphan.this_process()
    if notify:
        os.environ[notices.ADDRESS] = notify  # for the processes to come
    with prefect_server(workspace, schedules=True) as server:
        server.wait()
        with temporary_settings({PREFECT_API_URL: server.url}):
            runner = _Runner(
                name=workspace.root.name,
                limit=1,
                # A schedule that a restart had paused would never fire again, and nobody would know.
                pause_on_shutdown=False,
                heartbeat_seconds=automations.HEARTBEAT,
            )
            deployment = runner.add_flow(
                scheduled,
                name=workspace.root.name,
                schedule=clock,
                parameters={"workspace": str(workspace.root)},
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
            automations.install(workspace, deployment)
            if watch:
                watching.begin(workspace, server.url, say)
            files.write(workspace.private / standing.SCHEDULE, orphan.this_process())
            say(f"Retrains {workspace.root} on schedule; Ctrl-C ends it. Prefect: {server.url.removesuffix('/api')}")
            signal.signal(signal.SIGINT, runner.handle_sigterm)
            asyncio.run(runner.start())


class _Runner(Runner):
    def handle_sigterm(self, *_: Any, **__: Any) -> None:
        """End the retrain that runs, then this process. Prefect's own handler forgets to wait for its loop to do so."""
        if not (self.started or self.stopping):
            sys.exit(0)  # it is only beginning: nothing runs, and it could not be told to stop
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(lambda: loop.create_task(self.astop()))
