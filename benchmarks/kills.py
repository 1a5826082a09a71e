"""What a retrain depends on is killed while it trains: how soon that is noticed, and what becomes of the training.

`python benchmarks/kills.py [ROUNDS]`. Claim: with `genflows up`, each retrain whose process, schedule or whole machine
died by `kill -9` in mid-training is marked as crashed within 120 s, and another one goes on from its checkpoint, by
itself; the one whose Prefect server died ends as if nothing had been. Two clones in a temporary folder side by side,
each with servers of its own and its kinds of death in turn, for most of a kill is waiting. Of the whole machine all
processes are stopped, then killed, and `genflows up` follows. (The same with a step that trains nothing, once each:
tests/flows/test_up.py.) Prints a table and a line of JSON.
"""

import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rounds import finish, row
from upped import ALL, RETRAIN, Upped
from waiting import until

from flows.parts import PREFECT, SCHEDULE
from gen import files
from gen.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
LANES = ((RETRAIN, ALL), (SCHEDULE, PREFECT))
PATIENCE = 300
"""Seconds after which something counts as not happening."""
PARAMS = """\
machine: {{device: cpu, threads: 1}}
datasets:
  digits: {{source: {{kind: mnist-5k}}, size: 28, channels: 1, extractor: digits, extractor_images: 12800}}
models:
  vae: {{family: vae, dataset: digits, network: convolutional, init: random, width: 16, images: 32000, batch: 64,
        seed: {seed}, learning_rate: 0.001, log_every: 512, checkpoint_every: 4000}}
judge: {{samples: 512, seed: 0, resamples: 10}}
"""


@dataclass(frozen=True)
class Fate:
    """What became of one retrain; seconds since the kill, None for what did not happen."""

    what: str
    kept: int
    """Images of the newest checkpoint before the kill."""
    marked: float | None
    """Until it was marked as crashed."""
    on: float | None
    """Until its training went on: the first line of the next one. For the server, until it was well again."""
    states: list[str]
    """How Prefect shows it and what followed, those aside that found nothing left to do."""
    resumed_at: list[int]
    """Images at which the training went on, by its provenance."""
    up: float | None = None
    """Until `genflows up` had brought all up again, where it had to."""

    @property
    def good(self) -> bool:
        """Whether it is as claimed."""
        if self.what == PREFECT:
            return self.on is not None and self.states == ["COMPLETED"] and self.resumed_at == []
        went_on = len(self.resumed_at) == 1 and self.resumed_at[0] >= self.kept > 0
        return went_on and (self.marked or PATIENCE) <= 120 and self.states == ["CRASHED", "COMPLETED"]


class Lane:
    """One clone with all that a schedule needs, in which retrain after retrain is killed."""

    def __init__(self, folder: Path) -> None:
        """Bring it up, and let a first retrain end: it fetches and prepares the digits."""
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        self.workspace = Workspace(folder)
        self.upped = Upped(self.workspace, os.environ | {"PYTHONPATH": str(folder)})
        self.seeds = itertools.count()
        self.before: set[str] = set()

    def up(self) -> float:
        """Bring it up; returns how many seconds that took."""
        begun = time.monotonic()
        came = self.upped.up()
        assert came.returncode == 0, came.stdout + came.stderr
        return time.monotonic() - begun

    def fire(self) -> None:
        """Let there be another training to do, and start a retrain."""
        files.write(self.workspace.params_file, PARAMS.format(seed=next(self.seeds)))
        self.before = {run["id"] for run in self.upped.runs()}
        until(self.upped.fire)

    def killed(self, what: str) -> Fate:
        """Start a retrain, kill what it depends on, and watch until all is over."""
        self.fire()
        kept = until(self.kept, PATIENCE)
        restarts = len(self.upped.parts()[PREFECT].restarts)
        self.upped.kill(what)
        moment = time.monotonic()
        marked = None
        with ThreadPoolExecutor(1) as beside:
            up = beside.submit(self.up) if what == ALL else None
            if what == PREFECT:
                on = since(moment, lambda: self.upped.restarted(PREFECT, restarts + 1))
            else:
                marked = since(moment, lambda: "CRASHED" in self.states())
                on = since(moment, self.goes_on)
        since(moment, self.is_over)
        provenance = files.read_json(Workspace(self.workspace.private / "worktree").provenance("vae"))
        return Fate(what, kept, marked, on, self.states(), provenance["resumed_at"], up.result() if up else None)

    def kept(self) -> int:
        """Images of the newest checkpoint of the training that goes on; 0 where there is none but that of its start."""
        found = self.workspace.private.glob("checkpoints/vae-*[0-9a-f]/[0-9]*/manifest.json")
        with contextlib.suppress(FileNotFoundError):  # an old one goes while it is looked at
            return max((int(path.parent.name.partition("-")[0]) for path in found), default=0)
        return 0

    def goes_on(self) -> bool:
        """Whether the training says that it does."""
        log = self.workspace.private / "logs" / "train@vae.log"
        with contextlib.suppress(FileNotFoundError):  # for a moment, while it begins anew
            return re.search(r"goes on from [\d,]+ images", log.read_text()) is not None
        return False

    def runs(self) -> list[dict[str, Any]]:
        """The last retrain and those that followed it, so far."""
        return [run for run in self.upped.runs() if run["id"] not in self.before]

    def states(self) -> list[str]:
        """Of those runs; what is cancelled found nothing left to do."""
        return [run["state_type"] for run in self.runs() if run["state_type"] != "CANCELLED"]

    def is_over(self) -> bool:
        """Whether the last retrain, or who went on with it, has ended."""
        states = self.states()
        return "COMPLETED" in states and not {"RUNNING", "PENDING"} & set(states)


def since(moment: float, answer: Callable[[], object]) -> float | None:
    """Seconds from `moment` until `answer` is true; None where it does not become so."""
    try:
        until(answer, PATIENCE)
    except TimeoutError:
        return None
    return time.monotonic() - moment


def deaths(folder: Path, kinds: tuple[str, ...], rounds: int) -> list[Fate]:
    """What became of so many retrains by each kind of death, in one clone."""
    lane = Lane(folder)
    fates = []
    lane.up()
    try:
        lane.fire()
        until(lane.is_over, 2 * PATIENCE)
        for number in range(rounds):
            for what in kinds:
                fates.append(lane.killed(what))
                print(f"round {number}  {fates[-1]}", flush=True)
    except Exception as error:
        # The other lane goes on for long; whoever waits is to know.
        print(f"{', '.join(kinds)}: broken off by {error!r}", flush=True)
        raise
    finally:
        lane.upped("down")
    return fates


def table(what: str, fates: list[Fate]) -> list[dict[str, object]]:
    """Print the lines of one kind of death, and return them as JSON has them."""
    label = "the whole machine" if what == ALL else what
    lines = []
    if what == ALL:
        lines.append(row(f"{label}: s until `genflows up` was done", [fate.up or 1e9 for fate in fates], "-"))
    if what != PREFECT:
        lines.append(row(f"{label}: s until marked as crashed", [fate.marked or 1e9 for fate in fates], "<= 120"))
    then = "it is well again" if what == PREFECT else "its training goes on"
    lines.append(row(f"{label}: s until {then}", [fate.on or 1e9 for fate in fates], "-"))
    good = sum(fate.good for fate in fates)
    lines.append(row(f"{label}: of {len(fates)}, as claimed", [good], str(len(fates))))
    return lines


def main(rounds: int) -> None:
    """Print the table and the JSON."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        lanes = [
            pool.submit(deaths, Path(folder) / f"clone{number}", kinds, rounds) for number, kinds in enumerate(LANES)
        ]
        fates = [fate for lane in lanes for fate in lane.result()]
    print(f"{'kill -9 of':52} {'median':>8}   {'range':>16} {'target':>8}")
    lines = [line for kinds in LANES for what in kinds for line in table(what, [f for f in fates if f.what == what])]
    finish(lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
