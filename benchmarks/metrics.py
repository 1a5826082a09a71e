"""Distances between the same features by ours, torchmetrics and scipy: first equal, then faster.

`python benchmarks/metrics.py [ROUNDS]`. On the CPU, two threads each unless OMP_NUM_THREADS says otherwise. Features
are drawn: 5,000 + 5,000 of 2,048 dimensions, correlated and >= 0 as a network's are. Both sides are timed from the
moments of the features (mean and covariance) on, and from the features on, in float64.
"""

import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from rounds import finish, row
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid
from torchmetrics.image.kid import KernelInceptionDistance

from gen.metrics.frechet import Gaussian, fit, frechet_distance
from gen.metrics.kernel import kernel_distance

COUNT, DIMENSION = 5000, 2048
BLOCK = 1000
"""Images that torchmetrics is given at once."""
Way = Callable[[], float]


class AsTheyAre(nn.Module):
    """Torchmetrics' extractor of features that are features already."""

    num_features = DIMENSION

    def forward(self, features: Tensor) -> Tensor:
        """[N, d] to the same."""
        return features


def drawn(seed: int, shift: float, mixing: NDArray[np.float64]) -> NDArray[np.float32]:
    """Features float32 [COUNT, DIMENSION], of which few directions carry most of the variance."""
    noise = np.random.default_rng(seed).standard_normal((COUNT, DIMENSION))
    return np.maximum(noise @ mixing / np.sqrt(DIMENSION) + shift, 0).astype(np.float32)


def by_torchmetrics(real: Tensor, made: Tensor) -> float:
    """Its Frechet distance, from features."""
    metric = FrechetInceptionDistance(feature=AsTheyAre(), input_img_size=(1, 2, 2)).set_dtype(torch.float64)
    for side, features in ((True, real), (False, made)):
        for block in features.split(BLOCK):
            metric.update(block.double(), real=side)
    return float(metric.compute())


def by_scipy(one: Gaussian, other: Gaussian) -> float:
    """As the first implementations had it: a square root of a product that is not symmetric."""
    root = np.real(scipy.linalg.sqrtm(one.covariance @ other.covariance))
    shift = one.mean - other.mean
    return float(shift @ shift + np.trace(one.covariance + other.covariance - 2 * root))


def subsets(real: Tensor, made: Tensor, subsets: int, size: int) -> float:
    """Torchmetrics' kernel distance: the mean over so many random subsets of so many images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = KernelInceptionDistance(feature=AsTheyAre(), subsets=subsets, subset_size=size)
    metric.set_dtype(real.dtype)
    metric.update(real, real=True)
    metric.update(made, real=False)
    return float(metric.compute()[0])


def taken(ways: Mapping[str, Way], rounds: int) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The value of each way, and the seconds that it took, round by round; they take turns at who goes first."""
    values: dict[str, float] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in ways if number % 2 else reversed(ways):
            clock = time.perf_counter()
            values[name] = ways[name]()
            seconds[name].append(time.perf_counter() - clock)
            print(f"round {number}  {name:52} {seconds[name][-1]:8.2f} s", flush=True)
    return values, seconds


def require_equal(values: Mapping[str, float], names: list[str], tolerance: float) -> None:
    """Refuse to compare what is not the same."""
    wanted = values[names[0]]
    for name in names:
        apart = abs(values[name] - wanted) / abs(wanted)
        print(f"{name:60} {values[name]:.12g}, {apart:.0e} apart")
        if apart > tolerance:
            raise SystemExit(f"{name} does not compute what {names[0]} does: there is nothing to compare.")


def main(rounds: int) -> None:
    """Print the table and the JSON."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    mixing = np.random.default_rng(0).standard_normal((DIMENSION, DIMENSION)) * np.geomspace(1, 0.01, DIMENSION)
    real, made = drawn(1, 0.1, mixing), drawn(2, 0.15, mixing)
    a, b = torch.from_numpy(real), torch.from_numpy(made)
    one, other = fit(real), fit(made)
    kept = Gaussian(one.mean, one.covariance, one.root)
    moments = [torch.from_numpy(side) for known in (one, other) for side in (known.mean, known.covariance)]
    # Small products first, so that nobody's first call loads a library.
    frechet_distance(fit(real[:64, :32]), fit(made[:64, :32]))
    subsets(a[:64], b[:64], 1, 32)
    ways: dict[str, Way] = {
        "moments: ours": lambda: frechet_distance(Gaussian(one.mean, one.covariance), other),
        "moments: ours, reference kept": lambda: frechet_distance(kept, other),
        "moments: torchmetrics": lambda: float(_compute_fid(*moments)),
        "moments: scipy": lambda: by_scipy(one, other),
        "features: ours": lambda: frechet_distance(fit(real), fit(made)),
        "features: ours, reference kept": lambda: frechet_distance(kept, fit(made)),
        "features: torchmetrics": lambda: by_torchmetrics(a, b),
        "kernel: ours": lambda: kernel_distance(real, made),
        "kernel: torchmetrics, 100 subsets of 1,000": lambda: subsets(a, b, 100, 1000),
    }
    values, seconds = taken(ways, rounds)
    require_equal(values, [name for name in ways if not name.startswith("kernel")], 1e-6)
    values["kernel: torchmetrics, one subset of all"] = subsets(a.double(), b.double(), 1, COUNT)
    require_equal(values, ["kernel: ours", "kernel: torchmetrics, one subset of all"], 1e-6)

    def times(ours: str, theirs: str, target: str) -> dict[str, object]:
        ratios = [slow / quick for quick, slow in zip(seconds[ours], seconds[theirs], strict=True)]
        return row(f"{ours} / {theirs.partition(': ')[2]}", ratios, target, "x")

    print(f"{'how many times faster':52} {'median':>8}   {'range':>16} {'target':>8}")
    finish(
        [
            times("moments: ours", "moments: torchmetrics", ">= 1.25"),
            times("moments: ours, reference kept", "moments: torchmetrics", ">= 3"),
            times("moments: ours", "moments: scipy", ">= 4"),
            times("features: ours", "features: torchmetrics", ">= 1.25"),
            times("features: ours, reference kept", "features: torchmetrics", ">= 3"),
            times("kernel: ours", "kernel: torchmetrics, 100 subsets of 1,000", ">= 1"),
            row("moments: ours, seconds", [statistics.median(seconds["moments: ours"])], "-", "s"),
            row("kernel: ours, seconds", [statistics.median(seconds["kernel: ours"])], "-", "s"),
        ]
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
