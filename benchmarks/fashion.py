"""Generators of Fashion-MNIST after some minutes of one core, by the steps of the pipeline: Frechet distance on report.

`python benchmarks/fashion.py FOLDER [MINUTES ...]` (3 and 10): as many images as fit into so many minutes, once each.
FOLDER is made, or holds the prepared images and the extractor of a run before. Minutes are those of the processor, so
that what else runs beside it takes nothing away. The published figures were measured in the features of another
classifier, also of 128 numbers, in which uniform noise lies 484 from the real images: the column `of 484` is a distance
on that scale. Of the VAE the same network is measured twice: images of the mixture that is fitted to its codes, and of
the prior. Prints a table and, last, one line of JSON.
"""

import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gen import artifact, config, speed
from gen.artifact import Published
from gen.autoencoder import Autoencoder
from gen.config import Params
from gen.datasets import Prepared
from gen.measure import Measurement, measure
from gen.parallel import ALONE
from gen.reference import Reference
from gen.steps.extractor import extractor
from gen.steps.ingest import ingest
from gen.steps.prepare import prepare
from gen.steps.reference import reference
from gen.steps.train import train
from gen.workspace import Workspace

NOISE = 484.0
PUBLISHED = {"dcgan": {1: 122, 3: 62, 5: 43, 10: 27}, "resnet": {1: 179, 3: 99, 5: 66, 10: 43}, "vae": {1: 178, 3: 150}}
"""Frechet distances after minutes on a CPU: of a DCGAN, of RpGAN with R1 and R2, of a convolutional VAE."""
FALLING = {"to": 0, "after": 0.5}
COMMON: dict[str, Any] = {"dataset": "fashion", "init": "random", "batch": 64, "images": 1}
MODELS: dict[str, dict[str, Any]] = {
    "dcgan": {
        "family": "gan", "network": "dcgan", "width": 32, "beta1": 0.5, "ema_half_life": 10000,
        "learning_rate": {"value": 0.0004, **FALLING},
    },
    "resnet": {
        "family": "gan", "network": "resnet", "width": 16, "blocks": 1, "beta1": 0.0, "ema_half_life": 10000,
        "beta2": {"value": 0.9, "to": 0.99}, "loss": "relativistic", "r1": 1.0, "r2": 1.0,
        "learning_rate": {"value": 0.0004, **FALLING},
    },
    "vae": {
        "family": "vae", "network": "convolutional", "width": 32, "latent_dim": 16, "components": 30,
        "learning_rate": {"value": 0.001, **FALLING},
    },
}  # fmt: skip
PARAMS: dict[str, Any] = {
    "datasets": {
        "fashion": {
            "source": {"kind": "fashion-mnist"}, "size": 28, "channels": 1, "extractor": "fashion",
            "feature_dim": 128, "extractor_images": 300_000,
        },
    },
    "judge": {"samples": 10000},
}  # fmt: skip


def main(workspace: Workspace, budgets: list[float]) -> None:
    """Prepare the images once; train and measure each model within each budget."""
    torch.set_num_threads(1)
    results = []
    print(f"{'model':20} {'minutes':>7} {'CPU min':>7} {'images':>9} {'Frechet':>8} {'of 484':>7} {'published':>9}")
    if not workspace.reference("fashion").exists():
        ready(workspace)
    for minutes in budgets:
        for name in MODELS:
            budget, cpu = trained(workspace, name, minutes)
            for what, measured in figures(workspace, name):
                results.append(shown(name, what, minutes, cpu, budget, measured))
    print(json.dumps(results))


def ready(workspace: Workspace) -> None:
    """Images, extractor and reference."""
    shutil.copytree(Path(__file__).parent.parent / "data" / "starts", workspace.root / "data" / "starts")
    params = of(workspace, {})
    ingest(workspace, params, "fashion", say=quiet)
    extractor(workspace, params, "fashion", say=quiet)
    prepare(workspace, params, "fashion")
    reference(workspace, params, "fashion")


def of(workspace: Workspace, models: dict[str, Any]) -> Params:
    """The params of one training, as they also stand in the workspace."""
    values = {**PARAMS, "models": models or {"vae": {**COMMON, **MODELS["vae"]}}}
    workspace.params_file.write_text(json.dumps(values))
    return config.from_values(values)


def quiet(_: str) -> None:
    """Say nothing."""


def trained(workspace: Workspace, name: str, minutes: float) -> tuple[int, float]:
    """Train for about so many minutes; the images seen, and the minutes of processor that it took in truth."""
    block = {**COMMON, **MODELS[name]}
    params = of(workspace, {name: block})
    images = int(60 * minutes * a_second(params, name))
    block |= {"images": images, "checkpoint_every": images // 4, "log_every": images // 4}
    before = time.process_time()
    train(workspace, of(workspace, {name: block}), name, {}, say=quiet)
    return images, (time.process_time() - before) / 60


def a_second(params: Params, name: str) -> float:
    """Images that a second of the processor trains."""
    wall, processor = time.perf_counter(), time.process_time()
    measured = speed.measure(params.model(name), params.dataset("fashion"), "float32", ALONE)
    return measured * (time.perf_counter() - wall) / (time.process_time() - processor)


def figures(workspace: Workspace, name: str) -> list[tuple[str, Measurement]]:
    """What is measured of a trained model, once for each way to draw images from it."""
    published = artifact.load(workspace.train(name))
    if name != "vae":
        return [("", measured(workspace, published))]
    network = published.network
    assert isinstance(network, Autoencoder)
    mixture = measured(workspace, published)
    network.mixture, network.choices, network.noise_dim = None, 0, network.latent_dim
    return [(", mixture", mixture), (", prior", measured(workspace, replace(published, network=network)))]


def measured(workspace: Workspace, published: Published) -> Measurement:
    """All figures of a model on the split `report`."""
    params = config.load(workspace.params_file)
    known = Reference.load(workspace.reference("fashion"), workspace.features("fashion"))
    return measure(published, Prepared(workspace.prepared("fashion")), known, params.judge)


def shown(name: str, what: str, minutes: float, cpu: float, images: int, measured: Measurement) -> dict[str, Any]:
    """Print a row, and return it for the JSON."""
    figure = measured.named["frechet"]
    assert figure.baseline is not None
    scaled = figure.value / figure.baseline * NOISE
    published = PUBLISHED[name].get(int(minutes), "") if what != ", mixture" else ""
    print(
        f"{name + what:20} {minutes:7g} {cpu:7.1f} {images:9,} {figure.value:8.3f} {scaled:7.1f} {published:>9}",
        flush=True,
    )
    facts = {"model": name + what, "minutes": minutes, "cpu_minutes": cpu, "images": images}
    return facts | {"frechet": figure.value, "floor": figure.floor, "noise": figure.baseline, "of_484": scaled}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Workspace(Path(sys.argv[1])), [float(minutes) for minutes in sys.argv[2:]] or [3, 10])
    else:
        print("Nothing was measured: name a folder to keep the prepared images in.")
