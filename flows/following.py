"""While a stage trains, MLflow is told: by a thread beside it, which nothing waits for."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flows.stages import Stage
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.tracking.live import Preview

INTERVAL = 2.0
"""Seconds between two looks at the journal."""
KEY = "[0-9a-f]" * 16
"""How the folder's name ends. What stands before it may hold a `-` of its own."""
PAUSE = 30.0
"""Seconds before MLflow is tried again when it did not answer."""


@contextmanager
def followed(workspace: Workspace, stage: Stage) -> Iterator[None]:
    """Inside the block, show in MLflow what the stage writes into its journal, when it is a training."""
    name = trained_by(workspace, stage)
    if name is None:
        yield
        return
    follower = _Follower(workspace, name)
    follower.start()
    try:
        yield
        follower.status = "FINISHED"
    finally:
        follower.done.set()
        # It may be in the middle of a call that times out; what it does not send is sent when all is done.
        follower.join(timeout=2)


def trained_by(workspace: Workspace, stage: Stage) -> str | None:
    """The model that a stage trains, by what it makes; None where it trains none."""
    outputs = (workspace.root / output for output in stage.outputs)
    return next((path.name for path in outputs if path == workspace.train(path.name)), None)


class _Follower(threading.Thread):
    """Reads one training's journal, and shows it."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        super().__init__(name=f"follow {name}", daemon=True)
        self.workspace = workspace
        self.model = name
        self.done = threading.Event()
        self.status: Literal["FINISHED", "FAILED"] = "FAILED"
        self.started = time.time()
        self.preview: Preview | None = None

    def run(self) -> None:
        """Look, send, wait. Whatever goes wrong with MLflow or with files that are gone ends in another try."""
        pause = INTERVAL
        while not self.done.wait(pause):
            pause = INTERVAL
            try:
                self._show()
            except Exception:
                # MLflow does not answer, or files go while they are read: nothing that a training would wait for.
                self.preview, pause = None, PAUSE
        if self.preview:
            with contextlib.suppress(Exception):
                self.preview.close(self.status)

    def _show(self) -> None:
        if self.preview is None:
            folder = self._folder()
            if folder is None:
                return
            # Seconds of imports, for those who train.
            from gen.tracking.live import Preview
            from gen.tracking.store import connect

            self.preview = Preview(connect(self.workspace), folder, self.model, self.workspace.train(self.model))
        self.preview.send()

    def _folder(self) -> Path | None:
        """Where the training that has just begun, or gone on, keeps what it has."""
        fresh = {}
        for path in self.workspace.unfinished(self.model, "*").parent.glob(f"{self.model}-{KEY}/run.json"):
            with contextlib.suppress(FileNotFoundError):
                fresh[path.stat().st_mtime] = path.parent
        newest = max(fresh, default=0.0)
        # File systems keep times in coarser steps than clocks.
        return fresh[newest] if newest > self.started - 1 else None
