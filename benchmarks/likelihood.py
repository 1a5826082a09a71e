"""Two published VAEs on MNIST by their importance-weighted bounds, with more and more codes of each image.

`python benchmarks/likelihood.py [MINUTES]` trains each for so many minutes (10) on the CPU, one thread unless
OMP_NUM_THREADS says otherwise. MNIST comes from the folder that GENFLOWS_MIRROR names; without it nothing is measured.
Prints a table and, last, one line of JSON.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gen import families
from gen.autoencoder import Autoencoder
from gen.images import Pixels, to_float
from gen.metrics.likelihood import negative_iwaes
from gen.parallel import ALONE
from gen.sources import idx
from gen.sources.official import MIRROR
from gen.training import Training, begin

SAMPLES = (1, 8, 64, 512)
IMAGES = 1000
"""Of the test set, of which 512 codes each are decoded."""
COMMON = {
    "family": "vae", "dataset": "mnist", "network": "mlp", "init": "random", "likelihood": "bernoulli",
    "images": 10**12, "batch": 100, "learning_rate": 0.001, "log_every": 10**12, "checkpoint_every": 10**12,
}  # fmt: skip
# name, what is its own, and what was published for it after a training of hours: nats, and how they were measured.
RECIPES: list[tuple[str, dict[str, Any], str]] = [
    (
        "784-400-40, binarised once",
        {"widths": [400], "latent_dim": 40, "binarisation": "static"},
        "89.78 by 200 codes (pythae)",
    ),
    (
        "784-200-200-50, binarised anew",
        {"widths": [200, 200], "latent_dim": 50, "binarisation": "dynamic"},
        "86.76 by 5000 codes (Burda et al. 2016)",
    ),
]


def main(minutes: float) -> None:
    """Train both, measure both, print the table and the JSON."""
    found = idx.find(Path(os.environ[MIRROR]).expanduser() / "mnist") if os.environ.get(MIRROR) else None
    if found is None:
        print(f"Nothing was measured: {MIRROR} names no folder with mnist in it.")
        return
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    train, test = images(found, "train"), images(found, "t10k")
    print(
        f"{'nats an image':34} {'epochs':>7}" + "".join(f"{f'k = {count}':>10}" for count in SAMPLES) + "   published"
    )
    results = []
    for name, own, published in RECIPES:
        training = begin(families.parse_block({**COMMON, **own}, "benchmark"), (1, 28, 28), [train], ALONE, "float32")
        end = time.perf_counter() + 60 * minutes
        while time.perf_counter() < end:
            training.step()
        bounds, epochs = measured(training, test), training.images / len(train)
        print(f"{name:34} {epochs:7.1f}" + "".join(f"{bound:10.2f}" for bound in bounds.values()) + f"   {published}")
        results.append({"model": name, "minutes": minutes, "epochs": epochs, "bounds": bounds, "published": published})
    print(json.dumps({"images": IMAGES, "results": results}))


def images(found: dict[str, Path], part: str) -> Pixels:
    """All images of one part of the official files: uint8 [N, 28, 28, 1]."""
    return idx.read_idx(found[f"{part}-images-idx3-ubyte"], 3)[..., None].copy()


@torch.inference_mode()
def measured(training: Training, test: Pixels) -> dict[int, float]:
    """The bound by each number of codes: all of them are put into groups of so many."""
    network = training.average.network
    assert isinstance(network, Autoencoder)
    generator = torch.Generator().manual_seed(0)
    rows: list[Tensor] = []
    for batch in to_float(torch.from_numpy(test[:IMAGES])).split(10):
        noise = torch.randn(len(batch), SAMPLES[-1], network.latent_dim, generator=generator)
        rows.append(network.log_weights(batch, noise))
    weights = torch.cat(rows)
    return {count: float(negative_iwaes(weights.reshape(-1, count)).mean()) for count in SAMPLES}


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
