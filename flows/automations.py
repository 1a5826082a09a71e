"""What the Prefect server does by itself for a schedule: dead retrains are marked, crashed ones gone on with.

Import it after flows.environment.prefect_environment, for Prefect reads its settings then.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events import AutomationCore, EventTrigger, emit_event
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import Posture

from flows.status import REFUSED
from flows.watching import NEW_DATA, resource
from gen import files
from gen.workspace import Workspace

HEARTBEAT = 30
"""Seconds between two signs of life of a retrain: Prefect allows no less."""
SILENCE = timedelta(seconds=75)
"""After two missed signs of life, and some, a retrain is dead."""
Labels = dict[str, str | list[str]]
ENDED = ("Completed", "Failed", "Cancelled", "Cancelling", "Crashed", REFUSED)
LEFT = "genflows.retrain-left"
"""What a retrain itself says at its end, so that its silence from then on is no crash. The server tells of the end as
well, but puts that off for a quarter of an hour where it has not seen the state before: where it was restarted since,
or had planned the retrain only minutes ahead. A last sign of life may also overtake what the server tells."""


def install(workspace: Workspace, deployment: UUID) -> None:
    """Make, or bring up to date, the automations of the schedule `deployment`."""
    with get_client(sync_client=True) as client:
        for automation in _automations(workspace, deployment):
            _put(client, automation)


def tell_left(run: FlowRun) -> None:
    """Say that a retrain leaves and nobody is to go on with it. To be called inside of its flow."""
    emit_event(LEFT, {"prefect.resource.id": f"prefect.flow-run.{run.id}"})


def _put(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """One that is there as it should be is not touched: an update makes the server forget whom it waits to hear of."""
    automation.description = f"Made by genflows: {_digest(automation)[:12]}"
    there = client.read_automations_by_name(automation.name)
    if not there:
        client.create_automation(automation)
    elif there[0].description != automation.description:
        client.update_automation(there[0].id, automation)


def _digest(automation: AutomationCore) -> str:
    told = automation.model_dump(mode="json")
    for names in ("after", "expect", "for_each"):
        told["trigger"][names].sort()  # sets, whose order differs from process to process
    return files.digest(told)


def _automations(workspace: Workspace, deployment: UUID) -> list[AutomationCore]:
    name = workspace.root.name
    ours: Labels = {"prefect.resource.id": f"prefect.deployment.{deployment}"}
    runs: Labels = {"prefect.resource.id": "prefect.flow-run.*"}
    beat = "prefect.flow-run.heartbeat"
    silent = EventTrigger(
        match=runs,
        match_related=ours,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        after={beat},
        expect={beat, LEFT, *(f"prefect.flow-run.{state}" for state in ENDED)},
        threshold=1,
        within=SILENCE,
    )
    crashed = EventTrigger(
        match=runs, match_related=ours, posture=Posture.Reactive, expect={"prefect.flow-run.Crashed"}
    )
    here: Labels = {"prefect.resource.id": resource(workspace)}
    changed = EventTrigger(match=here, posture=Posture.Reactive, expect={NEW_DATA})
    message = f"No sign of life for {SILENCE.total_seconds():g} s: its process, or its machine, is gone."
    dead = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message, force=False)
    return [
        # It does not leave the second to the next automation: a server that was restarted has not seen the retrain
        # begin, and puts what follows on that off for a quarter of an hour. Two at once are one (flows.firing).
        AutomationCore(
            name=f"{name}: a silent retrain has crashed and is gone on with",
            trigger=silent,
            actions=[dead, _retrain(workspace, deployment, "crash")],
        ),
        AutomationCore(
            name=f"{name}: a crashed retrain is gone on with",
            trigger=crashed,
            actions=[_retrain(workspace, deployment, "crash")],
        ),
        AutomationCore(
            name=f"{name}: new data is trained on",
            trigger=changed,
            actions=[_retrain(workspace, deployment, "new data")],
        ),
    ]


def _retrain(workspace: Workspace, deployment: UUID, reason: str) -> Any:
    parameters = {"workspace": str(workspace.root), "reason": reason}
    return RunDeployment(source="selected", deployment_id=deployment, parameters=parameters, job_variables=None)
