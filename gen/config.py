"""params.yaml, checked once at the edge: what comes out is frozen, typed and possible."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gen import families
from gen.errors import BadParamsError
from gen.families.base import CHAMPION_OF, RANDOM, ModelConfig, Precision
from gen.strict import Strict, nearest, parse

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
SMALLEST = 8
"""Side of an image, in pixels."""
UNMEASURED = 0.1
"""The minimum effect where nobody has measured what seeds do (`genflows luck`)."""


class Machine(Strict):
    """What the arithmetic runs on. All of it changes the last bits of a result, so all are parameters."""

    device: Literal["cpu", "cuda", "mps"] = "cpu"
    """Where networks live."""
    threads: int = Field(default=1, ge=1, le=256)
    """Threads of one operation on the CPU."""
    processes: int = Field(default=1, ge=1, le=1024)
    """That train one model together, each on its part of every batch: one for each accelerator, for example."""
    precision: Precision = "float32"
    """Of what networks compute in training. tf32 is for CUDA; weights, losses and penalties are float32 with each."""

    @model_validator(mode="after")
    def _possible(self) -> "Machine":
        if self.precision == "tf32" and self.device != "cuda":
            raise ValueError(f"`precision` tf32 is for cuda, not for {self.device}; set it to float32 or bfloat16")
        if self.processes > 1 and self.device == "mps":
            raise ValueError("`processes` of one training cannot share mps; set it to 1")
        return self


class Dataset(Strict):
    """One named, versioned set of images."""

    source: dict[str, Any]
    """Where the images come from: `kind` and what that kind needs (see gen/sources)."""
    size: int = Field(ge=1, le=256)
    """Side of the square training images, in pixels, 8 at least; 1 of points."""
    channels: Literal[1, 2, 3]
    """1 for grey, 3 for RGB; 2 for points of the plane."""
    extractor: str
    """Name of the feature extractor that judges on this dataset (data/extractors/NAME)."""
    feature_dim: int = Field(default=64, ge=8, le=1024)
    """Features of the extractor that is trained on this dataset; a Frechet distance needs more images than that."""
    extractor_images: int = Field(default=60_000, ge=64)
    """Images seen in training the extractor of this name: 17 rounds of the default digits."""
    select: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of images set aside to choose the best step on."""
    report: float = Field(default=0.2, gt=0, lt=0.5)
    """Share of images that reported figures are measured on, unless the source has an official test set."""

    @property
    def holds_points(self) -> bool:
        """Whether its images are points of the plane (gen.plane)."""
        return self.channels == 2

    @model_validator(mode="after")
    def _possible(self) -> "Dataset":
        of_points = self.source.get("kind") == "points"
        if of_points and not (self.size == 1 and self.holds_points):
            raise ValueError(
                f"points have `size: 1` and `channels: 2`, not {self.size} and {self.channels}; set these two"
            )
        if not of_points and (self.size < SMALLEST or self.holds_points):
            raise ValueError(
                f"`size: {self.size}` and `channels: {self.channels}` are those of points or of nothing: images are "
                f"{SMALLEST} px at least, of 1 channel (grey) or 3 (RGB); set these, or the source's `kind: points`"
            )
        return self


class Judge(Strict):
    """How generators are measured and compared."""

    samples: int = Field(default=5000, ge=64)
    """Images generated for a distribution metric."""
    seed: int = Field(default=0, ge=0)
    """Seed of the noise and of the resamples."""
    resamples: int = Field(default=50, ge=10)
    """Half-samples from which the spread of a figure is estimated."""
    posterior_samples: int = Field(default=64, ge=1)
    """Codes of each image behind an autoencoder's importance-weighted bound."""


class Promotion(Strict):
    """When a challenger takes the champion's place. What is measured does not depend on it."""

    false_per_year: float = Field(default=0.5, gt=0)
    """Promotions in a year, in one task, that are let pass though the challenger is not better."""
    verdicts_per_year: float = Field(default=365, ge=1)
    """How often the schedule judges one task."""
    minimum_effect: dict[str, float] = Field(default_factory=dict)
    """By dataset: the least gain that counts, as a part of the way from the champion to a perfect generator."""

    @model_validator(mode="after")
    def _possible(self) -> "Promotion":
        for name, effect in self.minimum_effect.items():
            if not 0 <= effect < 1:
                raise ValueError(f"`minimum_effect.{name}` is {effect:g}, but it is from 0 to below 1")
        if self.false_per_year > self.verdicts_per_year / 2:
            raise ValueError(
                f"`false_per_year` is {self.false_per_year:g} of {self.verdicts_per_year:g} verdicts: with more than "
                "half of them false nothing would be judged"
            )
        return self

    def level(self, contenders: int) -> float:
        """The chance of a false promotion that one verdict may take, when the best of so many models is judged."""
        # The best of several was chosen by the same figure: each is a chance to be wrong (Bonferroni).
        return self.false_per_year / self.verdicts_per_year / contenders

    def effect(self, dataset: str) -> float:
        """The minimum effect on a dataset."""
        return self.minimum_effect.get(dataset, UNMEASURED)


class Retrain(Strict):
    """When the flow trains again, and what it does beside. What a training makes does not depend on it."""

    when: Literal["changed", "drifted", "always"] = "changed"
    """When anything that a model is made of changed; the same, but for new images only where they differ from those
    that the champion was trained on; or the same, and as soon as there is another champion to begin from."""
    busy: Literal["wait", "skip"] = "wait"
    """What a scheduled retrain does while another one is at work in the workspace."""
    clean: bool = True
    """Whether a scheduled retrain takes away, once a day, what has lain for a week and nothing needs."""


@dataclass(frozen=True)
class Params:
    """All of params.yaml. Models' blocks are checked by their own family when asked for.

    So a stage imports, and depends on, the code of its own family alone.
    """

    machine: Machine
    datasets: Mapping[str, Dataset]
    judge: Judge
    promotion: Promotion
    blocks: Mapping[str, Mapping[str, Any]]
    retrain: Retrain = Retrain()  # noqa: RUF009 - it is frozen

    def dataset(self, name: str) -> Dataset:
        """The dataset called `name`; raises UserError that names the nearest one."""
        if name not in self.datasets:
            raise BadParamsError(f"params.yaml has no dataset `{name}`. {nearest(name, list(self.datasets))}")
        return self.datasets[name]

    def taught_by(self, extractor: str) -> Dataset:
        """The dataset that the extractor of this name is trained on; raises UserError where there is none."""
        if extractor not in self.datasets:
            raise BadParamsError(
                f"The extractor `{extractor}` is not here, and there is no dataset `{extractor}` to train it on. If it "
                f"was imported, bring it with `dvc pull`, or import it with `genflows extractor {extractor} "
                f"--architecture fid-inception --tap 768 --weights FILE`. To have one trained, set `extractor:` to one "
                f"of: {', '.join(self.datasets)}."
            )
        return self.datasets[extractor]

    def model(self, name: str) -> ModelConfig:
        """The checked config of the model called `name`; raises UserError for an unknown or impossible one."""
        if name not in self.blocks:
            raise BadParamsError(f"params.yaml has no model `{name}`. {nearest(name, list(self.blocks))}")
        config = families.parse_block(self.blocks[name], f"models.{name}")
        where = f"models.{name}"
        config.check_dataset(self.dataset(config.dataset), where)
        self._check_start(config, where)
        begun = config.begun_from(champion=config.champion_of is not None, where=where)
        # The second differs from the first by what stands under `refresh` alone.
        for effective, block in ((config, where), (begun, f"{where}.refresh")):
            if effective.batch % self.machine.processes:
                raise BadParamsError(
                    f"params.yaml: `{block}.batch` is {effective.batch}, which {self.machine.processes} processes "
                    "cannot share evenly. Make it a multiple of `machine.processes`, or change that."
                )
        return config

    @property
    def contests(self) -> list[tuple[str, str]]:
        """Every dataset and task that models compete in, each with a champion of its own; raises as `model` does."""
        return sorted({(config.dataset, config.task) for config in map(self.model, self.blocks)})

    @property
    def champion_starts(self) -> dict[str, str]:
        """The starts that models name, `random` aside, and the dataset whose champion each is. Blocks are not checked.

        So whoever only wants to know does not wait for the families' code.
        """
        named = {str(block.get("init")) for block in self.blocks.values()}
        return {init: init.removeprefix(CHAMPION_OF) for init in sorted(named) if init.startswith(CHAMPION_OF)}

    def _check_start(self, config: ModelConfig, where: str) -> None:
        """The champion that a model begins from is one that could fit, and so are the numbers of a refresh."""
        if config.champion_of is None:
            return
        own = self.dataset(config.dataset)
        fitting = [
            name for name, other in self.datasets.items() if (other.size, other.channels) == (own.size, own.channels)
        ]
        if config.champion_of not in fitting:
            other = self.datasets.get(config.champion_of)
            why = (
                f"has images of {other.size} px and {other.channels} channels, and the model's own {own.size} px and "
                f"{own.channels}"
                if other
                else "is not among the datasets"
            )
            choices = [RANDOM, *(f"{CHAMPION_OF}{name}" for name in fitting)]
            raise BadParamsError(
                f"params.yaml: `{where}.init` is `{config.init}`, but `{config.champion_of}` {why}. "
                f"{nearest(config.init, choices)}"
            )


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises UserError when it is missing or cannot be parsed."""
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadParamsError(f"{path} is missing. Restore it with `git checkout params.yaml`.") from None
    except YAMLError as error:
        raise BadParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}. Mend that line.") from None
    if not isinstance(values, dict):
        raise BadParamsError(
            f"{path} holds no mapping; it needs the blocks machine, datasets, models, judge, promotion and retrain."
        )
    return values


def load(path: Path) -> Params:
    """Read and check params.yaml, all but what only families and sources know."""
    return from_values(read_yaml(path))


def from_values(values: Mapping[str, Any]) -> Params:
    """Check the values of a params.yaml. Raises UserError that names the key, the value and the way out."""
    blocks = ["machine", "datasets", "models", "judge", "promotion", "retrain"]
    for key in values:
        if key not in blocks:
            raise BadParamsError(f"params.yaml: `{key}` is not a known block. {nearest(key, blocks)}")
    datasets = _named(values, "datasets")
    models = _named(values, "models")
    for name, block in models.items():
        if not isinstance(block, Mapping):
            raise BadParamsError(f"params.yaml: `models.{name}` is {block!r}, but a block of keys is expected there.")
    return Params(
        machine=parse(Machine, values.get("machine", {}), "machine"),
        datasets={name: parse(Dataset, block, f"datasets.{name}") for name, block in datasets.items()},
        judge=parse(Judge, values.get("judge", {}), "judge"),
        promotion=_promotion(values, list(datasets)),
        blocks=models,
        retrain=parse(Retrain, values.get("retrain", {}), "retrain"),
    )


def _promotion(values: Mapping[str, Any], datasets: list[str]) -> Promotion:
    promotion = parse(Promotion, values.get("promotion", {}), "promotion")
    for name in promotion.minimum_effect:
        if name not in datasets:
            raise BadParamsError(
                f"params.yaml: `promotion.minimum_effect.{name}` names no dataset. {nearest(name, datasets)}"
            )
    return promotion


def check_name(name: object, where: str) -> None:
    """Raise BadParamsError unless `name` can be a file name and part of a command; `where` is what it names."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadParamsError(
            f"{where} is not a usable name: use small letters, digits, `-` and `_`, beginning with a letter or digit."
        )


def _named(values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A block of named entries, its names checked: they become file names and parts of commands."""
    block = values.get(kind) or {}
    if not isinstance(block, Mapping) or not block:
        raise BadParamsError(f"params.yaml: `{kind}` is missing or empty; add at least one entry under it.")
    for name in block:
        check_name(name, f"params.yaml: `{kind}.{name}`")
    return dict(block)
