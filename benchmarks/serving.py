"""A served generator beside the same one called in process: images a second, and how long a request takes.

The default DCGAN's size (32 wide, 28 px), drawn and not trained: that costs the same. Run it in the repository:
`python benchmarks/serving.py [SECONDS]`, SECONDS for each line (5 by default). Clients, as many threads of one process,
share the machine's cores with the server. Prints a table and, last, one line of JSON.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import requests
import torch

from gen import artifact, families, files
from gen.serving.served import Served, load
from gen.tensors import write_tensors

CLIENTS = (1, 8, 32)
ASKED = (1, 16)
"""Images of one request."""
SHAPE = (1, 28, 28)
BLOCK = {
    "family": "gan", "dataset": "digits", "network": "dcgan", "init": "random", "latent_dim": 64, "width": 32,
    "images": 1, "batch": 1, "learning_rate": 0.0002,
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """What was measured with so many clients that ask for so many images each."""

    clients: int
    images: int
    requests: int
    errors: int
    requests_per_second: float
    median_ms: float
    p99_ms: float
    ratio: float
    """Images a second, served, to those of the same calls in process just before and after."""


def main(seconds: float) -> None:
    """Measure every line, and print them."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        published(folder)
        model = load(folder, "cpu")
        with serving(folder) as address:
            lines = [measure(model, address, clients, asked, seconds) for asked in ASKED for clients in CLIENTS]
    print(
        f"{'clients':>7} {'images':>7} {'requests/s':>11} {'images/s':>9} {'median ms':>10} {'p99 ms':>8} {'ratio':>6}"
    )
    for line in lines:
        rate = line.requests_per_second
        figures = f"{rate:11.1f} {rate * line.images:9.0f} {line.median_ms:10.1f} {line.p99_ms:8.1f} {line.ratio:6.2f}"
        print(f"{line.clients:7} {line.images:7} {figures}")
    print(json.dumps({"benchmark": "serving", "seconds": seconds, "lines": [asdict(line) for line in lines]}))


def published(folder: Path) -> None:
    """A model as a training publishes it, with drawn weights."""
    network = families.parse_block(BLOCK, "benchmark").build(SHAPE, torch.Generator().manual_seed(0))
    with files.fresh_folder(folder) as new:
        write_tensors(new / artifact.WEIGHTS, network.state_dict())
        facts = {"format": 1, "model": "dcgan", "family": "gan", "task": "sample", "dataset": "digits"}
        files.write_json(new / artifact.CONFIG, {**facts, "shape": SHAPE, "config": BLOCK})


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of `genflows serve`."""
    command = [sys.executable, "-m", "flows.cli", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(line for line in server.stdout if " serves at " in line).split(" serves at ")[1].split()[0]
        finally:
            server.terminate()


def measure(model: Served, address: str, clients: int, asked: int, seconds: float) -> Line:
    """So many clients for so many seconds, each asking again as soon as it is answered."""
    before = alone(model, asked, seconds / 4)
    times: list[float] = []
    failed: list[int] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        with requests.Session() as session:
            for turn in count():
                started = time.perf_counter()
                if started > end:
                    return
                body = {"n": asked, "seed": number, "start": turn * asked}
                answer = session.post(f"{address}/generate", json=body, timeout=60)
                if answer.status_code == 200 and len(answer.json()["images"]) == asked:
                    times.append(time.perf_counter() - started)
                else:
                    failed.append(answer.status_code)

    took = together(client, clients)
    rate = len(times) / took
    in_process = statistics.mean((before, alone(model, asked, seconds / 4)))
    times.sort()
    p99 = times[min(len(times) - 1, int(0.99 * len(times)))]
    median = statistics.median(times)
    return Line(clients, asked, len(times), len(failed), rate, 1e3 * median, 1e3 * p99, rate * asked / in_process)


def together(task: Callable[[int], None], threads: int) -> float:
    """Run `task` in so many threads, and return how many seconds it took."""
    started = time.perf_counter()
    running = [threading.Thread(target=task, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return time.perf_counter() - started


def alone(model: Served, asked: int, seconds: float) -> float:
    """Images a second of the model's own answers (PNG and base64 too) in this process, one after the other."""
    started, made = time.perf_counter(), 0
    while time.perf_counter() < started + seconds:
        model.generated(asked, seed=0, start=made)
        made += asked
    return made / (time.perf_counter() - started)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
