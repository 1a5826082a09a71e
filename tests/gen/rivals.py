"""What processes do that publish or promote at once. It imports little: each of them imports it anew."""

import time
from pathlib import Path

from gen.tracking.promotion import ChampionMovedError, promote
from gen.tracking.registry import champion, version
from gen.tracking.store import connect
from gen.workspace import Workspace

NAME = "digits-sample"
RACERS = 3
TURNS = 8


def publish_dcgan(root: Path, _: int) -> str:
    """Publish and return the run's id."""
    from gen import config
    from gen.steps.publish import publish

    workspace = Workspace(root)
    return publish(workspace, config.load(workspace.params_file), "dcgan")


def race(root: Path, racer: int) -> list[str]:
    """Promote the one that is not champion, again and again; returns the promotions that went through."""
    store = connect(Workspace(root))
    pair = [version(store, NAME, number) for number in ("1", "2")]
    (root / f"ready-{racer}").touch()
    while len(list(root.glob("ready-*"))) < RACERS:
        time.sleep(0.001)
    won = []
    for turn in range(TURNS):
        now = champion(store, NAME)
        try:
            promote(store, pair[now.number % 2 if now else 0], now.number if now else None, f"{racer}.{turn}")
            won.append(f"{racer}.{turn}")
        except ChampionMovedError:
            continue
    return won
