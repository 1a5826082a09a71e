"""Collapses that are planted in real trainings, and whether they are told; and what is told of healthy ones.

`python benchmarks/health.py [SEEDS [FIRST]]`, on seeds FIRST to FIRST + SEEDS - 1. Claim: of 20 seeds of each kind at
least 19 are found at the next milestone, and at most 1 of 20 healthy trainings raises an alarm. Each training is
the stage's own code on the digits that come with the packages, as long as a reasonable generator takes (a planted
collapse shows sooner); what is told is read from its journal. Prints a table and a line of JSON.
"""

import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gen import config, files
from gen.config import Params
from gen.datasets import Prepared
from gen.families.base import RANDOM
from gen.families.gan import GanTrainer, Generator
from gen.shards import write_shards
from gen.steps.extractor import extractor
from gen.steps.ingest import ingest
from gen.steps.prepare import prepare
from gen.steps.reference import reference
from gen.steps.train import train
from gen.workspace import Workspace

PROCESSES = 2
LOST = 4
"""Digits, of ten, that a training with missing modes never sees."""
FALLING = {"to": 0, "after": 0.5}
DIGITS: dict[str, Any] = {"source": {"kind": "mnist-5k"}, "size": 28, "channels": 1, "extractor": "digits"}
EDGES = {**DIGITS, "source": {"kind": "derived", "of": "digits", "drawing": "edges"}}
# A GAN needs the most steps until no digit is rare; at 16 pixels they are cheap.
DATASETS = {"digits": DIGITS, "small": {**DIGITS, "size": 16, "extractor": "small"}, "edges2digits": EDGES}
MODELS: dict[str, dict[str, Any]] = {
    "gan": {
        "family": "gan", "dataset": "small", "network": "dcgan", "width": 16, "images": 30000, "batch": 16,
        "learning_rate": 0.001, "beta1": 0.5, "ema_half_life": 1000, "log_every": 2500,
    },
    "vae": {
        "family": "vae", "dataset": "digits", "network": "convolutional", "width": 16, "images": 20000, "batch": 16,
        "learning_rate": {"value": 0.002, **FALLING}, "log_every": 2500,
    },
    "cyclegan": {
        "family": "cyclegan", "dataset": "edges2digits", "network": "translator", "width": 8, "blocks": 1,
        "halvings": 2, "cycle": 10.0, "identity": 0.0, "images": 800, "batch": 4,
        "learning_rate": {"value": 0.001, **FALLING}, "beta1": 0.5, "log_every": 100,
    },
}  # fmt: skip


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Generators hear no noise."""
    real = Generator.sample
    Generator.sample = lambda self, noise: real(self, torch.zeros_like(noise))  # type: ignore[method-assign]
    try:
        yield
    finally:
        Generator.sample = real  # type: ignore[method-assign]


@contextlib.contextmanager
def _standing_still() -> Iterator[None]:
    """Generators do not learn: the discriminator's learning rate is infinitely higher."""
    real = GanTrainer._update_generator
    GanTrainer._update_generator = lambda *_: {}  # type: ignore[method-assign]
    try:
        yield
    finally:
        GanTrainer._update_generator = real  # type: ignore[method-assign]


def _without_digits(root: Path, seed: int) -> list[str]:
    """Take LOST digits out of the split `train` alone; returns the signs that name one of them."""
    folder = root / "data" / "prepared" / "small"
    prepared = Prepared(folder)
    pixels, labels = prepared.images("train", "images")[:], prepared.labels("train", "images")
    lost = np.random.default_rng(seed).choice(10, LOST, replace=False)
    kept = ~np.isin(labels, lost)
    shutil.rmtree(folder / "train" / "images")
    write_shards(folder / "train" / "images", pixels[kept], labels[kept])
    return [str(digit) for digit in lost]


def _a_as_b(root: Path, seed: int) -> list[str]:  # noqa: ARG001
    """Put the drawings in the place of the digits as well, in the split `train` alone."""
    split = root / "data" / "prepared" / "edges2digits" / "train"
    shutil.rmtree(split / "b")
    shutil.copytree(split / "a", split / "b")
    return []


@dataclass(frozen=True)
class Kind:
    """One kind of training, and what is to be told of it."""

    model: str
    sign: str | None = None
    """How the sign begins that is to be told; None for a healthy training, of which nothing is."""
    keys: dict[str, Any] = field(default_factory=dict)
    """Other keys of the model's block."""
    data: Callable[[Path, int], list[str]] = lambda _root, _seed: []
    """What is done to the data; names of which the sign has to hold one."""
    patch: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    """What is done to the code: where neither config nor data can plant it."""


KINDS = {
    "healthy GAN": Kind("gan"),
    "healthy VAE": Kind("vae"),
    "healthy CycleGAN": Kind("cyclegan"),
    "few distinct images: deaf to its noise": Kind("gan", "few distinct images", {"images": 5000}, patch=_deaf),
    f"missing modes: {LOST} digits never seen": Kind("gan", "missing modes", data=_without_digits),
    "saturated: the generator stands still": Kind(
        "gan", "the discriminator is saturated", {"images": 5000}, patch=_standing_still
    ),
    "dead KL: beta 100": Kind("vae", "the posterior has collapsed", {"images": 5000, "beta": 100.0}),
    "copies: b is a, cycle 100, identity 1": Kind(
        "cyclegan", "the translator copies", {"cycle": 100.0, "identity": 1.0}, data=_a_as_b
    ),
}


def params(kind: Kind, seed: int) -> Params:
    """As a params.yaml would say it: one milestone, at the end."""
    block = {**MODELS[kind.model], **kind.keys, "init": RANDOM, "seed": seed}
    return config.from_values(
        {"datasets": DATASETS, "models": {kind.model: {**block, "checkpoint_every": block["images"]}}}
    )


def prepared(root: Path) -> None:
    """All that a training reads, made by the steps themselves."""
    workspace, any_params = Workspace(root), params(KINDS["healthy GAN"], 0)
    files.write(workspace.start(RANDOM), "weights drawn from the seed\n")
    for name in DATASETS:
        ingest(workspace, any_params, name, say=lambda _: None)
    for name in ("digits", "small"):
        extractor(workspace, any_params, name, say=lambda _: None)
    for name in DATASETS:
        prepare(workspace, any_params, name)
        reference(workspace, any_params, name)


def signs(first: Path, case: tuple[str, int]) -> tuple[str, int, bool, list[str]]:
    """Train one case; its kind and seed, whether all is as it should be, and what was told."""
    kind, seed = KINDS[case[0]], case[1]
    with tempfile.TemporaryDirectory() as folder, kind.patch():
        shutil.copytree(first / "data", Path(folder) / "data")
        named = kind.data(Path(folder), seed)
        workspace = Workspace(Path(folder))
        train(workspace, params(kind, seed), kind.model, {}, say=lambda _: None)
        journal = files.Journal.read(workspace.train(kind.model) / "journal.jsonl")
    told = [sign for record in journal for sign in record.get("signs", [])]
    if kind.sign is None:
        return *case, not told, told
    found = [sign for sign in told if sign.startswith(kind.sign)]
    right = any(not named or set(named) & set(sign.rpartition("any ")[2].split(", ")) for sign in found)
    return *case, right, told


def main(seeds: int, first: int) -> None:
    """Train every kind at so many seeds; print the table and the JSON."""
    cases = [(name, seed) for seed in range(first, first + seeds) for name in KINDS]
    outcomes: dict[str, dict[int, tuple[bool, list[str]]]] = {name: {} for name in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        _settle()
        prepared(Path(folder))
        # Not by fork: torch's threads would be lost.
        with multiprocessing.get_context("spawn").Pool(PROCESSES, _settle) as pool:
            for name, seed, right, told in pool.imap_unordered(partial(signs, Path(folder)), cases):
                outcomes[name][seed] = right, told
                print(f"seed {seed:3}  {name:40} {'as claimed' if right else 'NOT AS CLAIMED':14} {told}", flush=True)
    print(f"\n{'training':44} {'as claimed':>12} {'target':>8}")
    for name, by_seed in outcomes.items():
        right = sum(one for one, _ in by_seed.values())
        print(f"{name:44} {f'{right} of {seeds}':>12} {'>= 19/20':>8}")
    print(json.dumps({name: {seed: told for seed, (_, told) in by_seed.items()} for name, by_seed in outcomes.items()}))


def _settle() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


if __name__ == "__main__":
    main(*(int(argument) for argument in (*sys.argv[1:], *("20", "0")[len(sys.argv) - 1 :])))
