"""What one firing of the schedule does: it stands for all that were due, and retrains in a tree of its own.

Import it after flows.environment.prefect_environment, for Prefect reads its settings then.
"""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed, Crashed

from flows import automations, experiments, notices, stages, tidying, worktree
from flows.pipeline import Retrain, ending, tell
from flows.stages import Say
from flows.status import REFUSED
from gen import config, files, orphan
from gen.errors import BusyError, describe
from gen.workspace import Workspace

Reason = Literal["schedule", "new data", "crash"]
"""Why a retrain was started; `crash` where the one before had crashed."""
CRASHES = 3
"""So many that crashed in a row are not gone on with at once: the next firing of the schedule tries it again."""
OVER = [StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED]


@flow(name="retrain", persist_result=False)
def scheduled(workspace: str, reason: Reason = "schedule") -> State[Any]:
    """Retrain in the schedule's tree, in a process of its own, with a server that is there already."""
    orphan.watch()
    place, say = Workspace(Path(workspace)), partial(print, flush=True)
    try:
        wait = config.load(place.params_file).retrain.busy == "wait"
        with stages.exclusive(place, wait=wait), get_client(sync_client=True) as client:
            this = _this()
            if this.deployment_id:
                automations.install(place, this.deployment_id)  # the worker of a pool brings none of its own
            crashed = _crashed_before(client, this)
            if crashed:
                tell(notices.address(), notices.crash(place, crashed), say)
            if reason == "crash" and not crashed:
                return _refused("Another retrain has gone on with it already.")
            if reason == "crash" and crashed >= CRASHES:
                return _refused(f"{crashed} retrains in a row have crashed; the schedule's next one tries again.")
            _stand_for_all(client, this)
            ended = _retrain(place, say)
            if not orphan.lost():
                tidying.tidy(place, say)
            return ended
    except BusyError as busy:
        return Completed(message=f"Skipped. {busy}")
    except Exception as error:
        tell(notices.address(), notices.failure(place, describe(error) or repr(error)), say)
        raise
    finally:
        if not orphan.lost():
            automations.tell_left(_this())


def _retrain(place: Workspace, say: Say) -> State[Any]:
    tree = worktree.follow(place)
    before = experiments.state(tree)
    outcome = Retrain(tree, say).run()
    saved = None
    if experiments.state(tree) != before and not outcome.stopped:
        saved = experiments.save(tree, outcome.summary, datetime.now(UTC))
        say(f"Saved as the experiment {saved}: `dvc exp apply {saved}` brings it into your tree.")
    if tree.report.exists():
        files.write(place.private / tree.report.name, tree.report.read_bytes())
    if outcome.stopped and orphan.lost():
        # Nobody asked for that, so that somebody has to go on (flows.automations).
        return Crashed(message="The schedule's process is gone, and the retrain has left. What was finished is kept.")
    tell(notices.address(), notices.text(tree, outcome, saved), say)
    return ending(outcome, saved)


def _refused(message: str) -> State[Any]:
    return Cancelled(name=REFUSED, message=message)


def _this() -> FlowRun:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return context.flow_run


def _stand_for_all(client: SyncPrefectClient, this: FlowRun) -> None:
    """Cancel what is due as well, for this one does its work."""
    due = FlowRunFilterExpectedStartTime(before_=datetime.now(UTC))
    for run in client.read_flow_runs(flow_run_filter=_those(this, [StateType.SCHEDULED], due)):
        client.set_flow_run_state(run.id, Cancelled(message=f"{this.name} stands for it."))


def _crashed_before(client: SyncPrefectClient, this: FlowRun) -> int:
    """How many of those that were tried last had crashed, in a row."""
    ended = client.read_flow_runs(flow_run_filter=_those(this, OVER), sort=FlowRunSort.START_TIME_DESC, limit=50)
    # Others stood for those that never ran. One that was refused may have begun before the crash was noticed.
    tried = [run for run in ended if run.run_count and run.state_name != REFUSED]
    return next((place for place, run in enumerate(tried) if run.state_type != StateType.CRASHED), len(tried))


def _those(this: FlowRun, states: list[StateType], due: FlowRunFilterExpectedStartTime | None = None) -> FlowRunFilter:
    """Retrains of the same schedule in one of these states."""
    return FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[this.deployment_id] if this.deployment_id else []),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)),
        expected_start_time=due,
    )
