"""Which losses find all modes of a ring of 8 and a grid of 25, with one network and one budget for each set.

`python benchmarks/points.py [SEEDS] [SET...]` trains each recipe with so many seeds (5) on the CPU, one thread unless
OMP_NUM_THREADS says otherwise, on 10,000 points, and measures 10,000 that it generates (gen/metrics/points.py) in the
units of the plane; sliced Wasserstein is to 10,000 other real points. Prints a table, of each recipe the seeds that
found all modes, then means over seeds, and JSON.
"""

import json
import os
import sys
import time
from typing import Any

import numpy as np
import torch

from gen import families, patterns
from gen.families.base import Sampler
from gen.images import to_pixels
from gen.metrics.halves import whole
from gen.metrics.points import modes, sliced_wasserstein
from gen.noise import noise
from gen.parallel import ALONE
from gen.plane import Box
from gen.training import Training, begin, fit

COUNT = 10_000
COMMON: dict[str, Any] = {
    "family": "gan", "dataset": "points", "network": "mlp", "init": "random", "latent_dim": 2, "batch": 256,
    "widths": [128, 128, 128], "learning_rate": {"value": 0.002, "to": 0, "after": 0.3}, "beta1": 0.0, "beta2": 0.9,
    "ema_half_life": 5000,
    "log_every": 10**12, "checkpoint_every": 10**12,
}  # fmt: skip
IMAGES = {"ring": 512_000, "grid": 1_024_000}
"""Budgets: points seen."""
RECIPES: dict[str, dict[str, Any]] = {
    "non-saturating": {},
    "hinge": {"loss": "hinge"},
    "least squares": {"loss": "least-squares"},
    "relativistic, R1, R2": {"loss": "relativistic", "r1": 0.02, "r2": 0.02},
    "Wasserstein, gradient penalty": {"loss": "wasserstein", "gradient_penalty": 0.02},
}


def main(seeds: int, names: list[str]) -> None:
    """Train and measure each recipe, and print."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    print(f"{'set':5} {'recipe':30} {'all':>5} {'modes':>6} {'good':>6} {'KL':>7} {'sliced W':>9} {'seconds':>8}")
    results = []
    for name in names:
        for recipe, own in RECIPES.items():
            block = {**COMMON, "images": IMAGES[name], **own}
            found = [_trained(name, recipe, {**block, "seed": seed}) for seed in range(seeds)]
            results += found
            print(_line(name, recipe, found), flush=True)
    print(json.dumps({"count": COUNT, "seeds": seeds, "results": results}))


def _trained(name: str, recipe: str, block: dict[str, Any]) -> dict[str, Any]:
    mixture = patterns.known(name)
    assert mixture is not None
    real, others = (patterns.draw(name, COUNT, seed) for seed in (0, 1))
    box = Box.around(real)
    training = begin(families.parse_block(block, "benchmark"), (2, 1, 1), [box.inside(real)], ALONE, "float32")
    began = time.perf_counter()
    for _ in fit(training):
        pass
    seconds = time.perf_counter() - began
    made = box.outside(_generated(training))
    counted = modes(made, mixture.means, mixture.std, whole(len(made)))
    return {
        "set": name,
        "recipe": recipe,
        "seed": block["seed"],
        "modes": int(counted.found[0]),
        "of": len(mixture.means),
        "good": round(float(counted.good.mean()), 4),
        "reverse_kl": round(float(counted.reverse_kl[0]), 4),
        "sliced_wasserstein": round(sliced_wasserstein(made, others), 4),
        "seconds": round(seconds, 1),
    }


@torch.inference_mode()
def _generated(training: Training) -> Any:
    network = training.average.network.eval()
    assert isinstance(network, Sampler)
    return to_pixels(network.sample(noise(COUNT, network.noise_dim, seed=1)))


def _line(name: str, recipe: str, found: list[dict[str, Any]]) -> str:
    complete = sum(one["modes"] == one["of"] for one in found)
    keys = ("modes", "good", "reverse_kl", "sliced_wasserstein", "seconds")
    means = {key: float(np.mean([one[key] for one in found])) for key in keys}
    return (
        f"{name:5} {recipe:30} {complete:>2}/{len(found)} {means['modes']:6.1f} {means['good']:6.3f} "
        f"{means['reverse_kl']:7.3f} {means['sliced_wasserstein']:9.4f} {means['seconds']:8.1f}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:] or list(IMAGES))
