"""What a training takes in memory: images that are kept there, and images that are read from disk as they come.

`python benchmarks/memory.py [STEPS]`. Each line is a process of its own, so its peak is its own. The sets of images
are sparse files: as long as real ones, but taking no room on disk.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rounds import finish, row

from gen import families
from gen.batches import Batches
from gen.parallel import ALONE
from gen.shards import SHARD_IMAGES, Shards
from gen.training import begin

SIDE = 28
RESIDENT = 400_000
"""Images of the set that is kept in memory: 314 MB."""
STREAMED = (10_000, 100_000, 1_000_000, 10_000_000)
ROUNDS = 5
VAE = {
    "family": "vae", "network": "convolutional", "dataset": "d", "init": "random", "latent_dim": 16, "width": 16,
    "batch": 64, "learning_rate": 0.001, "images": 10**12, "log_every": 10**12, "checkpoint_every": 10**12,
}  # fmt: skip


def sparse(folder: Path, images: int) -> Shards:
    """So many black images in shards."""
    folder.mkdir()
    for number, start in enumerate(range(0, images, SHARD_IMAGES)):
        count = min(SHARD_IMAGES, images - start)
        np.lib.format.open_memmap(folder / f"{number:05d}.npy", "w+", np.uint8, (count, SIDE, SIDE, 1))
    return Shards(folder)


def measure(folder: Path, kept: bool, steps: int) -> None:
    """Train on a folder's shards, and print the peak of memory in bytes and the images a second, train and read."""
    torch.set_num_threads(1)
    config = families.parse_block(VAE, "benchmark")
    shards = Shards(folder)
    images = shards[:] if kept else shards
    training = begin(config, (1, SIDE, SIDE), [images], ALONE, "float32")
    for _ in range(20):
        training.step()
    clock = time.perf_counter()
    for _ in range(steps):
        training.step()
    trained = steps * config.batch / (time.perf_counter() - clock)
    alone = Batches([images], config.batch, 1, readers=0)
    clock = time.perf_counter()
    for step in range(steps):
        alone.at(step * config.batch)
    read = steps * config.batch / (time.perf_counter() - clock)
    print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, trained, read)


def measured(folder: Path, kept: bool, steps: int) -> tuple[float, float, float]:
    """The same, in a process of its own."""
    command = [sys.executable, __file__, "measure", str(folder), "kept" if kept else "read", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, trained, read = map(float, done.stdout.split())
    return peak, trained, read


def main(steps: int) -> None:
    """Print the table and the JSON."""
    with tempfile.TemporaryDirectory() as root:
        sets = {images: sparse(Path(root) / str(images), images) for images in (64, RESIDENT, *STREAMED)}
        print(f"{'what':52} {'median':>8}   {'range':>16} {'target':>8}")
        rounds = [
            {
                images: measured(Path(root) / str(images), images in (64, RESIDENT), steps)
                for images in (64, RESIDENT, *STREAMED)
            }
            for _ in range(ROUNDS)
        ]
        share = [(figures[RESIDENT][0] - figures[64][0]) / sets[RESIDENT].bytes for figures in rounds]
        lines = [row("kept: memory above the model's / size of the set", share, "<= 1.1")]
        first = STREAMED[0]
        for images in STREAMED:
            peaks = [figures[images][0] / figures[first][0] for figures in rounds]
            rates = [figures[images][1] / figures[first][1] for figures in rounds]
            reads = [figures[images][2] / figures[first][2] for figures in rounds]
            lines += [
                row(f"{images:,} from disk: memory / that of {first:,}", peaks, "<= 1.05"),
                row(f"{images:,} from disk: training speed / that", rates, ">= 0.9"),
                row(f"{images:,} from disk: speed of reading alone / that", reads, "-"),
            ]
        beside = [figures[STREAMED[-1]][1] / figures[RESIDENT][1] for figures in rounds]
        lines.append(row("training speed from disk / from memory", beside, "-"))
        lines.append(row("10,000,000 from disk: MB", [figures[STREAMED[-1]][0] / 1e6 for figures in rounds], "-"))
        lines.append(
            row("10,000,000 from disk: images read a second", [figures[STREAMED[-1]][2] for figures in rounds], "-")
        )
        finish(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]), sys.argv[3] == "kept", int(sys.argv[4]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
