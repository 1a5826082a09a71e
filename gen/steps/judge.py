"""judge: the best new model of a task registered as challenger, held against the champion, promoted if it is better."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gen import artifact, files, guards
from gen import judge as court
from gen.config import Params
from gen.datasets import Prepared
from gen.errors import UserError
from gen.feature_cache import remembering
from gen.images import write_png
from gen.judge import Contender, Verdict
from gen.measure import pictures
from gen.metrics.card import Figure, differences
from gen.reference import Reference
from gen.ruling import Standard
from gen.runs import Identity
from gen.signing import Signer
from gen.steps.exports import exports
from gen.steps.lineage import lineage
from gen.steps.publish import publish
from gen.tracking import registry
from gen.tracking.promotion import is_step_back, promote
from gen.tracking.registry import Version, registered_name
from gen.tracking.store import Store, TrackingUnavailable, connect
from gen.workspace import Workspace

MOST_OF_A_TAG = 4000
"""Characters of a tag that MLflow keeps."""


def judge(
    workspace: Workspace, params: Params, dataset: str, task: str, store: Store | None = None, force: bool = False
) -> Verdict:
    """Register the best model of `task` on `dataset`, judge it against the champion, and promote it where it is better.

    The verdict stays in `workspace.verdict(dataset, task)` (verdict.json, run.json, challenger.png, champion.png) and
    is not made again while its inputs are the same. A model that nobody could trace back to its code and data is
    registered only with `force`, and marked. Raises UserError for one without, and when no model of the task is
    measured on the current data; ChampionMovedError when the champion was moved meanwhile, TrackingUnavailable when
    MLflow does not answer: then nothing is decided.
    """
    contenders = ranked(workspace, params, dataset, task)
    store = store or connect(workspace)
    challenger = _register(workspace, params, contenders[0], store, force)
    standard = Standard(params.promotion.level(len(contenders)), params.promotion.effect(dataset))
    case = Case(workspace, params, dataset, standard, challenger, registry.champion(store, challenger.name))
    folder = workspace.verdict(dataset, task)
    known = read(folder)
    if known and files.read_json(folder / "run.json")["key"] == case.identity.key:
        verdict = known
    else:
        verdict = _decide(case, store, folder, known)
    if verdict.decision == "promote":
        promote(store, challenger, case.champion.number if case.champion else None, " ".join(verdict.reasons))
    return verdict


def ranked(workspace: Workspace, params: Params, dataset: str, task: str) -> list[str]:
    """Names of the models of a task that are measured on the current data, the best by its deciding figure first.

    One that a guard would keep out if it were the first of its task comes after all others. Raises UserError when
    there is none, or when they were not measured alike.
    """
    places, deciding = {}, {}
    for model in params.blocks:
        config = params.model(model)
        if (config.dataset, config.task) == (dataset, task) and _is_current(workspace, model):
            known, deciding[model] = _figures(workspace, model)
            kept_out = not all(guard.passed for guard in guards.check(known, None))
            value = deciding[model].value
            places[model] = (kept_out, math.inf if math.isnan(value) else deciding[model].cost, model)
    if not places:
        raise UserError(
            f"No model of the task `{task}` on dataset `{dataset}` is trained and measured on the current data. "
            "Run `genflows retrain`, or `dvc repro`, and judge again."
        )
    _require_equal_cards(deciding)
    return sorted(places, key=lambda model: places[model])


def _require_equal_cards(deciding: Mapping[str, Figure]) -> None:
    """Raise UserError when two models' deciding figures have no order."""
    (first, figure), *others = deciding.items()
    for other, another in others:
        if fields := ", ".join(differences(asdict(figure.card), asdict(another.card))):
            raise UserError(
                f"`{first}` and `{other}` were measured differently ({fields}), so neither is better. "
                "Have both measured by the current params.yaml and code with `dvc repro`, and judge again."
            )


def read(folder: Path) -> Verdict | None:
    """The verdict that a folder holds; None where there is none, or it is not what was written."""
    try:
        files.verify(folder)
    except UserError:
        return None
    return Verdict.from_json(files.read_json(folder / "verdict.json"))


def _is_current(workspace: Workspace, model: str) -> bool:
    """Whether a model's figures are those of the weights, the data and the reference that lie here now."""
    try:
        inputs = files.read_json(workspace.evaluate(model) / "run.json")["inputs"]
        return all(files.manifest_digest(workspace.root / path) == digest for path, digest in inputs.items())
    except (UserError, FileNotFoundError):
        return False


def _figures(workspace: Workspace, model: str) -> tuple[dict[str, Figure], Figure]:
    """A model's figures by name, and the one that it is ranked by."""
    metrics = files.read_json(workspace.evaluate(model) / "metrics.json")
    known = {figure["name"]: Figure.from_json(figure) for figure in metrics["figures"]}
    return known, known[metrics["rank_by"]]


def _register(workspace: Workspace, params: Params, model: str, store: Store, force: bool) -> Version:
    """The registered version of a model's weights, signed where there is a key; only other weights make another one."""
    run = publish(workspace, params, model, store)
    train, config = workspace.train(model), params.model(model)
    _, figure = _figures(workspace, model)
    tags = {
        **lineage(workspace, model, force),
        "model": model,
        **{name: getattr(config, name) for name in ("family", "dataset", "task")},
        "metric": figure.name,
        "value": "" if math.isnan(figure.value) else repr(figure.value),
        "eval_id": figure.card.eval_id,
        "lower_is_better": json.dumps(figure.lower_is_better),
    }
    name, key = registered_name(config.dataset, config.task), files.read_json(train / "run.json")["key"]
    digest = files.manifest_digest(workspace.published(model))
    version = registry.register(store, name, key, run, digest, tags)
    registry.annotate(store, version, exports(workspace.published(model), version.tags))
    signer = Signer.from_environment()
    return registry.sign(store, version, signer) if signer and version.signer != signer.public else version


@dataclass(frozen=True)
class Case:
    """What a verdict is about."""

    workspace: Workspace
    params: Params
    dataset: str
    standard: Standard
    challenger: Version
    champion: Version | None

    @property
    def identity(self) -> Identity:
        """What the verdict is a function of."""
        reference = self.workspace.reference(self.dataset)
        return Identity(
            command=f"genflows judge {self.dataset}",
            params={
                "judge": self.params.judge.model_dump(),
                "standard": asdict(self.standard),
                "withdrawn": self.challenger.withdrawn,
                "step_back": is_step_back(self.challenger, self.champion),
            },
            inputs={
                "challenger": self.challenger.digest,
                "champion": self.champion.digest if self.champion else "",
                reference.relative_to(self.workspace.root).as_posix(): files.manifest_digest(reference),
            },
            code={},
        )


def _decide(case: Case, store: Store, folder: Path, known: Verdict | None) -> Verdict:
    """Measure and decide, and write the verdict down."""
    device = case.params.machine.device
    prepared = Prepared(case.workspace.prepared(case.dataset))
    places = (case.workspace.reference(case.dataset), case.workspace.features(case.dataset))
    reference = remembering(Reference.load(*places, device), case.workspace.feature_cache)
    challenger = _contender(store, case.challenger, device)
    try:
        champion = _contender(store, case.champion, device) if case.champion else None
        unusable = ""
    except TrackingUnavailable:
        raise
    except UserError as error:
        champion, unusable = None, str(error)
    verdict = court.judge(challenger, champion, prepared, reference, case.params.judge, case.standard)
    if unusable:
        reasons = ("The champion cannot be measured, so nothing is decided; `genflows promote` is yours.", unusable)
        verdict = replace(verdict, decision="undecided", reasons=reasons)
    elif case.challenger.withdrawn and verdict.decision == "promote":
        reason = f"It was taken out of use ({case.challenger.withdrawn}): only `genflows promote` brings it back."
        verdict = replace(verdict, decision="keep", reasons=(*verdict.reasons, reason))
    elif is_step_back(case.challenger, case.champion) and verdict.decision == "promote":
        reason = "The champion is signed and it is not: sign it with `genflows judge` and GENFLOWS_SIGNING_KEY."
        verdict = replace(verdict, decision="keep", reasons=(*verdict.reasons, reason))
    # What made a model the champion is worth more than the note that it still is.
    if not (known and champion and known.challenger.key == challenger.key == champion.key):
        _write(case, folder, verdict, prepared, [challenger, champion])
        registry.annotate(store, case.challenger, _tags(verdict))
    return verdict


def _tags(verdict: Verdict) -> dict[str, str]:
    """The verdict as tags of the challenger: by them versions are found in MLflow."""
    figures = {**asdict(verdict.gain), "level": verdict.standard.level} if verdict.gain and verdict.standard else {}
    return {
        "verdict": verdict.decision,
        "verdict.reasons": " ".join(verdict.reasons)[:MOST_OF_A_TAG],
        "verdict.champion": str(verdict.champion.version) if verdict.champion else "",
        "verdict.kept_out_by": ", ".join(guard.figure for guard in verdict.guards if not guard.passed),
        **{f"verdict.gain.{name}": repr(value) for name, value in figures.items()},
    }


def _contender(store: Store, version: Version, device: str) -> Contender:
    """A registered version, loaded: what is judged is what would be promoted."""
    return Contender(artifact.load(registry.fetch(store, version), device), version.key, version.number)


def _write(case: Case, folder: Path, verdict: Verdict, prepared: Prepared, contenders: list[Contender | None]) -> None:
    with files.fresh_folder(folder) as fresh:
        files.write_json(fresh / "verdict.json", verdict.to_json())
        case.identity.write(fresh)
        for name, contender in zip(("challenger", "champion"), contenders, strict=True):
            if contender and contender.published.shape == prepared.shape:
                shown = pictures(contender.published, prepared, case.params.judge)
                write_png(fresh / f"{name}.png", next(iter(shown.values())))
