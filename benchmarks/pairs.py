"""Two retrains of one workspace are started at once: exactly one trains, and nothing is damaged.

`python benchmarks/pairs.py [PAIRS]`. Claim: so it is in 100 of 100 pairs. Of five, four are retrains by hand in two
processes that have imported everything and begin within a millisecond, so that they meet at the lock and not before; in
half of those the second waits for the first instead of leaving. The fifth is one of the schedule's with one by hand as
soon as Prefect shows that one as running, or a moment later. A clone in a temporary folder, all by one `genflows up`.
What there is to train is a stage that takes a second, and in every tenth pair a model of seconds too, whose run goes to
MLflow. After each pair: how often each training's command ran (they write that down), what DVC says of each tree
that was retrained, the bytes of what is new in its cache, the runs in MLflow (one for each training of the model, none
left open), and whether git sees another tree than before. Prints a table and a line of JSON.
"""

import contextlib
import hashlib
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rounds import finish, row
from upped import Upped
from waiting import until

from flows import stages
from flows.answering import ask
from flows.environment import prefect_environment
from flows.retraining import retrain
from gen import files
from gen.errors import BusyError, UserError
from gen.tracking.environment import mlflow_environment
from gen.tracking.runs import KEY
from gen.tracking.store import connect
from gen.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
LEAVES, WAITS = "two by hand", "two by hand, the second waits"
FIRED, FIRED_WAITS = "schedule and by hand", "schedule and by hand, which waits"
WAYS = (LEAVES, WAITS, FIRED, FIRED_WAITS)
TURNS = (*2 * (LEAVES, WAITS), FIRED, *2 * (LEAVES, WAITS), FIRED_WAITS, LEAVES)
"""Eleven, so that each way has its turn with the model."""
BUSY = str(BusyError.exit_code)
PARAMS = """\
machine: {{device: cpu, threads: 1}}
datasets:
  digits: {{source: {{kind: mnist-5k}}, size: 28, channels: 1, extractor: digits, extractor_images: 6400}}
models:
  vae: {{family: vae, dataset: digits, network: convolutional, init: random, latent_dim: 4, width: 4, images: 512,
        batch: 32, seed: {seed}, learning_rate: 0.001, log_every: 128, checkpoint_every: 256}}
judge: {{samples: 512, seed: 0, resamples: 10}}
"""
TRAIN = "cmd: python -m gen train ${key}"
COUNTED = "cmd: echo ${key} >> .genflows/trained && python -m gen train ${key}"
QUICK = """
  quick:
    cmd: echo quick >> .genflows/trained && sleep 1 && mkdir -p runs && cp quick.yaml runs/quick
    params:
      - quick.yaml:
          - seed
    outs:
      - runs/quick
"""
MODEL = 10
"""In each so manieth pair the model is trained too."""


class User:
    """A process that retrains by hand, in this environment, as often as it is told to."""

    def __init__(self, workspace: Workspace) -> None:
        """Start it."""
        spawn = multiprocessing.get_context("spawn")
        self.told, told = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(workspace, told), daemon=True)
        self.process.start()

    def retrain(self, *, wait: bool = False, at: float = 0) -> None:
        """Let it begin, at a moment of the monotonic clock, which all processes of a machine share."""
        self.told.send((wait, at))

    def left(self) -> str:
        """What `genflows retrain` would have left with."""
        return str(self.told.recv())


def _serve(workspace: Workspace, told: Connection) -> None:
    os.chdir(workspace.root)
    prefect_environment(workspace)
    import flows.pipeline  # noqa: F401

    with contextlib.suppress(EOFError):
        while True:
            wait, at = told.recv()
            time.sleep(max(0, at - time.monotonic()))
            try:
                told.send(retrain(workspace, ingest=False, wait=wait, say=lambda _: None).exit_code)
            except UserError as error:
                told.send(error.exit_code)


@dataclass(frozen=True)
class Pair:
    """What became of two retrains that were started at once."""

    way: str
    seconds: float
    trained: dict[str, int]
    """How often each command ran that had something to train."""
    ended: tuple[str, str]
    """How each ended: exit codes, and for the schedule's the state that Prefect shows."""
    damage: list[str]
    """What is not as it should be afterwards."""

    @property
    def once(self) -> bool:
        """Whether there was one training of each, and no other."""
        return set(self.trained.values()) == {1}


class Arena:
    """A clone in which all is up and trained once."""

    def __init__(self, folder: Path) -> None:
        """Clone it; `begin` does the rest."""
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        self.workspace = Workspace(folder)
        self.tree = Workspace(self.workspace.private / "worktree")
        own = {"PYTHONPATH": str(folder), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
        self.upped = Upped(self.workspace, os.environ | own)
        self.verified: set[Path] = set()
        self.users: list[User] = []

    def begin(self) -> None:
        """Bring it up, train once, and commit what there is."""
        graph = self.workspace.root / "dvc.yaml"
        files.write(graph, graph.read_text().replace(TRAIN, COUNTED) + QUICK)
        self.next(0)
        for done in (self.upped("retrain"), self.upped.up()):
            assert done.returncode == 0, done.stdout + done.stderr
        os.environ["PREFECT_API_URL"] = self.upped.api
        self.users = [User(self.workspace) for _ in range(2)]
        self.git("add", "--all")
        self.git("-c", "user.name=pairs", "-c", "user.email=pairs@localhost", "commit", "-q", "-m", "Trained once")

    def next(self, seed: int) -> None:
        """Let there be something to train."""
        files.write(self.workspace.root / "quick.yaml", f"seed: {seed}\n")
        if seed % MODEL == 0:
            files.write(self.workspace.params_file, PARAMS.format(seed=seed))

    def git(self, *arguments: str) -> str:
        """What git says of the user's tree."""
        return subprocess.run(
            ["git", *arguments], cwd=self.workspace.root, check=True, capture_output=True, text=True
        ).stdout

    def pair(self, number: int, way: str) -> Pair:
        """Start two retrains at once, wait for both, and look at what there is then."""
        self.next(number)
        trained, seen, lock = self.trained(), self.seen(), self.lock()
        clock = time.monotonic()
        waits = way in (WAITS, FIRED_WAITS)
        if way in (FIRED, FIRED_WAITS):
            fired = until(self.upped.fire)["id"]
            until(lambda: self.state(fired) == "RUNNING")
            time.sleep(random.Random(number).uniform(0, 0.2))  # noqa: S311
            self.users[0].retrain(wait=waits)
            second = self.users[0].left()
            first = until(lambda: self.ended(fired), 600)
        else:
            soon = time.monotonic() + 0.2
            self.users[0].retrain(at=soon)
            self.users[1].retrain(at=soon, wait=waits)
            first, second = (user.left() for user in self.users)
        seconds = time.monotonic() - clock
        damage = [*self.unexpected(way, first, second), *self.damaged((first, second))]
        if self.seen() != seen:
            damage.append("git sees another tree")
        if "0" not in (first, second) and self.lock() != lock:
            damage.append("dvc.lock was changed by a retrain elsewhere")
        asked = {"quick": 0} | ({"vae": 0} if number % MODEL == 0 else {})
        return Pair(way, seconds, asked | (self.trained() - trained), (first, second), damage)

    def unexpected(self, way: str, first: str, second: str) -> Iterator[str]:
        """Endings that are not as they should be."""
        allowed = {
            LEAVES: [("0", BUSY), (BUSY, "0")],
            WAITS: [("0", "0"), (BUSY, "0")],
            FIRED: [("COMPLETED", "0"), ("COMPLETED", BUSY)],
            FIRED_WAITS: [("COMPLETED", "0")],
        }
        if (first, second) not in allowed[way]:
            yield f"they ended with {first} and {second}"

    def damaged(self, ended: tuple[str, str]) -> Iterator[str]:
        """What is damaged in the trees that were retrained, in DVC's cache, and in MLflow."""
        for ending, tree in (("0", self.workspace), ("COMPLETED", self.tree)):
            if ending in ended and (changed := stages.changed(tree)):
                yield f"DVC finds {', '.join(changed)} changed in {tree.root.name}"
        yield from (f"{path} is not what its name says" for path in self.fresh_objects() if not _is_whole(path))
        store = connect(self.workspace)
        runs = store.client.search_runs([store.experiment])
        keys = Counter(run.data.tags[KEY] for run in runs if KEY in run.data.tags)
        if set(keys.values()) != {1} or len(keys) != self.trained()["vae"]:
            yield f"MLflow has {keys.total()} runs of {len(keys)} trainings, {self.trained()['vae']} were made"
        if stuck := [run.info.run_name for run in runs if run.info.status != "FINISHED"]:
            yield f"MLflow shows as not finished: {', '.join(stuck)}"

    def fresh_objects(self) -> Iterator[Path]:
        """Files of DVC's cache that nobody has looked at yet."""
        found = {path for path in (self.workspace.root / ".dvc/cache/files/md5").glob("*/*") if path.is_file()}
        yield from sorted(found - self.verified)
        self.verified |= found

    def trained(self) -> Counter[str]:
        """How often each training's command ran."""
        return Counter((self.workspace.private / "trained").read_text().split())

    def seen(self) -> tuple[str, ...]:
        """The user's tree as git sees it; what a retrain by hand writes into dvc.lock aside."""
        rest = ("--", ".", ":!dvc.lock")
        told = self.git("status", "--porcelain", *rest), self.git("diff", "--binary", "HEAD", *rest)
        return (*told, self.git("rev-parse", "HEAD"), self.git("for-each-ref", "refs/heads", "refs/stash"))

    def lock(self) -> bytes:
        """The user's dvc.lock."""
        return (self.workspace.root / "dvc.lock").read_bytes()

    def state(self, run: str) -> str:
        """How a retrain of the schedule stands."""
        return str(ask(f"{self.upped.api}/flow_runs/{run}")["state_type"])

    def ended(self, run: str) -> str | None:
        """How it ended; None while it has not."""
        state = self.state(run)
        return state if state in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED") else None

    def end(self) -> list[str]:
        """What is damaged after all: nothing is left to train, DVC has nothing to do, every object is whole."""
        self.verified.clear()
        trained = self.trained()
        self.users[0].retrain()
        damage = [*self.damaged((self.users[0].left(), ""))]
        if self.trained() != trained:
            damage.append("there was something left to train")
        dvc = [sys.executable, "-m", "dvc", "repro"]
        done = subprocess.run(dvc, cwd=self.workspace.root, env=self.upped.environment, capture_output=True, text=True)
        if "up to date" not in done.stdout:
            damage.append(f"`dvc repro` had something to do: {done.stdout} {done.stderr}")
        return damage


def _is_whole(path: Path) -> bool:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == path.parent.name + path.stem


def main(count: int) -> None:
    """Print the table and the JSON."""
    mlflow_environment()
    pairs: list[Pair] = []
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena(Path(folder) / "clone")
        try:
            arena.begin()
            for number in range(count):
                pairs.append(arena.pair(number + 1, TURNS[number % len(TURNS)]))
                print(f"pair {number + 1}  {pairs[-1]}", flush=True)
            left = arena.end()
        finally:
            arena.upped("down")
    print(f"{'two retrains at once':52} {'median':>8}   {'range':>16} {'target':>8}")
    lines: list[dict[str, Any]] = []
    for way in WAYS:
        found = [pair for pair in pairs if pair.way == way]
        if not found:
            continue
        lines.append(row(f"{way}: s until both have ended", [pair.seconds for pair in found], "-"))
        lines.append(row(f"{way}: of {len(found)}, trained once", [sum(p.once for p in found)], str(len(found))))
        lines.append(row(f"{way}: of {len(found)}, damaged", [sum(bool(p.damage) for p in found)], "0"))
        print(f"{'':4}ended with: {dict(Counter(' and '.join(pair.ended) for pair in found))}")
    lines.append(row("after all: found damaged", [len(left)], "0"))
    print("\n".join(left))
    finish(lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
