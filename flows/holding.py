"""Trainings that are held back: only images ask for them, and those are like what the champion was trained on."""

from collections.abc import Iterator, Mapping

from flows.following import trained_by
from flows.stages import Change, Say, Stage
from flows.starts import Moves
from gen import files, pin
from gen.config import Params
from gen.workspace import Workspace

Contest = tuple[str, str]
"""A dataset and a task: what has a champion of its own."""


def measure(workspace: Workspace, params: Params, dataset: str, say: Say = print) -> dict[Contest, str]:
    """The contests of a dataset whose images have not drifted, each with a sentence that says so.

    Call mlflow_environment before. Raises UserError when the images or their extractor are not here.
    """
    from gen.__main__ import settle
    from gen.steps.drift import find_drift

    settle(params.machine)
    findings = find_drift(workspace, params, dataset)
    for finding in findings:
        say(f"{dataset} {finding.reason}.")
    return {(dataset, finding.task): f"{dataset} {finding.reason}" for finding in findings if not finding.due}


def remembered(workspace: Workspace, params: Params) -> dict[Contest, str]:
    """The same of all datasets, by what was measured last; of images that came since, nothing is known."""
    found = {}
    for dataset, task in params.contests if params.retrain.when == "drifted" else ():
        path, images = workspace.drift(dataset, task), workspace.raw(dataset) / "index.csv"
        known = files.read_json(path) if path.exists() and images.exists() else {"due": True}
        if not known["due"] and known["images"] == pin.images_digest(workspace.raw(dataset)):
            found[dataset, task] = f"{dataset} {known['reason']}"
    return found


def moves(params: Params, steady: Mapping[Contest, str], dataset: str) -> Moves:
    """When a pin follows the champion of a dataset."""
    if params.retrain.when == "always":
        return "always"
    known = [contest for contest in params.contests if contest[0] == dataset]
    return "never" if known and all(contest in steady for contest in known) else "with images"


def held(
    workspace: Workspace,
    params: Params,
    graph: Mapping[str, Stage],
    changed: Mapping[str, Change],
    steady: Mapping[Contest, str],
) -> dict[str, str]:
    """The addresses of the trainings that are stale because of images alone, which have not drifted; and why so."""
    found = {}
    for address, stage in graph.items():
        model = trained_by(workspace, stage)
        if model is None or model not in params.blocks:
            continue
        config = params.model(model)
        changes = [changed[name] for name in _with_predecessors(graph, address) if name in changed]
        sentence = steady.get((config.dataset, config.task))
        if sentence and changes and _are_of_images(workspace, config.dataset, changes):
            found[address] = sentence
    return found


def _with_predecessors(graph: Mapping[str, Stage], address: str) -> Iterator[str]:
    """A stage and all whose outputs it is made of."""
    yield address
    for before in graph[address].predecessors:
        yield from _with_predecessors(graph, before)


def _are_of_images(workspace: Workspace, dataset: str, changes: list[Change]) -> bool:
    """Whether nothing changed but the images of a dataset, and what follows from them."""
    places = (workspace.raw(dataset), workspace.prepared(dataset), workspace.features(dataset))
    images = {place.relative_to(workspace.root).as_posix() for place in places}
    return all(change.inputs <= images and not change.otherwise for change in changes)
