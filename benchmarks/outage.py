"""MLflow's server is killed before, during and after a training: what that costs in speed, and in points.

`python benchmarks/outage.py [ROUNDS]`. Claim: training loses less than 5 % of its speed, and once the server is back no
point is lost or doubled; nor are the points that a follower had not sent when it died by `kill -9`. A clone in a
temporary folder, a real server on loopback, `dvc repro` of the stage with the follower beside it, and what is published
held against the journal. (Stores and followers in miniature: tests/flows/test_following.py.) Prints a table and a line
of JSON.
"""

import contextlib
import itertools
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mlflow import MlflowClient
from rounds import Rates, finish, row
from waiting import until

from flows import delivery, following, stages, versions
from flows.children import Stop
from gen import config, files
from gen.steps.evaluate import evaluate
from gen.steps.publish import publish
from gen.tracking.environment import SETTINGS, mlflow_environment
from gen.tracking.live import previews
from gen.tracking.store import connect
from gen.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
IMAGES = 24_000
"""Of one timed training: some seconds, several looks of the follower."""
UNSENT = 100
PARAMS = """\
machine: {{device: cpu, threads: 1}}
datasets:
  digits: {{source: {{kind: mnist-5k}}, size: 28, channels: 1, extractor: digits, extractor_images: 12800}}
models:
  vae: {{family: vae, dataset: digits, network: convolutional, init: random, width: 16, images: {images}, batch: 64,
        seed: {seed}, learning_rate: 0.001, log_every: 256, checkpoint_every: 12000}}
judge: {{samples: 512, seed: 0, resamples: 10}}
"""
Points = Counter[tuple[str, int, float]]


class Server:
    """An MLflow server that dies and comes back at the same address, with the same database."""

    def __init__(self, folder: Path) -> None:
        """It does not run yet."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = f"sqlite:///{folder}/server.db"
        self.process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Start it, unless it runs, and return when it answers."""
        if self.process:
            return
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", self.database]
        command += ["--artifacts-destination", str(self.folder / "kept")]
        environment = {**os.environ, **SETTINGS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, env=environment, process_group=0
            )
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=1):  # noqa: S310
                return
            time.sleep(0.1)
        raise SystemExit(f"{self.url} did not start:\n{(self.folder / 'log').read_text()}")

    def down(self) -> None:
        """Kill it with its workers, if it runs."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def followed(workspace: Workspace, say: Callable[[str], None] = lambda _: None) -> None:
    """Train as the flow does: the stage by DVC, the follower beside it."""
    stage = stages.graph(workspace)["train@vae"]
    with following.followed(workspace, stage):
        stages.reproduce(workspace, stage, Stop(), say)


class Trainings:
    """One training after another in one workspace, each from another seed."""

    def __init__(self, workspace: Workspace, server: Server) -> None:
        """Fetch and prepare the digits."""
        self.workspace, self.server = workspace, server
        self.seeds = itertools.count()
        self.done = 0
        self.next(IMAGES)
        versions.ingest(workspace, "digits", Stop(), lambda _: None)
        versions.extractor(workspace, "digits", Stop(), lambda _: None)
        graph = stages.graph(workspace)
        for stage in ("prepare@digits", "reference@digits"):
            stages.reproduce(workspace, graph[stage], Stop(), lambda _: None)

    def next(self, images: int) -> None:
        """Make what is trained another training, of so many images."""
        files.write(self.workspace.params_file, PARAMS.format(images=images, seed=next(self.seeds)))

    def rate(self, before: bool, during: bool) -> float:
        """Train with the server dead from the start, or from half of the way on; images a second."""
        self.next(IMAGES)
        self.server.down() if before else self.server.up()

        def watch(line: str) -> None:
            seen = line.partition(" / ")[0].split()[-1].replace(",", "")
            if during and seen.isdecimal() and int(seen) >= IMAGES // 2:
                self.server.down()

        followed(self.workspace, watch)
        return float(IMAGES / files.read_json(self.workspace.provenance("vae"))["seconds"])

    def published(self, *, out: bool) -> tuple[int, int, int]:
        """Publish, where the server is out in vain first: points of the journal, and of those lost and doubled."""
        self.done += 1
        params = config.load(self.workspace.params_file)
        evaluate(self.workspace, params, "vae", {})
        if out:
            self.server.down()
            state = delivery.publish(self.workspace, params, "vae", lambda _: None)
            assert state == "unsent", "published without a server"
        self.server.up()
        delivery.publish(self.workspace, params, "vae")
        store = connect(self.workspace)
        written, found = self.written(), points(store.client, publish(self.workspace, params, "vae", store))
        runs = store.client.search_runs([store.experiment])
        assert len(runs) == self.done, f"{len(runs)} runs of {self.done} trainings"
        return written.total(), (written - found).total(), (found - written).total()

    def written(self) -> Points:
        """What the journal of the finished training says."""
        return journal(self.workspace.train("vae"))

    def killed(self) -> tuple[int, int, int, int]:
        """Kill server and follower at full speed, then do it again: unsent points; all points, lost and doubled.

        The points are those of the preview, before anything is published.
        """
        self.next(4 * IMAGES)
        self.server.up()
        follower = multiprocessing.get_context("spawn").Process(target=followed, args=(self.workspace,))
        follower.start()
        folder = until(lambda: next(self.workspace.private.glob("checkpoints/vae-*[0-9a-f]/run.json"), None)).parent
        key = str(files.read_json(folder / "run.json")["key"])
        store = connect(self.workspace)
        run = until(lambda: next((run for run in previews(store, key) if points(store.client, run)), None))
        self.server.down()
        # Its database tells what arrived until then.
        sent = points(MlflowClient(self.server.database), run)
        until(lambda: (journal(folder) - sent).total() >= UNSENT)
        follower.kill()
        follower.join()
        unsent = (journal(folder) - sent).total()
        self.server.up()
        followed(self.workspace)
        (run,) = previews(store, key)
        written, found = self.written(), points(store.client, run)
        return unsent, written.total(), (written - found).total(), (found - written).total()


def journal(folder: Path) -> Points:
    """The points that a journal holds by name, images seen and value: each once."""
    return Counter(
        (f"{group}/{name}", record["images"], value)
        for record in files.Journal.read(folder / "journal.jsonl")
        for group, values in (("loss", record["losses"]), ("select", record.get("select", {})))
        for name, value in values.items()
    )


def points(client: MlflowClient, run: str) -> Points:
    """Those that MLflow holds of a run, each as often as it does."""
    names = [name for name in client.get_run(run).data.metrics if name.startswith(("loss/", "select/"))]
    return Counter((name, point.step, point.value) for name in names for point in client.get_metric_history(run, name))


WAYS = {
    "up": (False, False, False),
    "killed before": (True, False, True),
    "killed in the middle": (False, True, True),
    "killed after": (False, False, True),
}
"""Whether the server is dead from the start, from half of the way on, and when it is published."""
OUTAGES = list(WAYS)[1:]


def main(rounds: int) -> None:
    """Print the table and the JSON."""
    mlflow_environment()
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    counted: dict[str, list[tuple[int, int, int]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "-q", str(ROOT), f"{folder}/clone"], check=True)
        server = Server(Path(folder))
        os.environ["MLFLOW_TRACKING_URI"] = server.url
        try:
            trainings = Trainings(Workspace(Path(folder) / "clone"), server)
            trainings.rate(before=False, during=False)  # the first follower imports MLflow
            trainings.published(out=False)
            for number in range(rounds):
                for way in WAYS if number % 2 else reversed(WAYS):
                    before, during, out = WAYS[way]
                    rates[way].append(trainings.rate(before, during))
                    counted[way].append(trainings.published(out=out))
                    print(f"round {number}  {way:20} {rates[way][-1]:8.0f} images a second", flush=True)
            unsent, *killed = trainings.killed()
        finally:
            server.down()
    print(f"{'MLflow is':52} {'median':>8}   {'range':>16} {'target':>8}")
    lines = [row("up: images a second", rates["up"], "-")]
    lines += [row(f"{way}: speed / speed with it up", Rates(rates).ratio(way, "up"), ">= 0.95", "x") for way in OUTAGES]
    for way, counts in counted.items():
        written, lost, doubled = (sum(count) for count in zip(*counts, strict=True))
        lines.append(row(f"{way}: of {written:,} points lost or doubled", [lost + doubled], "0"))
    written, lost, doubled = killed
    what = f"follower killed too, {unsent} unsent: of {written:,} lost or doubled"
    lines.append(row(what, [lost + doubled], "0"))
    finish(lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
