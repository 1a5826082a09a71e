"""train@MODEL: prepared images in, a published network with its journal and sample grids out."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gen import clock, files, images, origin, parallel, seen, selection, turns, unfinished
from gen.artifact import CONFIG, CRITICS, SEEN, WEIGHTS, Published
from gen.batches import opened
from gen.classes import Classes, Labels
from gen.config import Params
from gen.datasets import COPIES, Prepared
from gen.errors import LeftError, UserError
from gen.families.base import RANDOM, ModelConfig, Sampler
from gen.origin import Origin
from gen.parallel import Team
from gen.plane import SHOWN, scatter
from gen.reference import Space
from gen.runs import Identity, write_provenance
from gen.tensors import write_tensors
from gen.training import Record, Training, begin, fit, follow, lead
from gen.unfinished import Unfinished
from gen.workspace import Workspace

GRID = 64
"""Images of a sample grid."""
SETTLING = 10_000
"""Training images, at most, that a part which is not trained by steps is fitted to."""


def train(
    workspace: Workspace,
    params: Params,
    name: str,
    code: Mapping[str, str],
    say: Callable[[str], None] = print,
    leaving: Callable[[], bool] = lambda: False,
) -> None:
    """Train the model called `name` and write runs/train/NAME and runs/provenance/NAME.json.

    A training that was broken off goes on from its newest checkpoint, to the same bytes. `code` holds the digests of
    the first-party modules that this command imports; with params and data they make the key under which the run is
    known. `leaving` is asked at every step whether to keep what there is and end. Of several processes that train
    together each calls this, and the first one reads and writes for all.

    Where it begins from a champion that fits, the config is that of a refresh.

    Raises UserError for a dataset that the family cannot be trained on, for fewer images than a batch, for a start that
    was changed, and for a training that diverges; BusyError when another process trains the same; LeftError when it
    was asked to leave.
    """
    prepared, begun = possible(workspace, params, name)
    with contextlib.ExitStack() as stack:
        if parallel.leads():
            # Before it meets the others: they then wait without taking anything of the accelerator.
            stack.enter_context(turns.accelerator(params.machine.device, leaving))
        team = stack.enter_context(parallel.team(parallel.own_device(params.machine.device)))
        if team.size != params.machine.processes:
            raise UserError(
                f"This training was started as {team.size} processes, but `machine.processes` in params.yaml is "
                f"{params.machine.processes}, and results depend on it. Make both the same."
            )
        job = _Job(workspace, params, name, prepared, begun, team)
        if team.leads:
            _lead(job, code, lambda line: say(f"{name}  {line}"), leaving)
        else:
            follow(job.begin(), leaving)


def possible(workspace: Workspace, params: Params, name: str) -> tuple[Prepared, Origin]:
    """The images that the model called `name` is trained on, and where its training begins.

    Raises UserError, as `train`, for what cannot be trained.
    """
    block = params.model(name)
    copies = os.environ.get(COPIES)
    copy = f"{copies.rstrip('/')}/{block.dataset}" if copies else None
    prepared = Prepared(workspace.prepared(block.dataset), copy)
    labels = _labels(block, name, prepared)
    classes = labels.classes if labels else None
    begun = origin.find(workspace.start(block.init), block, f"models.{name}", prepared.shape, classes)
    _check(begun.config, name, prepared)
    return prepared, begun


def _labels(config: ModelConfig, name: str, prepared: Prepared) -> Labels | None:
    """Those of the training images, where the model is told them. Raises UserError where there are none."""
    if not config.conditional:
        return None
    labels = prepared.labelled("train", prepared.target)
    if labels is None:
        raise UserError(
            f"Model `{name}` is to learn classes, but not every image of `{config.dataset}` has a label. Set "
            f"models.{name}.classes to none, or bring images with labels: in a folder, one sub-folder for each class."
        )
    return labels


@dataclass(frozen=True)
class _Job:
    """What there is to train, and in which company."""

    workspace: Workspace
    params: Params
    name: str
    prepared: Prepared
    begun: Origin
    team: Team

    @property
    def config(self) -> ModelConfig:
        """Of the model, as it is where it begins."""
        return self.begun.config

    def begin(self) -> Training:
        """The training before its first step, from random weights."""
        domains = opened([self.prepared.images("train", domain) for domain in self.prepared.domains], self.team)
        labels = _labels(self.config, self.name, self.prepared)
        return begin(self.config, self.prepared.shape, domains, self.team, self.params.machine.precision, labels)

    @property
    def classes(self) -> Classes | None:
        """What the model is to know of them."""
        labels = _labels(self.config, self.name, self.prepared)
        return labels.classes if labels else None

    def recipe(self, code: Mapping[str, str]) -> Identity:
        """All that the result is a function of but the machine."""
        dataset = self.config.dataset
        folders = [self.workspace.prepared(dataset), self.workspace.features(dataset)]
        inputs = {self._relative(folder): files.manifest_digest(folder) for folder in folders}
        inputs[self._relative(self.workspace.start(self.config.init))] = self.begun.digest
        return Identity(f"python -m gen train {self.name}", {"model": self.config.model_dump()}, inputs, code)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.workspace.root).as_posix()


def _lead(job: _Job, code: Mapping[str, str], say: Callable[[str], None], leaving: Callable[[], bool]) -> None:
    """Train, and read and write for all processes."""
    workspace, name, config, machine = job.workspace, job.name, job.config, job.params.machine
    features = workspace.features(config.dataset)
    space = Space.load(features, machine.device)
    measuring = space if config.publish == "best" else None
    recipe = job.recipe(code)
    identity = replace(recipe, params={**recipe.params, "machine": machine.model_dump()})
    # By the recipe alone: on another machine it goes on, and says that it is not to the bit.
    place = workspace.unfinished(name, recipe.key)
    with turns.alone(place):
        training = job.begin()
        network = training.average.network
        shape = job.prepared.shape
        published = Published(
            *(name, config.family, config.task, config.dataset, shape, network, machine.device),
            classes=job.classes,
            box=job.prepared.box,
        )
        with contextlib.closing(Unfinished(place, identity, training, say)) as kept:
            _drive(kept, job.begun, lambda: _milestone(kept, published, job.prepared, measuring), leaving)
            kept.put_back_best()
            with files.fresh_folder(workspace.train(name)) as folder:
                kept.copy_out(folder)
                _publish(folder, published, training)
                seen.write(folder / SEEN, seen.look(job.prepared, features, space.extractor))
                identity.write(folder)
            facts = {"model": name, "images": config.images, "published_after": training.images}
            facts |= {"threads": machine.threads, "processes": job.team.size, "begun_from": job.begun.words}
            facts |= {"resumed_at": kept.resumed_at, "inexact": kept.inexact}
            facts |= {"clock": kept.clock.readings, "peak_memory_bytes": clock.peak()}
            write_provenance(workspace.provenance(name), workspace.root, kept.clock.seconds, machine.device, facts)
            kept.discard()


def _drive(kept: Unfinished, begun: Origin, milestone: Callable[[], None], leaving: Callable[[], bool]) -> None:
    """Train to the end of the budget, or of patience; show, journal, keep, go back and stop."""
    training, config = kept.training, kept.training.config
    resumed = kept.resume()
    if not resumed:
        for other in unfinished.others(kept.folder, kept.identity):
            kept.say(f"starts afresh: {other}")
        if config.init != RANDOM:
            kept.say(f"begins from {begun.words}")
        begun.enter(training)
    if not resumed or kept.owes_milestone:
        _pass(kept, milestone)
    lead(training, over=_is_over(kept))
    for moment in fit(training, leaving) if not kept.has_ended() else ():
        if moment.diverged:
            kept.roll_back()
            lead(training, over=False)
            continue
        if moment.record:
            kept.record(moment.record)
            kept.say(_line(moment.record, config))
        if moment.images < config.images and moment.leaving:
            # Before what a milestone asks for: that may take longer than whoever asks will wait.
            kept.keep(milestone=False, owes_milestone=moment.milestone)
            raise LeftError(
                f"Stopped as asked: it has seen {moment.images:,} of {config.images:,} images, and they are kept. "
                "The same command goes on from there."
            )
        if moment.milestone:
            _pass(kept, milestone)
            lead(training, over=_is_over(kept))
        elif kept.is_due():
            kept.keep(milestone=False)
        if kept.has_ended():
            kept.say("ends: it collapsed" if kept.stopped else f"ends: {kept.stale} milestones in a row were no better")
            break


def _is_over(kept: Unfinished) -> bool:
    return kept.has_ended() or kept.training.images >= kept.training.config.images


def _pass(kept: Unfinished, milestone: Callable[[], None]) -> None:
    """Show and measure, and keep it unless that made the training go back."""
    before = kept.training.images
    milestone()
    if kept.training.images == before:
        kept.keep(milestone=True)


def _milestone(kept: Unfinished, published: Published, prepared: Prepared, space: Space | None) -> None:
    """Show what the generator makes now, and measure it; without a trace in the training that goes on."""
    learning = published.network.training
    published.network.eval()
    # What is measured is what is published.
    published.settle(_some(prepared))
    kept.show(_grid(published, prepared))
    made = selection.make(published, prepared, space) if space and kept.training.images else None
    published.network.train(learning)
    if made:
        kept.select(selection.measure(made, kept.training.images))
    # What is untrained shows every sign.
    if kept.training.images:
        signs = [*kept.training.trainer.signs(kept.losses()), *(made.signs if made else ())]
        # A generator that has just become better may learn tomorrow what it does not show today.
        settled = kept.stale > 0 or kept.training.images >= kept.training.config.images
        kept.notice([*signs, *(made.missing if made and settled else ())])


def _some(prepared: Prepared, block: int = 250) -> Iterator[images.Pixels]:
    """Training images for what is fitted when the weights stand still: the first, in the order of their hashes."""
    shards = prepared.images("train", prepared.target)
    for start in range(0, min(len(shards), SETTLING), block):
        yield shards[start : start + block]


def _grid(published: Published, prepared: Prepared) -> images.Pixels:
    """The same noise each time, or the same inputs beside their translations."""
    if published.box is not None:
        return scatter(published.generate(SHOWN, seed=0), behind=prepared.images("select", prepared.target)[:SHOWN])
    if isinstance(published.network, Sampler):
        return images.grid(published.generate(GRID, seed=0))
    inputs = prepared.images("select", prepared.domains[0])[: GRID // 2]
    pairs = zip(inputs, published.translate(inputs), strict=True)
    return images.grid(np.stack([image for pair in pairs for image in pair]), columns=8)


def _check(config: ModelConfig, name: str, prepared: Prepared) -> None:
    counts = [len(prepared.images("train", domain)) for domain in prepared.domains]
    wanted = 2 if config.task == "translate" else 1
    if len(counts) != wanted:
        raise UserError(
            f"Model `{name}` needs a dataset of {wanted} domain{'s' * (wanted > 1)}, but `{config.dataset}` has "
            f"{len(counts)} ({', '.join(prepared.domains)}). Name another dataset under models.{name}.dataset."
        )
    if min(counts) < config.least_images:
        raise UserError(
            f"Model `{name}` needs {config.least_images} training images, for its batches or its mixture, but the "
            f"train split of `{config.dataset}` has only {min(counts)}. Lower `batch` or `components` under "
            f"models.{name}, or bring more images."
        )


def _line(record: Record, config: ModelConfig) -> str:
    losses = "  ".join(f"{loss} {value:.4g}" for loss, value in record.losses.items())
    return f"{record.images:>9,} / {config.images:,} images  {losses}"


def _publish(folder: Path, published: Published, training: Training) -> None:
    """Write what others load: weights, all that is needed to build the network they fit, and to go on from them."""
    config, classes = training.config, published.classes
    write_tensors(folder / WEIGHTS, training.average.network.state_dict())
    learnt = origin.critics(training.trainer.networks, training.average.source)
    if learnt:
        write_tensors(folder / CRITICS, learnt)
    files.write_json(
        folder / CONFIG,
        {
            "format": 1,
            "model": published.name,
            "family": published.family,
            "task": published.task,
            "dataset": published.dataset,
            "shape": list(published.shape),
            "config": config.model_dump(),
            **({"classes": classes.model_dump()} if classes else {}),
            **({"box": published.box.model_dump()} if published.box else {}),
        },
    )
