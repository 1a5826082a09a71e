"""A week of `genflows up --every 10m`, in which nobody looks: what it does, and what it leaves on the disk.

`python benchmarks/week.py [DAYS]`. Claim: nothing grows without bound with firings that find nothing to do. A workspace
of drawn images with a small VAE; a real Prefect server with the schedule, its automations and its vacuum; each firing
is the real one, called in this process instead of in one of its own. New images come three times a day; on some days a
retrain is killed (`kill -9`) in the middle of its training. The wall clock of all processes is moved to the next firing
(clock.c, which takes a C compiler), the times of files by hand. After that the machine is left alone for a month, and
fires twice more. Prints a line a day, the table and a line of JSON.
"""

import contextlib
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
OFFSET = "CLOCK_OFFSET"
"""The variable that names the file with what the clock is ahead (clock.c)."""
EVERY = timedelta(minutes=10)
A_DAY = timedelta(days=1) // EVERY
ARRIVALS = (20, 65, 110)
"""The firings of each day before which images arrive."""
CRASHES = {0: 65, 3: 20, 6: 110}
"""The firing that is killed, by the day."""
MONTH = timedelta(days=31)
PATIENCE = 240.0
"""Seconds that the server may take to plan what is due."""
PARAMS = """\
machine: {device: cpu, threads: 1}
datasets:
  boxes: {source: {kind: folder, path: images}, size: 16, channels: 1, extractor: boxes, feature_dim: 16,
          extractor_images: 1280}
models:
  vae: {family: vae, dataset: boxes, network: convolutional, init: random, latent_dim: 4, width: 4, images: 2048,
        batch: 16, learning_rate: 0.003, log_every: 128, checkpoint_every: 256}
judge: {samples: 64, seed: 0, resamples: 10}
promotion: {minimum_effect: {boxes: 0}}
"""
SAID = {
    "nothing had changed": "nothing had changed",
    "trained": "trained vae",
    "promoted": ": promote.",
    "asked for twice": "Another retrain has gone on with it already",
}
"""What is counted, by what a retrain says of itself."""
TABLES = ("flow_run", "flow_run_state", "task_run", "task_run_state", "log", "artifact", "events", "event_resources")


class Clock:
    """The wall clock of all processes of the week: the real one and an offset, in a file that clock.c reads."""

    def __init__(self) -> None:
        self.file = Path(os.environ[OFFSET])
        self.offset = timedelta()

    def move(self, moment: datetime) -> None:
        """Let it be that moment, or leave it where that has passed."""
        ahead = moment - datetime.now(UTC)
        if ahead > timedelta():
            self.offset += ahead
            with self.file.open("r+b") as file:  # the same file: it is mapped
                file.write(struct.pack("q", self.offset // timedelta(microseconds=1) * 1000))

    def stamp(self, *folders: Path) -> None:
        """Let files that the kernel dated with the real clock have been written now."""
        now = time.time()
        real = now - self.offset.total_seconds()
        for path in (path for folder in folders for path in folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime <= real + 1:
                    os.utime(path, (now, now), follow_symlinks=False)


class Week:
    """One workspace, its server, and what was counted."""

    def __init__(self, root: Path) -> None:
        from tests.conftest import make_workspace
        from tests.flows.boxes import add_images
        from tests.gen.fabricated import drawn

        self.clock = Clock()
        self.workspace = make_workspace(root, PARAMS)
        self.images = lambda number, count: add_images(self.workspace, drawn(count, seed=number), f"at-{number}")
        self.images(0, 400)
        self.counted: Counter[str] = Counter()
        self.seconds: list[float] = []

    def begin(self, api: str) -> None:
        """Make the schedule, as `genflows schedule` does."""
        from prefect.runner import Runner
        from prefect.types.entrypoint import EntrypointType

        from flows import automations
        from flows.firing import scheduled
        from flows.timetable import checked
        from flows.when import When

        self.api, self.flow, name = api, scheduled, self.workspace.root.name
        self.deployment = Runner(name=name).add_flow(
            scheduled,
            name=name,
            schedule=checked(self.workspace, When(every="10m"), lambda _: None),
            parameters={"workspace": str(self.workspace.root)},
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        automations.install(self.workspace, self.deployment)
        self.due(datetime.now(UTC) + EVERY)  # it plans what it has just heard of, before it is another time

    def due(self, before: datetime) -> Any:
        """The retrain that the server has planned for then, as soon as it has."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := self._planned(before):
                return found
            time.sleep(0.5)
        raise SystemExit("The server has planned nothing for this moment.")

    def _planned(self, before: datetime) -> Any:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas import filters
        from prefect.client.schemas.objects import StateType
        from prefect.client.schemas.sorting import FlowRunSort

        planned = filters.FlowRunFilter(
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            expected_start_time=filters.FlowRunFilterExpectedStartTime(before_=before),
        )
        with get_client(sync_client=True) as client:
            sort = FlowRunSort.EXPECTED_START_TIME_ASC
            return next(iter(client.read_flow_runs(flow_run_filter=planned, sort=sort, limit=1)), None)

    def fire(self, moment: datetime, *, kill: bool) -> None:
        """Let it be that moment, and do all that is due then."""
        self.clock.move(moment)
        run = self.due(datetime.now(UTC))
        if kill:
            self.counted["killed" if self._kill(str(run.id)) else "not killed"] += 1
            self.clock.move(datetime.now(UTC) + timedelta(seconds=100))
            time.sleep(20)  # the server misses its signs of life
            run = self._planned(datetime.now(UTC))
        while run:
            self._retrain(run)
            run = self._planned(datetime.now(UTC))

    def _retrain(self, run: Any) -> None:
        from prefect.flow_engine import run_flow

        clock = time.perf_counter()
        state = run_flow(self.flow, flow_run=run, parameters=run.parameters, return_type="state")
        self.seconds.append(time.perf_counter() - clock)
        said = str(state.message)
        if "-v" in sys.argv:
            print(f"{datetime.now(UTC):%d %H:%M} {self.seconds[-1]:6.1f} s  {run.name}: {said}", flush=True)
        self.counted["firings"] += 1
        self.counted[state.type.value.lower()] += 1
        self.counted["gone on after a crash"] += run.parameters.get("reason") == "crash"
        for what, words in SAID.items():
            self.counted[what] += words in said

    def _kill(self, run: str) -> bool:
        """Begin it in a process of its own, and kill that in the middle of the training; False where it ended first."""
        before = set(self.workspace.private.glob("checkpoints/*"))
        command = [sys.executable, "-m", "prefect", "flow-run", "execute", run]
        process = subprocess.Popen(
            command, cwd=self.workspace.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 240
        while not set(self.workspace.private.glob("checkpoints/*/journal.jsonl")) - before:
            if process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
            each.kill()
        process.wait()
        time.sleep(15)  # what it had started sees that it is gone, and leaves
        return process.returncode == -signal.SIGKILL

    def sizes(self) -> dict[str, float]:
        """MiB on the disk."""
        private, root = self.workspace.private, self.workspace.root
        places = {
            "Prefect's database": [*private.glob("prefect/prefect.db*")],
            "MLflow's database": [*private.glob("mlflow.db*")],
            "MLflow's artifacts": [private / "artifacts"],
            "DVC's cache": [root / ".dvc" / "cache"],
            "git": [root / ".git"],
            "the rest of .genflows": [
                path for path in private.iterdir() if path.name not in ("prefect", "artifacts", "mlflow.db")
            ],
            "all": [root],
        }
        return {name: round(sum(map(_mebibytes, paths)), 2) for name, paths in places.items()}

    def rows(self) -> dict[str, int]:
        """Of Prefect's tables."""
        path = self.workspace.private / "prefect" / "prefect.db"
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
            names = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
            return {name: database.execute(f"select count(*) from {name}").fetchone()[0] for name in names}  # noqa: S608


def aligned(moment: datetime) -> datetime:
    """The next moment at which the schedule fires: its intervals are counted from midnight."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (1 + (moment - midnight) // EVERY) * EVERY


def _mebibytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    total = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            total += 0 if file.is_dir() else file.lstat().st_size
    return total / (1 << 20)


def main(days: float) -> None:
    """Live through the days, and print."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.environment import prefect_environment
    from flows.server import prefect_server
    from gen.tracking.environment import mlflow_environment

    with tempfile.TemporaryDirectory() as folder:
        week = Week(Path(folder) / "week")
        prefect_environment(week.workspace)
        mlflow_environment()
        os.chdir(week.workspace.root)
        days_told = []
        with prefect_server(week.workspace, schedules=True) as server:
            server.wait()
            os.environ |= {"PREFECT_API_URL": server.url, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
            with temporary_settings({PREFECT_API_URL: server.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 30}):
                week.begin(server.url)
                start = aligned(datetime.now(UTC))

                def tell(what: str) -> None:
                    memory = psutil.Process(server.process.pid).memory_info().rss / (1 << 20) if server.process else 0
                    week.clock.stamp(week.workspace.root / ".dvc" / "cache", week.workspace.private / "checkpoints")
                    told = {"day": what, **week.sizes(), "server's memory": round(memory), **week.counted}
                    told |= {"seconds": round(sum(week.seconds)), "rows": week.rows()}
                    days_told.append(told)
                    print(json.dumps(told), flush=True)

                for number in range(round(days * A_DAY)):
                    day, place = divmod(number, A_DAY)
                    if place in ARRIVALS:
                        week.images(number, 20)
                    week.fire(start + number * EVERY, kill=CRASHES.get(day) == place)
                    if place == A_DAY - 1 or number == round(days * A_DAY) - 1:
                        tell(f"{(number + 1) / A_DAY:.3g}")
                week.fire(aligned(datetime.now(UTC) + MONTH), kill=False)
                time.sleep(20)  # the vacuum is due, for the clock was moved
                tell("a month later")
                week.fire(aligned(datetime.now(UTC)), kill=False)
                tell("and once more")
                EventsWorker.drain_all(timeout=20)
                APILogWorker.drain_all(timeout=20)
    show(days_told)


def show(days: list[dict[str, Any]]) -> None:
    """The table, and all of it as JSON."""
    columns = [name for name in days[-1] if name not in ("rows", "seconds")]
    for name in columns:
        print(f"{name:24}", *(f"{day.get(name, 0)!s:>14}" for day in days))
    for name in TABLES:
        print(f"{f'rows of {name}':24}", *(f"{day['rows'][name]:14,}" for day in days))
    print(json.dumps(days))


def with_clock() -> None:
    """Begin anew with a clock that can be moved, where it cannot yet."""
    if OFFSET in os.environ:
        return
    with tempfile.TemporaryDirectory() as folder:
        offset, library = Path(folder) / "offset", Path(folder) / "clock.so"
        offset.write_bytes(struct.pack("q", 0))
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O2", "-o", library, Path(__file__).with_name("clock.c")], check=True
        )
        settings = {"LD_PRELOAD": str(library), OFFSET: str(offset), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        # It plans an hour ahead, of which six firings are over in less than the minute between two looks.
        settings["PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS"] = "10"
        settings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, *sys.argv]
        raise SystemExit(subprocess.run(command, env=os.environ | settings, check=False).returncode)


if __name__ == "__main__":
    with_clock()
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 7)
