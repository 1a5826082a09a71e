"""Two published VAEs on MNIST by their importance-weighted bounds, with more and more codes of each image.

`python benchmarks/likelihood.py [MINUTES] [CODES]` trains each for about so many minutes (10) on the CPU, one thread
unless OMP_NUM_THREADS says otherwise: the first seconds are timed, and the rate falls over the images that fit. All
images of the test set are measured, by at most CODES codes of each, else by those of the published figures. MNIST comes
from the folder that GENFLOWS_MIRROR names; without it nothing is measured. Prints a table and, last, one line of JSON.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from gen import families
from gen.autoencoder import Autoencoder
from gen.images import Pixels, to_float
from gen.metrics.likelihood import negative_iwaes
from gen.parallel import ALONE
from gen.sources import idx
from gen.sources.official import MIRROR
from gen.training import Training, begin, fit

SAMPLES = (1, 5, 50, 200, 5000)
"""Codes of each image behind a bound, up to those of the published figure."""
TIMED = 300
"""Steps by which the images of the budget are told."""
COMMON: dict[str, Any] = {
    "family": "vae", "dataset": "mnist", "network": "mlp", "init": "random", "likelihood": "bernoulli",
    "batch": 100, "log_every": 10**12, "checkpoint_every": 10**12,
}  # fmt: skip
# name, passes of the published training, what is its own, and what was published: codes and nats.
RECIPES: list[tuple[str, int, dict[str, Any], tuple[int, str]]] = [
    (
        "784-400-40, binarised once",
        500,
        # As it was published, for what is binarised once is soon known by heart.
        {"widths": [400], "latent_dim": 40, "binarisation": "static", "learning_rate": 0.0001},
        (200, "89.78 (pythae)"),
    ),
    (
        "784-200-200-50, binarised anew",
        3280,
        {
            "widths": [200, 200],
            "latent_dim": 50,
            "binarisation": "dynamic",
            "learning_rate": {"value": 0.001, "to": 0.00001, "shape": "cosine"},
        },
        (5000, "86.76 (Burda et al. 2016)"),
    ),
]


def main(minutes: float, most: int) -> None:
    """Train both, measure both by at most so many codes, print the table and the JSON."""
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
    for name, passes, own, (codes, published) in RECIPES:
        training = trained({**COMMON, **own}, train, minutes, passes)
        bounds, epochs = measured(training, test, min(codes, most)), training.images / len(train)
        columns = "".join(f"{bounds[count]:10.2f}" if count in bounds else " " * 10 for count in SAMPLES)
        print(f"{name:34} {epochs:7.1f}{columns}   {published}", flush=True)
        results.append({"model": name, "minutes": minutes, "epochs": epochs, "bounds": bounds, "published": published})
    print(json.dumps({"images": len(test), "results": results}))


def trained(block: dict[str, Any], train: Pixels, minutes: float, passes: int) -> Training:
    """A training at its end: of the images that fit into so many minutes, or of so many passes if those are fewer."""

    def run(images: int) -> Training:
        config = families.parse_block({**block, "images": images}, "benchmark")
        training = begin(config, (1, 28, 28), [train], ALONE, "float32")
        for _ in fit(training):
            pass
        return training

    start = time.perf_counter()
    timed = TIMED * int(block["batch"])
    run(timed)
    fits = int(60 * minutes * timed / (time.perf_counter() - start))
    return run(min(fits, passes * len(train)))


def images(found: dict[str, Path], part: str) -> Pixels:
    """All images of one part of the official files: uint8 [N, 28, 28, 1]."""
    return idx.read_idx(found[f"{part}-images-idx3-ubyte"], 3)[..., None].copy()


@torch.inference_mode()
def measured(training: Training, test: Pixels, codes: int) -> dict[int, float]:
    """The bound by each number of codes up to `codes`, in nats: the mean over all images, each by its first codes."""
    network = training.average.network
    assert isinstance(network, Autoencoder)
    generator = torch.Generator().manual_seed(0)
    counts = [count for count in SAMPLES if count <= codes]
    sums = torch.zeros(len(counts), dtype=torch.float64)
    for batch in to_float(torch.from_numpy(test)).split(1000 // codes + 1):
        noise = torch.randn(len(batch), codes, network.latent_dim, generator=generator)
        weights = network.log_weights(batch, noise).double()
        sums += torch.stack([negative_iwaes(weights[:, :count]).sum() for count in counts])
    return dict(zip(counts, (sums / len(test)).tolist(), strict=True))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, int(sys.argv[2]) if len(sys.argv) > 2 else SAMPLES[-1])
