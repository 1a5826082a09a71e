"""Where everything lies in a workspace: one folder with params.yaml, dvc.yaml, data/ and runs/."""

from dataclasses import dataclass
from pathlib import Path

from gen.errors import UserError


@dataclass(frozen=True)
class Workspace:
    """The paths of one workspace; nothing is created by asking for one."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> "Workspace":
        """The workspace that holds `start` (the current folder). Raises UserError outside of one."""
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
                return cls(folder)
        raise UserError(
            f"No workspace here: neither {start} nor a folder above it holds params.yaml and dvc.yaml. "
            "Change into your clone of the project and run the command again."
        )

    @property
    def params_file(self) -> Path:
        """Every number that can change a result."""
        return self.root / "params.yaml"

    @property
    def private(self) -> Path:
        """What belongs to this machine alone: databases, checkpoints, caches, locks.

        A tree that was made of another one (flows.worktree) shares that one's.
        """
        folder = self.root / ".genflows"
        return folder.resolve() if folder.is_symlink() else folder

    @property
    def home(self) -> Path:
        """The workspace that its user sees; relative paths of sources begin there."""
        return self.private.parent

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.root / "report.html"

    def raw(self, dataset: str) -> Path:
        """The canonical snapshot that `ingest` makes and DVC versions."""
        return self.root / "data" / "raw" / dataset

    def extractor(self, name: str) -> Path:
        """A pinned feature extractor, versioned like data."""
        return self.root / "data" / "extractors" / name

    def start(self, name: str) -> Path:
        """What a training begins from, versioned like data: the file `random`, or a folder with a pinned champion."""
        return self.root / "data" / "starts" / name

    def prepared(self, dataset: str) -> Path:
        """uint8 shards and splits, made by the stage prepare@DATASET."""
        return self.root / "data" / "prepared" / dataset

    def reference(self, dataset: str) -> Path:
        """The real side of every comparison, made by the stage reference@DATASET."""
        return self.root / "data" / "reference" / dataset

    def features(self, dataset: str) -> Path:
        """The real images' features and their extractor, made by the stage reference@DATASET beside its figures."""
        return self.root / "data" / "features" / dataset

    def train(self, model: str) -> Path:
        """What the stage train@MODEL makes: weights, config, journal, sample grids."""
        return self.root / "runs" / "train" / model

    def unfinished(self, model: str, key: str) -> Path:
        """What a training by the recipe of digest `key` (`gen.runs`) has on disk until it is over.

        No stage's out: DVC deletes those.
        """
        return self.private / "checkpoints" / f"{model}-{key[:16]}"

    def published(self, model: str) -> Path:
        """The model as it is published: what `train` holds, with its card and what MLflow needs."""
        return self.private / "published" / model

    @property
    def feature_cache(self) -> Path:
        """Features of generated images, to be found again."""
        return self.private / "features"

    def evaluate(self, model: str) -> Path:
        """What the stage evaluate@MODEL makes: figures with their eval cards, grids."""
        return self.root / "runs" / "evaluate" / model

    def provenance(self, model: str) -> Path:
        """Time, device, memory, commit of a training: the only out that differs between equal runs."""
        return self.root / "runs" / "provenance" / f"{model}.json"

    def verdict(self, dataset: str, task: str) -> Path:
        """The judge's latest decision on a task of a dataset, with its reasons and pictures."""
        return self.private / "verdicts" / f"{dataset}-{task}"

    def drift(self, dataset: str, task: str) -> Path:
        """How far the images were from those of the champion of a task, when that was measured last."""
        return self.private / "drift" / f"{dataset}-{task}.json"

    @property
    def compare(self) -> Path:
        """The table of all models, made by the stage compare."""
        return self.root / "runs" / "compare"
