"""Promotions that race, a promotion under load, and how long a rollback takes: a real registry, real processes.

`python benchmarks/registry.py [RACES] [REQUESTS]` in the repository. Three versions of the default DCGAN's size are
registered: two are sound, the third was tampered with afterwards. In each race three processes, which have all looked
at the champion, promote at once: two the sound version that is not champion, one the spoiled one. Prints a table and
JSON.
"""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from itertools import count
from multiprocessing.synchronize import Barrier
from pathlib import Path

import requests
from models import published
from rounds import finish, row

from gen import files
from gen.errors import UserError
from gen.tracking.environment import mlflow_environment
from gen.workspace import Workspace

mlflow_environment()

from gen.tracking import promotion, registry  # noqa: E402 - MLflow reads its settings when it is imported
from gen.tracking.store import Store, connect  # noqa: E402

NAME = "digits-sample"
RACERS = 3
SPOILED = "3"
ROLLBACKS = 5
CLIENTS = 8
PARAMS = """\
machine: {device: cpu}
datasets: {digits: {source: {kind: mnist-5k}, size: 28, channels: 1, extractor: digits}}
models:
  gan: {family: gan, dataset: digits, network: dcgan, init: random, images: 1, batch: 1, learning_rate: 0.0002}
"""
GENFLOWS = [sys.executable, "-m", "flows.cli"]


def main(races: int, wanted: int) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        files.write(root / "params.yaml", PARAMS)
        files.write(root / "dvc.yaml", "stages: {}\n")
        store = connect(Workspace(root))
        for number in (1, 2, 3):
            registered(store, root / f"model-{number}", number)
        promotion.promote(store, registry.version(store, NAME, "1"), None, "benchmark")
        spoil(store, registry.version(store, NAME, SPOILED))
        wrong, doubled = raced(root, store, races)
        dropped, seconds = promoted_under_load(root, store, wanted)
        rollbacks = [rolled_back(root) for _ in range(ROLLBACKS)]
    finish(
        [
            row(f"of {races} races: champion that did not pass", [wrong], "0"),
            row(f"of {races} races: not exactly one move", [doubled], "0"),
            row(f"of {wanted} requests in a promotion: dropped", [dropped], "0"),
            row("from promotion to the first answer of the new one", [seconds], "-", "s"),
            row("rollback, the whole command", rollbacks, "< 4 s", "s"),
        ]
    )


def registered(store: Store, folder: Path, seed: int) -> None:
    """Register a drawn model."""
    published(folder, seed)
    run = store.client.create_run(store.experiment).info.run_id
    store.client.log_artifacts(run, str(folder), "model")
    registry.register(store, NAME, f"key-{seed}", run, files.manifest_digest(folder), {"task": "sample"})


def spoil(store: Store, version: registry.Version) -> None:
    """Change one byte of the weights that the registry holds."""
    held = store.private / "artifacts" / version.run / "artifacts" / "model" / "model.safetensors"
    with held.open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\x7f")


def raced(root: Path, store: Store, races: int) -> tuple[int, int]:
    """In how many races an alias was left on the spoiled version, and in how many it was not moved once."""
    processes = multiprocessing.get_context("spawn")
    barrier = processes.Barrier(RACERS + 1)
    racers = [processes.Process(target=race, args=(root, number, races, barrier)) for number in range(RACERS)]
    for racer in racers:
        racer.start()
    wrong = doubled = 0
    for _ in range(races):
        before = registry.champion(store, NAME)
        barrier.wait()  # all have looked
        barrier.wait()  # all have tried
        after, last = registry.champion(store, NAME), promotion.history(store, NAME)[-1]
        assert before is not None
        assert after is not None
        wrong += SPOILED in (str(after.number), str(last["after"]))
        doubled += (last["before"], last["after"]) != (before.number, after.number) or before.number == after.number
        barrier.wait()
    for racer in racers:
        racer.join()
    return wrong, doubled


def race(root: Path, number: int, races: int, barrier: Barrier) -> None:
    """One process of every race; the last one promotes what did not pass."""
    store = connect(Workspace(root))
    for _ in range(races):
        champion = registry.champion(store, NAME)
        assert champion is not None
        mine = SPOILED if number == RACERS - 1 else str(3 - champion.number)
        version = registry.version(store, NAME, mine)
        barrier.wait()
        with contextlib.suppress(UserError):
            promotion.promote(store, version, champion.number, "race")
        barrier.wait()
        barrier.wait()


def promoted_under_load(root: Path, store: Store, wanted: int) -> tuple[int, float]:
    """Of so many requests with a promotion among them: those that were dropped, and when the new one answered first."""
    command = [*GENFLOWS, "serve", f"{NAME}@champion", "--port", "0", "--every", "0.5"]
    champion = registry.champion(store, NAME)
    assert champion is not None
    versions: list[tuple[float, str]] = []
    dropped: list[str] = []
    numbers = count()
    with subprocess.Popen(command, cwd=root, env=environment(), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = next(line for line in server.stdout if " serves at " in line).split(" serves at ")[1].split()[0]
        threading.Thread(target=server.stdout.read, daemon=True).start()

        def client() -> None:
            while (number := next(numbers)) < wanted or not versions_differ(versions):
                try:
                    answer = requests.post(f"{address}/generate", json={"n": 1, "seed": number}, timeout=60)
                    versions.append((time.perf_counter(), answer.json()["version"]))
                except (requests.RequestException, KeyError) as error:
                    dropped.append(str(error))

        clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in clients:
            thread.start()
        while len(versions) + len(dropped) < wanted // 4:
            time.sleep(0.01)
        moved = time.perf_counter()
        promotion.promote(store, registry.version(store, NAME, str(3 - champion.number)), champion.number, "load")
        for thread in clients:
            thread.join()
        server.terminate()
    new = f"{NAME}/{3 - champion.number}"
    return len(dropped), min(when for when, version in versions if version == new) - moved


def versions_differ(versions: list[tuple[float, str]]) -> bool:
    """Whether the new one has answered: requests go on until then."""
    return len({version for _, version in versions}) > 1


def rolled_back(root: Path) -> float:
    """Seconds of `genflows rollback`, from its start to its end."""
    clock = time.perf_counter()
    subprocess.run([*GENFLOWS, "rollback", NAME], cwd=root, env=environment(), check=True, capture_output=True)
    return time.perf_counter() - clock


def environment() -> dict[str, str]:
    """With the repository's packages, from any folder."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
