"""The flow `retrain`: DVC's graph as Prefect tasks, between what fetches data and what tells the world.

Import it after flows.environment.prefect_environment, for Prefect reads its settings then.
"""

import base64
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prefect import Task, flow
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.blocks.core import Block
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.futures import PrefectFuture, wait
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Cancelled, Completed, Failed

from flows import delivery, following, holding, notices, outcome, plan, remotes, settings, stages, starts, versions
from flows.children import Stop, StoppedError
from flows.outcome import Judged, Outcome, TaskRun
from flows.server import Server
from flows.slots import slots
from flows.stages import Orchestration, Say, Stage
from gen import config, files
from gen.errors import describe
from gen.tracking.groups import Group
from gen.workspace import Workspace

Future = PrefectFuture[Any]
Work = Callable[[], outcome.State]
ONCE = Orchestration()
"""No retries, no timeout: what a task has that dvc.yaml says nothing of."""


def drive(workspace: Workspace, server: Server, *, ingest: bool, notify: str | None, say: Say) -> Outcome:
    """Run the flow here and now, recorded by `server`; flows.retraining holds the lock.

    Raises what goes wrong before there are tasks: UserError for a bad params.yaml or a graph that DVC cannot read.
    """
    outcomes: list[Outcome] = []

    @flow(name="retrain", persist_result=False)
    def here(workspace: str) -> State[Any]:
        outcomes.append(Retrain(Workspace(Path(workspace)), say).run(ingest=ingest))
        tell(notify, notices.text(Workspace(Path(workspace)), outcomes[0]), say)
        return ending(outcomes[0])

    prefect_settings: dict[Any, Any] = {PREFECT_API_URL: server.url}
    if server.process:
        # It dies with this process, so nobody is there to miss a heartbeat; the thread that beats costs a second.
        prefect_settings[PREFECT_FLOWS_HEARTBEAT_FREQUENCY] = None
    with temporary_settings(prefect_settings):
        state = here(str(workspace.root), return_state=True)
        _flush()
    if not outcomes:
        state.result()
    return outcomes[0]


def ending(outcome: Outcome, saved: str | None = None) -> State[Any]:
    """How Prefect shows a retrain. What is unsent is no failure: the next retrain sends it.

    `saved` is the name of the experiment that it was saved as.
    """
    kind = Cancelled if outcome.stopped else Failed if outcome.failed else Completed
    return kind(message=f"{outcome.summary} Experiment {saved}." if saved else outcome.summary)


def _flush() -> None:
    """Send what Prefect still holds back. Without its server it would try again for a minute."""
    EventsWorker.drain_all(timeout=20)
    APILogWorker.drain_all(timeout=20)


class Retrain:
    """One retrain: its tasks, and the ledger of what became of them."""

    def __init__(self, workspace: Workspace, say: Say) -> None:
        self.workspace = workspace
        self.say = say
        # All of it, before hours go by: also the blocks that only later tasks read.
        self.params = settings.check(config.read_yaml(workspace.params_file))
        for name in self._missing_extractors():
            self.params.taught_by(name)
        self.remote = stages.remote(workspace)
        self.stop = Stop()
        self.futures: dict[str, Future] = {}
        self.ledger: dict[str, TaskRun] = {}
        self.verdicts: list[Judged] = []
        self.took: dict[str, float] = {}
        """Seconds of the stages whose command ran, without what they waited, by the names of their plans."""
        self.steady: dict[holding.Contest, str] = {}
        """What has not drifted, where that is asked for."""
        self.held: dict[str, str] = {}
        """Trainings that are held back, and why, by the addresses of their stages."""
        self.group = Group("retrain", uuid.uuid4().hex, datetime.now(UTC))
        self.slots = threading.BoundedSemaphore(slots(self.params.machine))

    def run(self, *, ingest: bool = True) -> Outcome:
        """All tasks, in their order. A task that fails holds up those alone that wait for it."""
        with self.stop.on_signals():
            if self.remote and remotes.owed(self.workspace):
                # Before the files become others than those that were promoted.
                wait([self._submit("push what is owed", partial(self._push, self.remote))])
            if ingest:
                self._take_snapshots()
            self._make_extractors()
            self._measure_drift()
            self._pin_champions()
            self._drive_graph()
            self._tell_mlflow()
            wait([self._submit("report", self._report)])
            if self.remote:
                wait([self._submit("push", partial(self._push, self.remote))])
        runs = tuple(self.ledger.get(name, TaskRun(name, "not ready")) for name in self.futures)
        plan.remember(self.workspace, self.took)
        result = Outcome(runs, tuple(self.verdicts), stopped=self.stop.requested)
        delivery.conclude(self.workspace, self.group, result, self.say)
        return result

    def _take_snapshots(self) -> None:
        """One dataset after another: a derived one reads the snapshot of its base."""
        for name, bases in versions.bases(self.params).items():
            work = partial(self._ingest, name)
            wait([self._submit(_ingesting(name), work, map(_ingesting, bases))])

    def _make_extractors(self) -> None:
        """Those that are not there. One that is stays as it is, or no two retrains could be compared."""
        for name in self._missing_extractors():
            wait([self._submit(f"extractor {name}", partial(self._extractor, name), [_ingesting(name)])])

    def _missing_extractors(self) -> list[str]:
        names = sorted({dataset.extractor for dataset in self.params.datasets.values()})
        return [name for name in names if not self.workspace.extractor(name).exists()]

    def _measure_drift(self) -> None:
        """Where that decides: what is not known to be steady is trained when it changed."""
        if self.params.retrain.when != "drifted":
            return
        for name in sorted({dataset for dataset, _ in self.params.contests}):
            after = [_ingesting(name), f"extractor {self.params.dataset(name).extractor}"]
            wait([self._submit(f"drift {name}", partial(self._drift, name), after)])

    def _pin_champions(self) -> None:
        """What trainings begin from. By default it moves with images alone: each promotion would ask for a retrain."""
        for name, dataset in self.params.champion_starts.items():
            wait([self._submit(f"start {name}", partial(self._start, name), [_ingesting(dataset)])])

    def _drive_graph(self) -> None:
        """DVC's graph, a task for each stage. It is read now, for what came before may have changed the data."""
        graph = stages.graph(self.workspace)
        changed = stages.changed(self.workspace)
        self.held = holding.held(self.workspace, self.params, graph, changed, self.steady)
        stale = stages.stale(graph, changed, self.held)
        sources = self._sources()
        for address, stage in graph.items():
            resting = _held if address in self.held else _cached
            work = partial(self._reproduce, stage) if address in stale else resting
            after = [*sorted(stage.predecessors), *(sources[path] for path in stage.dependencies if path in sources)]
            self._submit(address, work, after, stage.orchestration)
        wait(list(self.futures.values()))

    def _sources(self) -> dict[str, str]:
        """Which task brings a path that no stage makes."""
        brought = {self.workspace.raw(name): _ingesting(name) for name in self.params.datasets}
        brought |= {
            self.workspace.extractor(d.extractor): f"extractor {d.extractor}" for d in self.params.datasets.values()
        }
        brought |= {self.workspace.start(name): f"start {name}" for name in self.params.champion_starts}
        return {path.relative_to(self.workspace.root).as_posix(): task for path, task in brought.items()}

    def _tell_mlflow(self) -> None:
        """Publish what was evaluated, then judge each task among what was published."""
        contests: dict[holding.Contest, list[str]] = {}
        for name in self.params.blocks:
            if f"evaluate@{name}" not in self.futures:
                continue
            model = self.params.model(name)
            contests.setdefault((model.dataset, model.task), []).append(f"publish {name}")
            work = partial(delivery.publish, self.workspace, self.params, name, self.group, self.say)
            wait([self._submit(f"publish {name}", work, [f"evaluate@{name}"])])
        for (dataset, task), published in contests.items():
            # One model that failed does not keep the others of its task from being judged.
            after = [name for name in published if name in self.ledger] or published
            wait([self._submit(f"judge {dataset} {task}", partial(self._judge, dataset, task), after)])

    def _submit(self, name: str, work: Work, after: Iterable[str] = (), orchestration: Orchestration = ONCE) -> Future:
        """Give a task to Prefect; it begins when those tasks of `after` that this retrain has have ended well."""
        task = Task(
            partial(self._attempt, name, work),
            name=name,
            task_run_name=name,
            retries=orchestration.retries,
            retry_delay_seconds=orchestration.retry_delay_seconds,
            retry_condition_fn=lambda *_: not self.stop.requested,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        self.futures[name] = task.submit(wait_for=[self.futures[other] for other in after if other in self.futures])
        return self.futures[name]

    def _attempt(self, name: str, work: Work) -> State[Any]:
        """Do the work once, and enter in the ledger what became of it."""
        started = time.monotonic()
        try:
            self.stop.check()
            state = work()
        except StoppedError:
            raise  # it did not fail, it will be done the next time
        except Exception as error:
            reason = describe(error) or f"{name} failed: {type(error).__name__}: {error}"
            self.ledger[name] = TaskRun(name, "failed", time.monotonic() - started, reason)
            self.say(reason)
            raise
        self.ledger[name] = TaskRun(name, state, time.monotonic() - started, self.held.get(name, ""))
        return Completed(name="Completed" if state == "ran" else state.capitalize())

    def _ingest(self, name: str) -> outcome.State:
        versions.ingest(self.workspace, name, self.stop, self.say)
        return "ran"

    def _extractor(self, name: str) -> outcome.State:
        versions.extractor(self.workspace, name, self.stop, self.say)
        return "ran"

    def _start(self, name: str) -> outcome.State:
        moves = holding.moves(self.params, self.steady, self.params.champion_starts[name])
        return "ran" if starts.follow(self.workspace, self.params, name, self.say, moves=moves) else "cached"

    def _drift(self, dataset: str) -> outcome.State:
        self.steady |= holding.measure(self.workspace, self.params, dataset, self.say)
        return "ran"

    def _reproduce(self, stage: Stage) -> outcome.State:
        if stage.orchestration.accelerator and self.params.machine.device != "cpu":
            with files.lock(self.workspace.private / "accelerator.lock"):
                return self._reproduce_now(stage)
        with self.slots:
            return self._reproduce_now(stage)

    def _reproduce_now(self, stage: Stage) -> outcome.State:
        self.stop.check()  # it may have waited long
        began = time.monotonic()
        with following.followed(self.workspace, stage):
            if not stages.reproduce(self.workspace, stage, self.stop, self.say):
                return "cached"
        self.took |= plan.taken(self.workspace, self.params, stage, time.monotonic() - began)
        return "ran"

    def _judge(self, dataset: str, task: str) -> outcome.State:
        verdict = delivery.judge(self.workspace, self.params, dataset, task, self.say)
        if verdict is None:
            return "unsent"
        self.verdicts.append(verdict)
        return "ran"

    def _push(self, remote: stages.Remote) -> outcome.State:
        return remotes.push(self.workspace, remote, self.stop, self.say)

    def _report(self) -> outcome.State:
        unsent = [run.name for run in self.ledger.values() if run.state == "unsent"]
        delivery.report(self.workspace, self.params, unsent)
        create_markdown_artifact(key="retrain", markdown=delivery.table(self.workspace))
        for name, grid in delivery.grids(self.workspace, self.verdicts).items():
            # Prefect's page cannot open files of this machine, so the picture travels in the link.
            create_image_artifact(f"data:image/png;base64,{base64.b64encode(grid).decode()}", key=name)
        return "ran"


def tell(address: str | None, message: str | None, say: Say) -> None:
    """Tell somebody, where it is wished and needed. That nobody hears it is no failure of the retrain."""
    if address is None or message is None:
        return
    try:
        if address.startswith(("http://", "https://")):
            notices.post(address, message)
        else:
            block: Any = Block.load(address)
            block.notify(message)
    except Exception as error:
        say(f"The notice could not be sent ({type(error).__name__}). Check the webhook or block that is to be told.")


def _ingesting(name: str) -> str:
    return f"ingest {name}"


def _cached() -> outcome.State:
    return "cached"


def _held() -> outcome.State:
    return "held"
