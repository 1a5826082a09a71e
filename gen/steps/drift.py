"""drift DATASET: the images that are here now, held against those that the champions of its tasks were trained on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch

from gen import artifact, files, pin, seen
from gen.config import Dataset, Params
from gen.drift import LEVEL, Drift, drift
from gen.errors import UserError
from gen.features import Extractor, Features
from gen.seen import Seen
from gen.snapshot import Snapshot
from gen.steps.prepare import rows_of, squares
from gen.tracking import registry
from gen.tracking.registry import registered_name
from gen.tracking.store import Store, connect
from gen.workspace import Workspace


@dataclass(frozen=True)
class Finding:
    """Whether the images of a dataset ask for a retrain of one of its tasks."""

    dataset: str
    task: str
    due: bool
    """Also where it is not known."""
    reason: str
    """A sentence without its subject, the dataset, and without its stop."""
    champion: str | None = None
    """`digits-sample/3`, where it is known."""
    drifts: Mapping[str, Drift] = field(default_factory=dict)
    """By domain; none where nothing could be measured."""


class _UnknownError(Exception):
    """What a champion was trained on cannot be held against the images of now; says why, as a Finding's reason."""


def find_drift(workspace: Workspace, params: Params, dataset: str, store: Store | None = None) -> list[Finding]:
    """One finding for each task that models of the dataset have; they are kept in `workspace.drift(dataset, task)`.

    It reads the snapshot, so the images need not be prepared. Where a champion, or what it was trained on, is not
    known, a retrain is due. Raises UserError when the images or the extractor are not here.
    """
    images = pin.images_digest(workspace.raw(dataset))
    found = []
    for task in [task for of, task in params.contests if of == dataset]:
        finding = _find(workspace, params, dataset, task, store)
        files.write_json(workspace.drift(dataset, task), {"images": images, **asdict(finding)})
        found.append(finding)
    return found


def _find(workspace: Workspace, params: Params, dataset: str, task: str, store: Store | None) -> Finding:
    extractor = Extractor.load(workspace.extractor(params.dataset(dataset).extractor), params.machine.device)
    champion = None
    try:
        store = store or connect(workspace)
        version = registry.champion(store, registered_name(dataset, task))
        if version is None:
            raise _UnknownError("has no champion yet")
        champion = f"{version.name}/{version.number}"
        then = _then(store, version, params.dataset(dataset), extractor)
    except _UnknownError as unknown:
        return Finding(dataset, task, True, str(unknown), champion)
    except UserError as error:
        # MLflow does not answer, or what it holds is not what was registered.
        told = str(error).rstrip(".")
        return Finding(dataset, task, True, f"may have drifted, for its champion is not at hand: {told}", champion)
    now = _now(workspace, params.dataset(dataset), dataset, extractor)
    if then.features.keys() != now.keys():
        return Finding(dataset, task, True, f"has other domains than {champion} was trained on", champion)
    drifts = {
        domain: drift(
            then.features[domain],
            features,
            torch.Generator().manual_seed(params.judge.seed),
            # Each domain is a chance to be wrong (Bonferroni).
            LEVEL / len(now),
        )
        for domain, features in now.items()
    }
    due = any(each.drifted for each in drifts.values())
    said = "has drifted" if due else "has not drifted"
    return Finding(dataset, task, due, f"{said} since {champion} was trained ({_figures(drifts)})", champion, drifts)


def _then(store: Store, version: registry.Version, dataset: Dataset, extractor: Extractor) -> Seen:
    """What the champion was trained on. Raises _UnknownError where that cannot be compared."""
    folder = registry.fetch(store, version)
    before = seen.read(folder / artifact.SEEN)
    who = f"its champion {version.name}/{version.number}"
    if before is None:
        raise _UnknownError(f"may have drifted: {who} was published before it was kept what a model was trained on")
    if before.extractor != extractor.digest:
        raise _UnknownError(f"may have drifted: {who} was trained with another extractor than is here now")
    if files.read_json(folder / artifact.CONFIG)["shape"] != [dataset.channels, dataset.size, dataset.size]:
        raise _UnknownError(f"has images of another size or other channels than {who}")
    return before


def _now(workspace: Workspace, dataset: Dataset, name: str, extractor: Extractor) -> dict[str, Features]:
    """Features of the last images of the split `train`, by domain: see `gen.seen.count`."""
    snapshot = Snapshot(workspace.raw(name))
    found = {}
    for domain in snapshot.domains:
        rows = rows_of(snapshot, dataset, "train", domain)
        found[domain] = extractor.features(squares(snapshot, rows[len(rows) - seen.count(len(rows)) :], dataset))
    return found


def _figures(drifts: Mapping[str, Drift]) -> str:
    several = len(drifts) > 1
    return "; ".join(
        f"{f'{domain}: ' * several}distance {each.distance:.2g}, chance goes to {each.chance:.2g}, p = {each.p:.2g}"
        for domain, each in drifts.items()
    )
