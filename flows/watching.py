"""Folders of images that are looked at again and again: when one has changed and come to rest, Prefect is told."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from flows.answering import ask
from flows.stages import Say
from gen import config, files
from gen.errors import UserError
from gen.workspace import Workspace

NEW_DATA = "genflows.new-data"
"""The event that says so; who sends it from elsewhere starts a retrain too."""
EVERY = 30.0
"""Seconds between two looks. What looks the same twice has come to rest."""
BOOK = "watched.json"
"""The file under .genflows/ with what was told of last."""


def resource(workspace: Workspace) -> str:
    """What the event is about, as Prefect names it."""
    return f"genflows.workspace.{workspace.home.name}"


def watched(workspace: Workspace) -> dict[str, Path]:
    """The file or folder of each dataset that lies on this machine, by the dataset's name."""
    params = config.load(workspace.params_file)
    paths = {name: dataset.source.get("path") for name, dataset in params.datasets.items()}
    return {name: workspace.home / Path(path).expanduser() for name, path in paths.items() if path}


def check(workspace: Workspace) -> None:
    """Raise UserError where there is nothing to watch."""
    if not watched(workspace):
        raise UserError(
            "There is nothing to watch: no dataset in params.yaml comes from a folder or file of this machine (its "
            "`source` has no `path`). Leave --on-new-data out, or name a folder."
        )


class Watch:
    """What the sources looked like, the last time and when Prefect was told."""

    def __init__(self, workspace: Workspace, api: str) -> None:
        self.workspace = workspace
        self.api = api
        self.last: dict[str, str] = {}

    def look(self) -> list[str]:
        """Look at all sources, and tell Prefect of those that changed and have come to rest; their datasets' names.

        Raises OSError or ValueError where Prefect does not hear it: the next look tells it then.
        """
        book = self.workspace.private / BOOK
        told = files.read_json(book) if book.exists() else {}
        now = {name: fingerprint(path) for name, path in watched(self.workspace).items() if path.exists()}
        settled = {name: found for name, found in now.items() if self.last.get(name) == found}
        self.last = now
        changed = sorted(name for name, found in settled.items() if told.get(name) != found)
        if changed:
            self._tell(changed)
            files.write_json(book, {**told, **settled})
        return changed

    def _tell(self, names: list[str]) -> None:
        event = {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": NEW_DATA,
            "resource": {"prefect.resource.id": resource(self.workspace)},
            "payload": {"datasets": names},
        }
        ask(f"{self.api}/events", [event])


def fingerprint(path: Path) -> str:
    """A digest of the names, sizes and times of all files of a folder, or of one file; nothing is read."""
    return files.digest([*_facts(path)])


def _facts(path: Path) -> Iterator[tuple[str, int, int]]:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_dir():
            found = file.lstat()
            yield file.relative_to(path).as_posix(), found.st_size, found.st_mtime_ns


def begin(workspace: Workspace, api: str, say: Say) -> None:
    """Look again and again, beside whatever else this process does, until it ends."""
    watch = Watch(workspace, api)
    pause = threading.Event()

    def looks() -> None:
        while True:
            try:
                changed = watch.look()
                if changed:
                    say(f"New data for {', '.join(changed)}.")
            except (OSError, ValueError, UserError) as error:
                say(f"The sources could not be looked at, or Prefect not be told: {error}")
            pause.wait(EVERY)

    threading.Thread(target=looks, name="watch", daemon=True).start()
