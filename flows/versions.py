"""Snapshots of datasets: taken, remembered, listed, compared, restored."""

import dataclasses
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from flows import stages, stored
from flows.children import Stop
from flows.stages import Say
from gen import files, sources
from gen.config import Params
from gen.errors import BadParamsError, UserError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.steps.imported import Wanted


@dataclass(frozen=True)
class Version:
    """One snapshot of a dataset that this workspace has seen."""

    dataset: str
    digest: str
    """DVC's: `....dir`. A unique beginning of it names the version in every command."""
    images: int | None
    """How many images it holds; None where only git remembers it."""
    recorded: str
    """When it was first seen here, or committed: ISO 8601, UTC."""
    current: bool = False
    """Whether the pointer in data/raw names it."""


def ingest(workspace: Workspace, dataset: str, stop: Stop | None = None, say: Say = print) -> Version:
    """Take a snapshot of a dataset's source, version it with DVC, and remember it when it is new. Idempotent."""
    stages.run_step(workspace, "ingest", dataset, stop or Stop(), say)
    folder = workspace.raw(dataset)
    images = sum(files.read_json(folder / "summary.json")["kept"].values())
    clock = datetime.now(UTC).isoformat(timespec="seconds")
    version = Version(dataset, stored.add(workspace, folder), images, clock, current=True)
    known = {record["digest"] for record in files.Journal.read(_book(workspace)) if record["dataset"] == dataset}
    if version.digest not in known:
        record = {key: value for key, value in dataclasses.asdict(version).items() if key != "current"}
        book = files.Journal(_book(workspace))
        book.append(record)
        book.close()
    return version


def bases(params: Params) -> dict[str, tuple[str, ...]]:
    """Every dataset, those first that others are derived from, and the datasets that it is derived from.

    Raises BadParamsError where they are derived from each other, or from one that is not there.
    """
    requires = {
        name: sources.parse_block(dataset.source, f"datasets.{name}.source").requires
        for name, dataset in params.datasets.items()
    }
    for names in requires.values():
        for name in names:
            params.dataset(name)
    try:
        return {name: requires[name] for name in TopologicalSorter(requires).static_order()}
    except CycleError as error:
        ring = " -> ".join(error.args[1])
        raise BadParamsError(f"params.yaml: datasets are derived in a ring, {ring}. Give one a source.") from None


def extractor(workspace: Workspace, name: str, stop: Stop | None = None, say: Say = print) -> str:
    """Train the extractor `name`, pin it and version it with DVC; returns its DVC digest."""
    stages.run_step(workspace, "extractor", name, stop or Stop(), say)
    return stored.add(workspace, workspace.extractor(name))


def imported(workspace: Workspace, params: Params, wanted: "Wanted", *, again: bool = False, say: Say = print) -> str:
    """Import an extractor, pin it and version it with DVC; returns its DVC digest."""
    from gen.steps.imported import import_extractor

    import_extractor(workspace, params, wanted, again=again, say=say)
    return stored.add(workspace, workspace.extractor(wanted.name))


def versions(workspace: Workspace, dataset: str) -> list[Version]:
    """Every version of a dataset, oldest first: those taken here, and those in the git history of its pointer."""
    pointer = stored.pointer(workspace.raw(dataset))
    current = stored.digest_in(pointer.read_text(encoding="utf-8")) if pointer.exists() else None
    found = {version.digest: version for version in _committed(workspace, dataset)}
    for record in files.Journal.read(_book(workspace)):
        if record["dataset"] == dataset:
            found[record["digest"]] = Version(**record)
    ordered = sorted(found.values(), key=lambda version: version.recorded)
    return [dataclasses.replace(version, current=version.digest == current) for version in ordered]


def find(workspace: Workspace, dataset: str, beginning: str) -> Version:
    """The version whose digest begins so, or `current` or `previous`. Raises UserError when there is not one."""
    known = versions(workspace, dataset)
    match beginning:
        case "current":
            fitting = [version for version in known if version.current]
        case "previous":
            place = next((place for place, version in enumerate(known) if version.current), 0)
            fitting = known[max(place - 1, 0) : place]
        case _:
            fitting = [version for version in known if version.digest.startswith(beginning)]
    if len(fitting) != 1:
        raise UserError(
            f"Dataset `{dataset}` has {len(fitting) or 'no'} versions named `{beginning}`. "
            f"`genflows data {dataset}` lists the {len(known)} it has: name one by the beginning of its digest."
        )
    return fitting[0]


def difference(workspace: Workspace, dataset: str, old: str, new: str) -> dict[str, dict[str, int]]:
    """Images added, removed and relabelled between two versions, by domain; from their indexes in DVC's cache."""
    from gen.snapshot import changes, read_index

    names = (find(workspace, dataset, beginning).digest for beginning in (old, new))
    return changes(*(read_index(stored.cached(workspace, digest, "index.csv")) for digest in names))


def restore(workspace: Workspace, dataset: str, version: str) -> Version:
    """Make a version the current one: the pointer and the bytes.

    The next retrain ingests the source again, so a restored version lasts where the source is what it was.
    Raises UserError when DVC has its bytes no more; the current version then stays.
    """
    wanted = find(workspace, dataset, version)
    stored.restore(workspace, workspace.raw(dataset), wanted.digest)
    return dataclasses.replace(wanted, current=True)


def _book(workspace: Workspace) -> Path:
    return workspace.private / "versions.jsonl"


def _committed(workspace: Workspace, dataset: str) -> list[Version]:
    """Versions that the pointer named in commits of the current branch."""
    pointer = stored.pointer(workspace.raw(dataset)).relative_to(workspace.root).as_posix()

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=workspace.root, capture_output=True, text=True, check=False)  # noqa: S603, S607
        return done.stdout

    found = []
    for line in git("log", "--format=%H %cI", "--", pointer).splitlines():
        commit, clock = line.split()
        digest = stored.digest_in(git("show", f"{commit}:./{pointer}"))
        if digest:
            moment = datetime.fromisoformat(clock).astimezone(UTC).isoformat(timespec="seconds")
            found.append(Version(dataset, digest, None, moment))
    return found
