"""`genflows serve` beside `mlflow models serve` with the same generator: images a second, and how long requests take.

`python benchmarks/serving.py [SECONDS] [REQUESTS]` in the repository: SECONDS for each line (5 by default). Clients, as
many threads of one process, share the machine's cores with the server; the two servers take turns. Both are checked to
answer with the same images first. Then so many requests (10,000 by default) by ApacheBench, where it is installed
(Debian: apache2-utils). Prints a table and, last, one line of JSON.
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import requests
import torch
from models import published

from gen.serving.served import Served, load

CLIENTS = (1, 8, 32)
ASKED = (1, 16)
"""Images of one request."""


@dataclass(frozen=True)
class Server:
    """One that answers, and how it is asked."""

    name: str
    url: str
    body: Callable[[int, int], dict[str, Any]]
    """Of a request for so many images of a seed."""
    images: Callable[[Any], list[str]]
    """The PNGs (base64) of an answer."""


@dataclass(frozen=True)
class Line:
    """What was measured of one server, with so many clients that ask for so many images each."""

    server: str
    clients: int
    images: int
    requests: int
    errors: int
    images_per_second: float
    median_ms: float
    p99_ms: float


def main(seconds: float, wanted: int) -> None:
    """Measure every line, and print them."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch) / "model"
        published(folder)
        model = load(folder, "cpu")
        servers = [stack.enter_context(ours(folder)), stack.enter_context(mlflows(folder))]
        require_equal(servers)
        shown = (
            f"{'server':10} {'clients':>7} {'images':>7} {'images/s':>9} {'median ms':>10} {'p99 ms':>8} {'errors':>7}"
        )
        print(shown)
        lines = []
        for asked in ASKED:
            print(f"{'in process':10} {'-':>7} {asked:7} {alone(model, asked, seconds):9.0f}")
            for clients in CLIENTS:
                for server in servers:
                    line = measure(server, clients, asked, seconds)
                    figures = f"{line.images_per_second:9.0f} {line.median_ms:10.1f} {line.p99_ms:8.1f} {line.errors:7}"
                    print(f"{line.server:10} {line.clients:7} {line.images:7} {figures}", flush=True)
                    lines.append(line)
        counted = [by_apache(servers[0], wanted, clients) for clients in CLIENTS] if shutil.which("ab") else []
    print(json.dumps({"benchmark": "serving", "lines": [asdict(line) for line in lines], "ab": counted}))


@contextmanager
def ours(folder: Path) -> Iterator[Server]:
    """`genflows serve`."""
    command = [sys.executable, "-m", "flows.cli", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if " serves at " in line)
            address = line.split(" serves at ")[1].split()[0]
            yield Server(
                "genflows",
                f"{address}/generate",
                lambda n, seed: {"n": n, "seed": seed},
                lambda answer: list(answer["images"]),
            )
        finally:
            process.terminate()


@contextmanager
def mlflows(folder: Path) -> Iterator[Server]:
    """`mlflow models serve`, on the same folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder), "--port", str(port)]
    command += ["--env-manager", "local"]
    # It starts uvicorn by its name.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    if requests.get(f"{url}/ping", timeout=5).ok:
                        break
                except requests.RequestException:
                    time.sleep(0.2)
            yield Server(
                "mlflow",
                f"{url}/invocations",
                lambda n, seed: {"dataframe_records": [{"n": n, "seed": seed}]},
                lambda answer: [row["png"] for row in answer["predictions"]],
            )
        finally:
            os.killpg(process.pid, 15)


def require_equal(servers: list[Server]) -> None:
    """Refuse to compare servers that do not give the same images."""
    answers = []
    for server in servers:
        answer = requests.post(server.url, json=server.body(5, 7), timeout=60)
        answer.raise_for_status()
        answers.append(server.images(answer.json()))
    if answers[0] != answers[1]:
        raise SystemExit("The servers give different images for one seed: there is nothing to compare.")


def measure(server: Server, clients: int, asked: int, seconds: float) -> Line:
    """So many clients for so many seconds, each asking again as soon as it is answered."""
    times: list[float] = []
    failed: list[int] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        with requests.Session() as session:
            for turn in count():
                started = time.perf_counter()
                if started > end:
                    return
                answer = session.post(server.url, json=server.body(asked, number + clients * turn), timeout=60)
                if answer.status_code == 200 and len(server.images(answer.json())) == asked:
                    times.append(time.perf_counter() - started)
                else:
                    failed.append(answer.status_code)

    took = together(client, clients)
    times.sort()
    p99 = times[min(len(times) - 1, int(0.99 * len(times)))]
    rate = len(times) * asked / took
    median = statistics.median(times)
    return Line(server.name, clients, asked, len(times), len(failed), rate, 1e3 * median, 1e3 * p99)


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
    while time.perf_counter() < started + seconds / 4:
        model.generated(asked, seed=0, start=made)
        made += asked
    return made / (time.perf_counter() - started)


def by_apache(server: Server, wanted: int, clients: int) -> dict[str, Any]:
    """So many requests for an image each, on connections that stay open, by ApacheBench."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as body:
        json.dump(server.body(1, 7), body)
        body.flush()
        command = ["ab", "-q", "-k", "-n", str(wanted), "-c", str(clients), "-p", body.name]
        done = subprocess.run(
            [*command, "-T", "application/json", server.url], capture_output=True, text=True, check=True
        )

    def number(pattern: str) -> float:
        found = re.search(pattern, done.stdout)
        return float(found[1]) if found else 0.0

    counted = {
        "clients": clients,
        "requests": number(r"Complete requests:\s+(\d+)"),
        "failed": number(r"Failed requests:\s+(\d+)") + number(r"Non-2xx responses:\s+(\d+)"),
        "requests_per_second": number(r"Requests per second:\s+([\d.]+)"),
        "p99_ms": number(r"99%\s+(\d+)"),
    }
    print(f"ab         {clients:7} {1:7} {json.dumps(counted)}", flush=True)
    return counted


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0, int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
