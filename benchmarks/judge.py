"""How often the judge errs, on the default digits: two samples of one generator, pairs of seeds, gains, and frauds.

Run it in a workspace after `make run` and `genflows luck dcgan vae` (which trains ten seeds of each, beside the
pipeline): `python benchmarks/judge.py [TRIALS]`. Every trial draws new noise and new half-samples; the real images are
those of the workspace. Prints tables and, last, one line of JSON.
"""

import json
import os
import statistics
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import permutations

import numpy as np
import torch

from gen import artifact, chance, config, guards
from gen.artifact import Published
from gen.config import Params
from gen.datasets import Prepared
from gen.figures.classes import by_class
from gen.figures.copies import copies
from gen.figures.distances import distances, shares
from gen.figures.subject import Subject
from gen.images import Pixels
from gen.metrics.card import Figure
from gen.metrics.frechet import fit, frechet_distance
from gen.reference import Reference
from gen.ruling import Standard, decide
from gen.workspace import Workspace

DATASET = "digits"
MODELS = ("dcgan", "vae")
NOMINAL = 0.05
"""A level at which 200 trials can tell whether as many promotions are false as was said."""
Fraud = Callable[[Pixels, np.random.Generator], Pixels]


@dataclass(frozen=True)
class Court:
    """What a verdict needs beside the images."""

    prepared: Prepared
    reference: Reference
    params: Params

    def standard(self, contenders: int = 1) -> Standard:
        """What challengers are held to in this workspace."""
        return Standard(self.params.promotion.level(contenders), self.params.promotion.effect(DATASET))

    def subject(self, published: Published, made: Pixels, seed: int) -> Subject:
        """Images under measurement, with the half-samples of `seed`."""
        settings = self.params.judge.model_copy(update={"seed": seed})
        features = self.reference.extractor.features(made)
        return Subject(published, self.prepared, self.reference, settings, made[:0], made, features)

    def mixed(self, honest: Subject, worse: Subject, part: float) -> Subject:
        """The one, with that part of its features taken from the other."""
        rows = np.random.default_rng(honest.settings.seed).random(len(honest.made)) < part
        # Distances look at features alone.
        return replace(honest, features=np.where(rows[:, None], worse.features, honest.features))

    def make(self, published: Published, seed: int) -> Pixels:
        """As many images as a distance is measured with."""
        return published.generate(self.reference.count, seed)


@dataclass
class Tally:
    """What was decided in trials of one kind."""

    target: str
    decisions: Counter[str] = field(default_factory=Counter)

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share of promotions (Wilson 1927)."""
        n, z = self.decisions.total(), 1.96
        share = self.decisions["promote"] / n
        middle, reach = share + z * z / (2 * n), z * ((share * (1 - share) + z * z / (4 * n)) / n) ** 0.5
        return max(0.0, (middle - reach) / (1 + z * z / n)), (middle + reach) / (1 + z * z / n)


def main(trials: int) -> None:
    """Try the judge, and print how often it erred."""
    torch.set_num_threads(os.cpu_count() or 1)
    workspace = Workspace.find()
    params = config.load(workspace.params_file)
    places = workspace.reference(DATASET), workspace.features(DATASET)
    court = Court(Prepared(workspace.prepared(DATASET)), Reference.load(*places), params)
    tallies: dict[str, Tally] = {}
    spreads = {}
    for model in MODELS:
        pool = seeds(workspace, model)
        spreads[model] = pairs(court, model, pool, tallies)
        same(court, model, pool[0], trials, tallies)
    frauds(court, seeds(workspace, MODELS[0])[0], trials, tallies)
    report(spreads, tallies)


def seeds(workspace: Workspace, model: str) -> list[Published]:
    """The generators that `genflows luck` has trained, by their seeds."""
    folders = sorted((workspace.private / "trials").glob(f"{model}-seed*/runs/train/{model}"))
    return [artifact.load(folder) for folder in folders]


def pairs(court: Court, model: str, pool: list[Published], tallies: dict[str, Tally]) -> dict[str, float]:
    """Every seed of a recipe against every other one, as the judge measures them; they are not independent."""
    seed = court.params.judge.seed
    measured = [named(distances(court.subject(each, court.make(each, seed), seed))) for each in pool]
    tally = tallies[f"{model}: pairs of {len(pool)} seeds"] = Tally("<= 5 %")
    for challenger, champion in permutations(measured, 2):
        ruling = decide(challenger["frechet"], champion["frechet"], court.standard())
        tally.decisions[ruling.decision] += 1
    found = {}
    for name in ("frechet", "kernel"):
        luck = chance.luck([figures[name].value for figures in measured], measured[0][name].floor or 0.0)
        values = {"mean": luck.mean, "deviation": luck.deviation, "minimum effect": luck.minimum_effect}
        found |= {f"{name}, {what}": value for what, value in values.items()}
    return {"seeds": len(pool), **found}


def same(court: Court, model: str, published: Published, trials: int, tallies: dict[str, Tally]) -> None:
    """Two samples of one generator; and one of it against one that is worse by twice, and by once, what counts."""
    nominal = tallies[f"{model}: same generator, level {NOMINAL:.0%}, any gain"] = Tally(f"<= {NOMINAL:.0%}")
    usual = tallies[f"{model}: same generator, as shipped"] = Tally(f"<= {court.standard().level:.2%}")
    gains = {times: calibrated(court, published, times * court.standard().effect) for times in (2, 1)}
    power = {
        2: tallies.setdefault(f"{model}: better by twice the minimum effect", Tally(">= 90 %")),
        1: tallies.setdefault(f"{model}: better by the minimum effect", Tally("-")),
    }
    for trial in range(trials):
        champion, challenger = (
            court.subject(published, court.make(published, 1000 + 2 * trial + side), trial) for side in range(2)
        )
        rival, figure = deciding(champion), deciding(challenger)
        nominal.decisions[decide(figure, rival, Standard(NOMINAL, 0.0)).decision] += 1
        usual.decisions[decide(figure, rival, court.standard()).decision] += 1
        worse = court.subject(published, blurred(champion.made), trial)
        for times, part in gains.items():
            beaten = deciding(court.mixed(champion, worse, part))
            power[times].decisions[decide(figure, beaten, court.standard()).decision] += 1


def calibrated(court: Court, published: Published, effect: float, samples: int = 8) -> float:
    """The share of images to blur so that going back to none gains that part of the way to the floor.

    By bisection on the mean of several samples, which are not those of the trials.
    """
    honest = [court.subject(published, court.make(published, 10**6 + seed), seed) for seed in range(samples)]
    worse = [court.subject(published, blurred(subject.made), subject.settings.seed) for subject in honest]
    real, floor = court.reference.gaussian, court.reference.floor["frechet"]

    def way(part: float) -> float:
        mixed = (court.mixed(*sides, part).features for sides in zip(honest, worse, strict=True))
        return statistics.fmean(frechet_distance(real, fit(features)) for features in mixed) - floor

    target = way(0.0) / (1 - effect)
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if way(middle) < target else (low, middle)
    return (low + high) / 2


def frauds(court: Court, published: Published, trials: int, tallies: dict[str, Tally]) -> None:
    """What no judge may promote, against a champion that does nothing of the kind."""
    train = court.prepared.images("train", court.prepared.target)[:]
    kinds: dict[str, Fraud] = {
        "blurred": lambda made, _: blurred(made),
        "noisy": noisy,
        "two of ten classes dropped": lambda _, random: dropped(court, published, random),
        "collapsed to 64 images": lambda made, random: made[:64][random.integers(0, 64, len(made))],
        "copies of training images": lambda made, random: train[random.integers(0, len(train), len(made))],
        "half of them copies": lambda made, random: half_copied(made, train, random),
    }
    for kind in kinds:
        tallies[kind] = Tally(f"0 of {trials}")
    for trial in range(trials):
        champion = court.subject(published, court.make(published, 1000 + 2 * trial), trial)
        rival, known = deciding(champion), None
        honest = court.make(published, 1001 + 2 * trial)
        for kind, fraud in kinds.items():
            subject = court.subject(published, fraud(honest, np.random.default_rng(trial)), trial)
            decision = decide(deciding(subject), rival, court.standard()).decision
            if decision == "promote":
                known = known or guarded(champion)
                passed = all(guard.passed for guard in guards.check(guarded(subject), known))
                decision = "promote" if passed else "keep"
            tallies[kind].decisions[decision] += 1


def guarded(subject: Subject) -> dict[str, Figure]:
    """The figures that guards look at."""
    return named([*shares(subject), *copies(subject)[0], *by_class(subject)[0]])


def deciding(subject: Subject) -> Figure:
    """The figure that samplers are judged by."""
    return named(distances(subject))["frechet"]


def named(figures: list[Figure]) -> dict[str, Figure]:
    """Figures by name."""
    return {figure.name: figure for figure in figures}


def blurred(made: Pixels) -> Pixels:
    """Images [N, H, W, 1], each pixel the mean of the nine around it, by the weights 1 2 1 each way."""
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    images = torch.from_numpy(made).permute(0, 3, 1, 2).float()
    soft = torch.nn.functional.conv2d(images, torch.outer(row, row)[None, None], padding=1)
    return np.asarray(soft.round().byte().permute(0, 2, 3, 1).numpy())


def noisy(made: Pixels, random: np.random.Generator) -> Pixels:
    """Normal noise with a deviation of a tenth of white."""
    return (made + random.normal(0, 25.5, made.shape)).clip(0, 255).astype(np.uint8)


def dropped(court: Court, published: Published, random: np.random.Generator) -> Pixels:
    """Images of one generator without those that the extractor takes for one of two classes drawn by chance."""
    made = published.generate(2 * court.reference.count, int(random.integers(10**9)))
    extractor = court.reference.extractor
    classes = extractor.probabilities(extractor.features(made)).argmax(1)
    return made[~np.isin(classes, random.choice(10, 2, replace=False))][: court.reference.count]


def half_copied(made: Pixels, train: Pixels, random: np.random.Generator) -> Pixels:
    """Every other image replaced by a training image."""
    mixed = made.copy()
    mixed[::2] = train[random.integers(0, len(train), len(mixed[::2]))]
    return mixed


def report(spreads: dict[str, dict[str, float]], tallies: dict[str, Tally]) -> None:
    """Print the tables and the JSON."""
    for model, values in spreads.items():
        print(f"{model}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    print(f"\n{'challenger':52} {'trials':>6} {'promoted':>8} {'95 % interval':>15} {'undecided':>9} {'target':>9}")
    rows = []
    for kind, tally in tallies.items():
        low, high = tally.interval()
        trials, promoted = tally.decisions.total(), tally.decisions["promote"]
        between = f"{low:.1%}-{high:.1%}"
        print(f"{kind:52} {trials:6} {promoted:8} {between:>15} {tally.decisions['undecided']:9} {tally.target:>9}")
        rows.append({"kind": kind, **tally.decisions, "interval": [low, high], "target": tally.target})
    print(json.dumps({"spreads": spreads, "tallies": rows}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
