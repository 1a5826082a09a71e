"""What a training that is not over has on disk: its journal, its sample grids and its checkpoints.

It lies in a folder named by the key of its recipe, which is the stage's without the machine: the same command goes on
from there, on another number of threads or another device as well, and other inputs never do.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from gen import files, images
from gen.checkpoints import Checkpoint, Checkpoints
from gen.clock import Clock
from gen.errors import UserError
from gen.families.trainer import Trainer
from gen.runs import Identity
from gen.selection import Selected
from gen.training import Record, Training

INTERVAL = 60.0
"""Seconds of training that a crash may cost."""
ROLL_BACKS = 2
"""After so many a training that diverges again fails."""
JOURNAL = "journal.jsonl"
SAMPLES = "samples"
IDENTITY = "run.json"


class Unfinished:
    """One training's folder. It follows `training`, and puts it back where it was."""

    def __init__(self, folder: Path, identity: Identity, training: Training, say: Callable[[str], None]) -> None:
        """Open `folder`; it is created when missing."""
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        self.folder = folder
        self.identity = identity
        self.training = training
        self.say = say
        self.journal = files.Journal(folder / JOURNAL)
        self.checkpoints = Checkpoints(folder, say)
        self.best: Selected | None = None
        """What is published if it ends now; its checkpoint is kept."""
        self.stale = 0
        """Measurements in a row since one was better than those before by more than its spread."""
        self._mark: Selected | None = None
        """That one."""
        self.owes_milestone = False
        """Whether it was left at a milestone, before that was shown and measured."""
        self.stopped = False
        """Whether it was ended for signs of collapse."""
        self.resumed_at: list[int] = []
        """Images at which a process went on with what another one had left."""
        self.inexact: list[str] = []
        """What had changed each time, for which its bytes are not those of a training in one go."""
        self.clock = Clock()
        self._kept = time.monotonic()
        identity.write(folder)

    def resume(self) -> bool:
        """Go on from the newest checkpoint, and say so. False when there is none: the training is at its start."""
        newest = self.checkpoints.newest()
        while newest and newest.facts["journal"] > self.journal.length:
            self.say("The journal is shorter than a checkpoint says, so the one before it is used.")
            self.checkpoints.forget_after(newest.facts["counters"]["images"] - 1)
            newest = self.checkpoints.newest()
        if newest is None:
            self.journal.cut(0)
            return False
        self._put_back(newest)
        self.resumed_at = [*newest.facts["resumed_at"], self.training.images]
        self.clock = Clock(newest.facts["clock"], newest.facts["seconds"])
        now = _environment(self.training.trainer)
        changes = [
            f"{name} was {before} and is {now[name]}"
            for name, before in newest.facts["environment"].items()
            if before != now[name]
        ]
        self.inexact = [*newest.facts["inexact"], *changes]
        exactness = f", but not to the bit: {'; '.join(changes)}" if changes else ""
        self.say(f"goes on from {self.training.images:,} images{exactness}")
        return True

    def record(self, record: Record) -> None:
        """Append to the journal."""
        skipped = {"skipped": record.skipped} if record.skipped else {}
        self.journal.append({"images": record.images, "losses": record.losses, **skipped})
        self.clock.read(record.images)

    def show(self, grid: images.Pixels) -> None:
        """Keep a sample grid under the images that were seen."""
        images.write_png(self.folder / SAMPLES / f"{self.training.images:09d}.png", grid)

    def select(self, measured: Selected) -> None:
        """Enter a measurement in the journal, and remember it unless it is clearly worse.

        Of those that noise does not tell apart the last is published: it has learnt the longest.
        """
        mark = self._mark
        if mark is None or measured.value < mark.value - measured.spread:
            self.stale, self._mark = 0, measured
        else:
            self.stale += 1
        if mark is None or self.best is None or measured.value <= mark.value + measured.spread:
            self.best = measured
        figures = {"kernel": measured.value, "spread": measured.spread}
        self.journal.append({"images": measured.images, "losses": {}, "select": figures})
        remark = "" if self.best is measured else f", worse than after {self.best.images:,}"
        self.say(f"{measured.images:,} images: kernel distance {measured.value:.4g} +- {measured.spread:.2g}{remark}")

    def notice(self, signs: Sequence[str]) -> None:
        """Enter signs of collapse in the journal, and do what the config says to them."""
        if not signs:
            return
        self.journal.append({"images": self.training.images, "losses": {}, "signs": list(signs)})
        self.say(f"{self.training.images:,} images, signs of collapse: {'; '.join(signs)}")
        match self.training.config.on_collapse:
            case "stop":
                self.stopped = True
            case "roll_back":
                self.roll_back()

    def losses(self) -> dict[str, float]:
        """The newest that the journal holds."""
        records = files.Journal.read(self.folder / JOURNAL)
        return next((record["losses"] for record in reversed(records) if record["losses"]), {})

    def has_ended(self) -> bool:
        """Whether patience is at its end, or it was stopped."""
        return self.stopped or 0 < self.training.config.patience <= self.stale

    def is_due(self) -> bool:
        """Whether a crash would now cost more than INTERVAL."""
        return time.monotonic() - self._kept > INTERVAL

    def keep(self, *, milestone: bool, owes_milestone: bool = False) -> None:
        """Write a checkpoint of what is known now. Where that is not finite, go back from a milestone instead.

        Between milestones nothing is written then: when that happens depends on the clock, and nothing else may.
        """
        self._kept = time.monotonic()
        if not self.training.is_finite():
            if milestone:
                self.roll_back()
            return
        self.journal.sync()
        facts = {
            "counters": self.training.counters(),
            "journal": self.journal.length,
            "environment": _environment(self.training.trainer),
            "seconds": self.clock.seconds,
            "clock": self.clock.readings,
            "resumed_at": self.resumed_at,
            "inexact": self.inexact,
            "best": asdict(self.best) if self.best else None,
            "stale": self.stale,
            "stopped": self.stopped,
            "mark": asdict(self._mark) if self._mark else None,
            "owes_milestone": owes_milestone,
        }
        best = self.best.images if self.best else None
        self.checkpoints.save(self.training.images, self.training.tensors(), facts, milestone=milestone, best=best)

    def roll_back(self) -> None:
        """Go back to the newest milestone, to train on more calmly. Raises UserError when that has not helped twice."""
        diverged_at, roll_backs = self.training.images, self.training.roll_backs + 1
        milestone = self.checkpoints.newest(milestone=True)
        if milestone is None or roll_backs > ROLL_BACKS:
            raise UserError(
                f"Training diverged: around {diverged_at:,} images its numbers are not finite, or it collapsed, also "
                f"after going back {ROLL_BACKS} times and on at a lower learning rate. Lower `learning_rate` (a third "
                "of it is a fair next try) or change `seed`, and run again."
            )
        # First of all: a process that is killed here must not go on from what lies behind the journal's end.
        self.checkpoints.forget_after(milestone.facts["counters"]["images"])
        self._put_back(milestone)
        self.clock.forget_after(self.training.images)
        self.training.roll_backs = roll_backs
        event = f"diverged after {diverged_at} images and went back, on at {0.5**roll_backs:g} of the learning rate"
        self.journal.append({"images": self.training.images, "losses": {}, "event": event})
        self.say(f"{event} (to {self.training.images:,} images)")

    def put_back_best(self) -> None:
        """Become what was best. Raises UserError when its checkpoint is damaged."""
        if self.best is None or self.best.images == self.training.images:
            return
        checkpoint = self.checkpoints.at(self.best.images)
        if checkpoint is None:
            raise UserError(f"The best checkpoint in {self.folder} is damaged. Delete that folder and train again.")
        # The tensors alone: the journal goes to the end of the training.
        self.training.restore(checkpoint.tensors, checkpoint.facts["counters"])

    def copy_out(self, target: Path) -> None:
        """Copy journal and sample grids into a stage's out."""
        self.journal.close()
        shutil.copyfile(self.folder / JOURNAL, target / JOURNAL)
        shutil.copytree(self.folder / SAMPLES, target / SAMPLES)

    def discard(self) -> None:
        """Remove all of it: it is over."""
        self.close()
        # By a rename: a process that is killed while it deletes must leave nothing that another goes on from.
        gone = self.folder.with_name(f".{self.folder.name}.old")
        shutil.rmtree(gone, ignore_errors=True)
        self.folder.rename(gone)
        shutil.rmtree(gone)

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    def _put_back(self, checkpoint: Checkpoint) -> None:
        try:
            self.training.restore(checkpoint.tensors, checkpoint.facts["counters"])
        except ValueError as error:
            raise UserError(f"{self.folder} cannot be gone on with: {error}. Delete it and run again.") from None
        self.journal.cut(checkpoint.facts["journal"])
        self.best, self._mark = (
            Selected(**checkpoint.facts[name]) if checkpoint.facts[name] else None for name in ("best", "mark")
        )
        self.stale, self.stopped = checkpoint.facts["stale"], checkpoint.facts["stopped"]
        self.owes_milestone = checkpoint.facts["owes_milestone"]


def _sweep(folder: Path) -> None:
    """Remove what a killed process left half-written. Whoever calls holds the folder's lock."""
    for path in sorted(folder.rglob(".*"), reverse=True):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def others(folder: Path, identity: Identity) -> list[str]:
    """Other unfinished trainings of the same model, and why the one in `folder` does not go on from them."""
    found = []
    for path in sorted(folder.parent.glob(f"[!.]*/{IDENTITY}")):
        try:
            other = files.read_json(path)
        except UserError:  # it ended meanwhile
            continue
        if path.parent != folder and other["command"] == identity.command:
            sides = [("params", identity.params), ("inputs", identity.inputs), ("code", identity.code)]
            changed = [what for what, value in sides if other[what] != value]
            found.append(f"the unfinished training in {path.parent} had other {' and other '.join(changed)}")
    return found


def _environment(trainer: Trainer) -> dict[str, str]:
    """What the last bits depend on besides the inputs."""
    return {
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "processes": str(trainer.team.size),
        "device": trainer.team.device.type,
        "precision": trainer.precision,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }
