"""What a retrain would run, and about how long it would take: `genflows retrain --dry-run`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows import holding, settings, slots, speed, stages
from flows.following import trained_by
from flows.stages import Stage
from gen import config, files
from gen.config import Params
from gen.families.base import ModelConfig
from gen.workspace import Workspace


@dataclass(frozen=True)
class Planned:
    """One stage of a retrain that has not begun."""

    stage: Stage
    runs: bool
    """False where nothing changed, and where it would be held back."""
    seconds: float | None
    """What it took the last time it ran here, or would take; None where nobody knows."""
    estimated: bool = False
    """Whether that is an estimate: a training that never ran here with this budget, this block, this machine."""
    held: bool = False
    """Whether its images alone changed, and had not drifted when that was measured last."""


@dataclass(frozen=True)
class Plan:
    """All stages in their order, and the time that the known ones among those that would run take together."""

    stages: tuple[Planned, ...]
    seconds: float
    slots: int
    """Stages that run side by side."""


def plan(workspace: Workspace) -> Plan:
    """What a retrain would do. New images are found by `ingest` alone, so they are not foreseen here.

    A training whose time is not known is timed for some seconds; nothing is written. Raises UserError for a bad
    params.yaml, a bad dvc.yaml, or a model that this machine cannot train.
    """
    params = settings.check(config.read_yaml(workspace.params_file))
    graph = stages.graph(workspace)
    changed = stages.changed(workspace)
    held = holding.held(workspace, params, graph, changed, holding.remembered(workspace, params))
    stale = stages.stale(graph, changed, held)
    known = _durations(workspace)
    planned = [
        Planned(stage, address in stale, known.get(_known_as(workspace, params, stage)), held=address in held)
        for address, stage in graph.items()
    ]
    planned = _estimated(workspace, params, planned)
    return Plan(tuple(planned), _wall_time(params, planned), slots.slots(params.machine))


def taken(workspace: Workspace, params: Params, stage: Stage, seconds: float) -> dict[str, float]:
    """How long a stage took that has run just now, as `remember` wants it."""
    model = trained_by(workspace, stage)
    if model and workspace.provenance(model).exists():
        # One that was broken off went on: it took longer than its last part.
        seconds = max(seconds, files.read_json(workspace.provenance(model))["seconds"])
    return {_known_as(workspace, params, stage): round(seconds, 1)}


def remember(workspace: Workspace, seconds: Mapping[str, float]) -> None:
    """Keep how long stages took, for the plans to come."""
    files.write_json(_file(workspace), _durations(workspace) | dict(seconds))


def _known_as(workspace: Workspace, params: Params, stage: Stage) -> str:
    """Under which name a stage's time is kept. A training's is that of its budget, its block and its machine alone.

    A refresh has other budgets than the training from random weights of the same block.
    """
    model = trained_by(workspace, stage)
    if model is None:
        return stage.address
    effective = _effective(workspace, params, model)
    return f"{stage.address} {files.digest([effective.model_dump(), params.machine.model_dump()])[:16]}"


def _effective(workspace: Workspace, params: Params, model: str) -> ModelConfig:
    """The config that holds where a model's training would begin now: from random weights where nothing is pinned."""
    from gen import origin

    block, where = params.model(model), f"models.{model}"
    start, dataset = workspace.start(block.init), params.dataset(block.dataset)
    if not start.exists():
        return block.begun_from(champion=False, where=where)
    return origin.find(start, block, where, (dataset.channels, dataset.size, dataset.size)).config


def _estimated(workspace: Workspace, params: Params, planned: Sequence[Planned]) -> list[Planned]:
    """The same stages, with an estimate for each training that would run and whose time is not known."""
    models = {
        each.stage.address: model
        for each in planned
        if each.runs and each.seconds is None and (model := trained_by(workspace, each.stage))
    }
    rates = speed.measure(workspace, params, list(models.values()))
    return [
        replace(each, seconds=_effective(workspace, params, model).images / rates[model], estimated=True)
        if (model := models.get(each.stage.address))
        else each
        for each in planned
    ]


def _wall_time(params: Params, planned: Sequence[Planned]) -> float:
    """How long the stages that would run take together; one whose time nobody knows takes none."""
    running = [each for each in planned if each.runs]
    return slots.wall_time(
        {each.stage.address: each.seconds or 0.0 for each in running},
        slots.slots(params.machine),
        after={each.stage.address: each.stage.predecessors for each in running},
        alone=[
            each.stage.address
            for each in running
            if each.stage.orchestration.accelerator and params.machine.device != "cpu"
        ],
    )


def _durations(workspace: Workspace) -> dict[str, float]:
    return dict(files.read_json(_file(workspace))) if _file(workspace).exists() else {}


def _file(workspace: Workspace) -> Path:
    return workspace.private / "durations.json"
