"""Nightly: two hundred times `kill -9` at random moments, and what is published never differs by a byte."""

import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gen import files
from gen.checkpoints import Checkpoints
from gen.workspace import Workspace
from tests.gen.killing import EAGER, run
from tests.gen.test_resume import MODELS, PARAMS, outcome, workspace

SEED = 0
KILLS = {"gan": 67, "vae": 67, "cyclegan": 66}
# Forty steps each and five milestones.
LONGER = (
    PARAMS.replace("images: 160", "images: 640").replace("checkpoint_every: 32", "checkpoint_every: 128")
    .replace("images: 40", "images: 160").replace("checkpoint_every: 8", "checkpoint_every: 32")
)  # fmt: skip
BUDGETS = {"gan": 640, "vae": 640, "cyclegan": 160}
MILESTONES = 5


def longer(root: Path) -> Workspace:
    made = workspace(root)
    files.write(made.params_file, LONGER)
    return made


def newest(made: Workspace, model: str) -> int | None:
    """The images after which there is a checkpoint to go on from."""
    for folder in (made.private / "checkpoints").glob(f"{model}-*[0-9a-f]/"):
        found = Checkpoints(folder, lambda _: None).newest()
        return found.facts["counters"]["images"] if found else None
    return None


def killed_again_and_again(made: Workspace, family: str, delays: Iterator[float]) -> Iterator[int | None]:
    """Train by the same command until it is done; each process is killed after a delay, if it lives that long.

    Yields after each kill the images of the newest checkpoint.
    """
    model, budget, kept = MODELS[family], BUDGETS[family], None
    while True:
        code, said = run(made.root, model, EAGER, next(delays))
        if said:
            went_on = re.search(r"goes on from ([\d,]+) images$", said[0])
            assert (number(went_on) if went_on else None) == kept
        if code == 0:
            return
        assert code == -signal.SIGKILL
        seen = [number(line) for text in said if (line := re.search(r"([\d,]+) / ", text))]
        before, kept = kept or 0, newest(made, model)
        if kept is None and made.provenance(model).exists():
            yield budget  # it was killed when all was over
            return
        assert (kept or 0) >= before, "what an earlier process had kept is gone"
        assert max(seen, default=0) - (kept or 0) <= budget // MILESTONES, "a milestone was passed and is not kept"
        yield kept


def number(found: re.Match[str]) -> int:
    return int(found[1].replace(",", ""))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", MODELS)
def test_kills_at_random_times_cost_no_byte(family: str, tmp_path: Path) -> None:
    model, random = MODELS[family], np.random.default_rng(SEED)
    undisturbed, life = longer(tmp_path / "undisturbed"), 0.0
    for _ in range(2):  # the first child also waits for the server that forks them
        clock = time.monotonic()
        assert run(undisturbed.root, model, EAGER)[0] == 0
        life = time.monotonic() - clock
    delays = (float(random.uniform(0, life)) for _ in iter(int, 1))
    places: Counter[str] = Counter()
    trainings = 0
    while places.total() < KILLS[family]:
        made = longer(tmp_path / str(trainings))
        places.update(place(kept, BUDGETS[family]) for kept in killed_again_and_again(made, family, delays))
        assert outcome(made, model) == outcome(undisturbed, model)
        trainings += 1
    print(f"\n{family}: {places.total()} kills of {trainings} trainings, each with the same bytes in the end; of them")
    print("\n".join(f"  {count:3} {place}" for place, count in sorted(places.items())))


def place(kept: int | None, budget: int) -> str:
    """How far a training was when it was killed."""
    if kept is None:
        return "before the first checkpoint was whole"
    return "after the last step" if kept == budget else f"after {5 * kept // budget} of 5 milestones"
