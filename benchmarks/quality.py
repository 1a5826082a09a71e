"""The default models at several seeds: each figure beside its do-nothing baseline and its target.

Run it in a workspace after `make run`: `python benchmarks/quality.py [SEEDS]`. It trains in scratch folders and leaves
the workspace as it is. Prints a table and, last, one line of JSON.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from gen import config, files
from gen.steps.evaluate import evaluate
from gen.steps.train import train
from gen.workspace import Workspace

# name, model, what it is, target, whether more is better
CLAIMS = [
    ("noise / dcgan, Frechet distance", "dcgan", "frechet", 25.0, True),
    ("least share of a digit", "dcgan", "least share", 0.02, True),
    ("vae / mean image, squared error", "vae", "reconstruction_error", 1 / 3, False),
    ("translated / untranslated, squared error", "edges2digits", "pair_error", 0.5, False),
]


def main(seeds: int) -> None:
    """Train and measure every claim's model at so many seeds."""
    here = Workspace.find()
    values = config.read_yaml(here.params_file)
    torch.set_num_threads(config.load(here.params_file).machine.threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    results: dict[str, list[float]] = {claim[0]: [] for claim in CLAIMS}
    seconds: dict[str, list[float]] = {}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            scratch = Workspace(Path(folder))
            (scratch.root / "data").symlink_to(here.root / "data")
            for model in values["models"]:
                values["models"][model]["seed"] = seed
                params = config.from_values(values)
                clock = time.perf_counter()
                train(scratch, params, model, {}, say=lambda _: None)
                evaluate(scratch, params, model, {})
                seconds.setdefault(model, []).append(time.perf_counter() - clock)
            for name, model, what, _, _ in CLAIMS:
                results[name].append(measured(files.read_json(scratch.evaluate(model) / "metrics.json"), what))
    report(results, seconds)


def measured(metrics: dict[str, Any], what: str) -> float:
    """One claim's value out of a metrics.json."""
    if what == "least share":
        return min(metrics["classes"]["shares"])
    figure = next(figure for figure in metrics["figures"] if figure["name"] == what)
    ratio = figure["value"] / figure["baseline"]
    return 1 / ratio if what == "frechet" else ratio


def report(results: dict[str, list[float]], seconds: dict[str, list[float]]) -> None:
    """Print the table and the JSON."""
    print(f"{'claim':44} {'median':>8} {'range':>17} {'target':>8}")
    for name, _, _, target, more in CLAIMS:
        values = results[name]
        spread = f"{min(values):.3f}-{max(values):.3f}"
        print(f"{name:44} {statistics.median(values):8.3f} {spread:>17} {'>=' if more else '<='}{target:6.3f}")
    for model, times in seconds.items():
        print(f"{model}: {statistics.median(times):.0f} s to train and measure")
    print(json.dumps({"results": results, "seconds": seconds}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
