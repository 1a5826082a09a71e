"""Ingest and prepare of many PNG files: by one process, by two, and by a Dask cluster of two workers on this machine.

`python benchmarks/images.py [IMAGES]` (100,000). Each way is a process of its own and starts from the same files; the
bytes that they make have to be equal. Memory is the peak of the process that leads, and of the largest of the others,
for all of the images and for a tenth of them. At last a worker of the cluster is killed in the middle.
"""

import contextlib
import functools
import json
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from cluster import Cluster, cluster
from PIL import Image

from gen import config, files, workers
from gen.steps.ingest import ingest
from gen.steps.prepare import prepare
from gen.workers import Hire
from gen.workspace import Workspace

SIDE, SIZE = 80, 64
"""Of the files and of what is prepared of them, in pixels."""
WAYS = ("one process", "two processes", "Dask, two workers")


def main(images: int) -> None:
    """Print the table and the JSON."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="genflows-") as root, cluster(Path(root), 2) as dask:
        for count in (images // 10, images):
            draw(Path(root) / f"images-{count}", count)
        print(f"{'way':34} {'images':>8} {'ingest/s':>9} {'prepare/s':>9} {'peak MB':>8} {'others MB':>9}")
        for count in (images // 10, images):
            rows += [measured(Path(root), way, count, dask) for way in WAYS]
        victim = dask.processes[-1]
        shot = threading.Timer(rows[-1]["seconds"] / 4, victim.kill)
        shot.start()
        rows.append(measured(Path(root), WAYS[-1], images, dask, "one of them killed"))
        shot.join()
        died = victim.poll() == -signal.SIGKILL
    for count in (images // 10, images):
        assert len({row["digest"] for row in rows if row["images"] == count}) == 1
    print(f"Equal bytes by all ways; the worker that was killed: {'gone' if died else 'there'}.")
    print(json.dumps(rows))


def draw(folder: Path, count: int) -> None:
    """Colour gradients with some noise, no two alike, as PNG files in a hundred folders."""
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 1, SIDE)[:, None, None]
    for number in range(count):
        begin, end = random.integers(0, 256, (2, SIDE, 3))
        pixels = (begin * ramp + end * (1 - ramp)).astype(np.uint8) ^ random.integers(0, 8, (SIDE, SIDE, 3), np.uint8)
        path = folder / f"{number % 100:02d}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)


def measured(root: Path, way: str, count: int, dask: Cluster, remark: str = "") -> dict[str, Any]:
    """One line, by a process of its own."""
    workers_there = [psutil.Process(member.pid) for member in dask.processes[1:] if member.poll() is None]
    command = [sys.executable, __file__, "measure", str(root), way, str(count), dask.address]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row = json.loads(done.stdout)
    if way == WAYS[-1]:
        row["others"] = max(_peak(member) for member in workers_there)
    name = f"{way}, {remark}" if remark else way
    print(
        f"{name:34} {count:8,} {row['ingest']:9,.0f} {row['prepare']:9,.0f} {row['peak'] / 2**20:8.0f} "
        f"{row['others'] / 2**20:9.0f}",
        flush=True,
    )
    return {"way": name, "images": count, **row}


def _peak(process: psutil.Process) -> int:
    """Bytes of memory that a process has had at most; 0 for one that is gone."""
    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        status = Path(f"/proc/{process.pid}/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    return 0


def measure(root: Path, way: str, count: int, address: str) -> None:
    """Ingest and prepare, and print figures as JSON."""
    hires: dict[str, Hire | None] = {
        WAYS[0]: None,
        WAYS[1]: functools.partial(workers.local, 2),
        WAYS[2]: functools.partial(workers.dask, address),
    }
    dataset = {"source": {"kind": "folder", "path": str(root / f"images-{count}")}}
    dataset |= {"size": SIZE, "channels": 3, "extractor": "any"}
    params = config.from_values({"datasets": {"many": dataset}, "models": {"any": {"family": "gan"}}})
    with tempfile.TemporaryDirectory(dir=root) as folder:
        workspace = Workspace(Path(folder))
        clocks = [time.perf_counter()]
        ingest(workspace, params, "many", lambda _: None, hires[way])
        clocks.append(time.perf_counter())
        prepare(workspace, params, "many", hires[way])
        clocks.append(time.perf_counter())
        # Where the images came from stands in `summary.json` alone.
        made = files.contents(workspace.raw("many")) | files.contents(workspace.prepared("many"))
        made.pop("summary.json")
    print(json.dumps({
        "ingest": count / (clocks[1] - clocks[0]),
        "prepare": count / (clocks[2] - clocks[1]),
        "seconds": clocks[2] - clocks[0],
        "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "others": 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
        "digest": files.digest(made),
    }))  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
