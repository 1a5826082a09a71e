"""The flow on a schedule, in a long-lived process. Import it after flows.environment.prefect_environment."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.runner import Runner
from prefect.schedules import Cron, Schedule
from prefect.server.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.types.entrypoint import EntrypointType
from tzlocal import get_localzone_name

from flows import notices, standing
from flows.pipeline import scheduled
from flows.server import prefect_server
from flows.stages import Say
from gen import config, files, orphan
from gen.config import Promotion
from gen.errors import UserError
from gen.tracking.environment import mlflow_environment
from gen.workspace import Workspace

YEAR = timedelta(days=365.25)
COUNTED = 1000
"""Firings that are counted one by one, as many as Prefect tells at once; what fires more often in a year is taken to go
on as it begins."""


def schedule(workspace: Workspace, cron: str, *, notify: str | None = None, say: Say = print) -> None:
    """Retrain whenever `cron` says by the clock of this machine, until SIGINT or SIGTERM.

    A Prefect server is started for it unless PREFECT_API_URL names one. Each retrain is a process of its own; one
    that is due while another runs waits for its end. `notify` is as for a retrain.
    Raises UserError for a cron expression that is none, and when the server does not answer.
    """
    serve(workspace, checked(workspace, cron, say), notify=notify, say=say)


def checked(workspace: Workspace, cron: str, say: Say = print) -> Schedule:
    """The schedule that a cron expression means here; says so where it outruns the judge's error budget.

    Raises UserError for an expression that is none, BadParamsError for a params.yaml that cannot be used.
    """
    try:
        when = Cron(cron, timezone=get_localzone_name())
    except ValueError:
        raise UserError(
            f'`{cron}` is no cron expression. It has five fields: minute, hour, day, month, weekday; "0 3 * * *" is '
            "each night at three."
        ) from None
    warning = too_often(firings_per_year(cron), config.load(workspace.params_file).promotion)
    if warning:
        say(warning)
    return when


def next_firing(cron: str) -> datetime | None:
    """When a cron expression fires next by the clock of this machine; None for one that never does."""
    clock = CronSchedule(cron=cron, timezone=get_localzone_name())
    found = asyncio.run(clock.get_dates(1, datetime.now(UTC)))
    return found[0] if found else None


def firings_per_year(cron: str) -> float:
    """How often a cron expression fires in the year that begins now."""
    now = datetime.now(UTC)
    found = asyncio.run(CronSchedule(cron=cron, timezone="UTC").get_dates(COUNTED, now, now + YEAR))
    return len(found) if len(found) < COUNTED else (len(found) - 1) * (YEAR / (found[-1] - found[0]))


def too_often(firings: float, promotion: Promotion) -> str | None:
    """What to say where a schedule may judge more often in a year than the error budget was made for."""
    if firings <= 1.1 * promotion.verdicts_per_year:
        return None
    more = promotion.false_per_year * firings / promotion.verdicts_per_year
    return (
        f"This schedule may judge about {firings:,.0f} times a year, but `promotion.verdicts_per_year` is "
        f"{promotion.verdicts_per_year:,.0f}: if each brings a new generator, up to {more:,.1f} of them are promoted "
        f"by chance, not {promotion.false_per_year:g}. `genflows --set promotion.verdicts_per_year={firings:.0f}` "
        "makes the judge stricter."
    )


def serve(workspace: Workspace, when: Schedule, *, notify: str | None = None, say: Say = print) -> None:
    """Retrain by any schedule of Prefect's, until SIGINT or SIGTERM. Raises BusyError where another process does."""
    orphan.watch()
    standing.check_unscheduled(workspace)
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
            )
            runner.add_flow(
                scheduled,
                name=workspace.root.name,
                schedule=when,
                parameters={"workspace": str(workspace.root)},
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
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
