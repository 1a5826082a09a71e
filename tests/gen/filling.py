"""Trainings on a disk that is full at every place in turn: run in a mount namespace, on a small tmpfs.

`python -m tests.gen.filling FOLDER`: FOLDER is on the small disk. Prints, for each amount of room that was left, what
the training said, which checkpoint was there then, and the digest of what the same command made once there was room.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gen import config
from gen.checkpoints import Checkpoints
from gen.errors import describe
from gen.steps import train as step
from tests.gen.test_resume import outcome, workspace

ROOMS = (0, 30, 200, 400, 500, 700)
"""KiB that are free beside what is there before the training: from nothing to more than it needs."""


@contextmanager
def filled(folder: Path, room: int) -> Iterator[None]:
    """Leave `room` KiB on the disk of `folder`, and free it again in the end."""
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 1024 * room)))
    try:
        yield
    finally:
        ballast.unlink()


def main(folder: Path) -> None:
    """Try every amount of room."""
    torch.set_num_threads(1)
    for room in ROOMS:
        made = workspace(folder / str(room))
        params = config.load(made.params_file)
        error = None
        with filled(folder, room):
            try:
                step.train(made, params, "vae", code={}, say=lambda _: None)
            except OSError as full:
                error = describe(full)
        places = list((made.private / "checkpoints").glob("*[0-9a-f]/"))
        notices: list[str] = []
        newest = Checkpoints(places[0], notices.append).newest() if places else None
        partial = [str(path) for path in made.root.rglob(".*.partial*")]
        step.train(made, params, "vae", code={}, say=lambda _: None)
        seen = newest.facts["counters"]["images"] if newest else None
        print(json.dumps({"room": room, "error": error, "seen": seen, "notices": notices, "partial": partial,
                          "digest": outcome(made, "vae")}))  # fmt: skip
        shutil.rmtree(made.root)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
