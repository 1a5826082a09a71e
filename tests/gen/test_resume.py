"""A training that is broken off goes on by the same command, to the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gen import artifact, config, files, selection, unfinished
from gen.artifact import Published
from gen.checkpoints import Checkpoints
from gen.errors import BusyError, LeftError
from gen.steps import train as step
from gen.workspace import Workspace
from tests.gen import fabricated
from tests.gen.killing import OVER, POINTS, run

MODELS = {"gan": "dcgan", "vae": "vae", "cyclegan": "edges2digits"}
# Ten steps each, a checkpoint before the first and after every second one.
PARAMS = (
    fabricated.PARAMS.replace("images: 64, batch: 16", "images: 160, batch: 16, ema_half_life: 50")
    .replace("images: 16, batch: 4", "images: 40, batch: 4, pool: 6, ema_half_life: 12")
)  # fmt: skip


def workspace(root: Path) -> Workspace:
    made, _ = fabricated.workspace(root)
    files.write(made.params_file, PARAMS)
    return made


def outcome(made: Workspace, model: str) -> str:
    files.verify(made.train(model))
    return files.manifest_digest(made.train(model))


def kept(made: Workspace, model: str) -> Checkpoints:
    (folder,) = (made.private / "checkpoints").glob(f"{model}-*[0-9a-f]/")
    return Checkpoints(folder, lambda _: None)


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digest of each family's run folder when nothing happens to it."""
    made = workspace(tmp_path_factory.mktemp("uninterrupted"))
    for model in MODELS.values():
        assert run(made.root, model, None)[0] == 0
    return {family: outcome(made, model) for family, model in MODELS.items()}


def cases() -> list[object]:
    """Each point with one family, and with the others where the long tests run too."""
    return [
        pytest.param(point, family, marks=[] if number % 3 == place else pytest.mark.long, id=f"{family}-{point}")
        for number, point in enumerate(POINTS)
        for place, family in enumerate(MODELS)
    ]


@pytest.mark.parametrize(("point", "family"), cases())
def test_a_killed_training_goes_on_to_the_same_bytes(
    point: str, family: str, tmp_path: Path, uninterrupted: dict[str, str]
) -> None:
    made, model = workspace(tmp_path), MODELS[family]
    assert run(tmp_path, model, point)[0] == -signal.SIGKILL
    newest = kept(made, model).newest()
    assert newest is not None
    code, said = run(tmp_path, model, None)
    assert code == 0
    assert said[0] == f"{model}  goes on from {newest.facts['counters']['images']:,} images"
    assert outcome(made, model) == uninterrupted[family]
    assert not list((made.private / "checkpoints").glob("*/"))
    provenance = files.read_json(made.provenance(model))
    assert provenance["resumed_at"] == [newest.facts["counters"]["images"]]
    journal = files.Journal.read(made.train(model) / "journal.jsonl")
    assert [images for images, *_ in provenance["clock"]] == [each["images"] for each in journal if each["losses"]]
    assert [seconds for _, seconds, *_ in provenance["clock"]] == sorted({each[1] for each in provenance["clock"]})


PLAYED = """network: mlp, latent_dim: 8, widths: [16, 32], gradient_penalty: 10, discriminator_steps: 2, images: 160,
            batch: 8, augment: [colour, translation, cutout]"""
BEYOND = {
    "wasserstein": f"family: gan, loss: wasserstein, {PLAYED}",
    # Of the losses that a target goes with.
    "adaptive": f"family: gan, loss: hinge, augment_target: 0.6, {PLAYED}",
    "residual": """family: gan, loss: relativistic, network: resnet, latent_dim: 8, width: 2, blocks: 1, r1: 1,
                   r2: {value: 1, to: 0.1}, images: 160, batch: 16""",
    "weighted": """family: vae, network: mlp, latent_dim: 5, widths: [16], posterior: iaf, flows: 2, flow_width: 12,
                   importance_samples: 3, binarisation: dynamic, images: 160, batch: 16""",
    "unet": "family: cyclegan, network: unet, width: 2, halvings: 1, pool: 6, images: 160, batch: 16",
}
# Ten steps each, as above.
EACH = "init: random, learning_rate: 0.001, log_every: 16, checkpoint_every: 32, ema_half_life: 50"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "adaptive" else pytest.mark.long) for name in BEYOND]
)
def test_with_all_that_a_config_may_remember_too(name: str, tmp_path: Path) -> None:
    head, _, rest = fabricated.PARAMS.partition("models:\n")
    dataset = "edges2digits" if name == "unet" else "digits"
    block = f"{{dataset: {dataset}, {EACH}, {BEYOND[name]}}}"
    text = f"{head}models:\n  {name}: {block}\n{rest[rest.index('judge:') :]}"
    ends = []
    for place, point in enumerate((None, "after a step", "before a checkpoint takes its place")):
        made, _ = fabricated.workspace(tmp_path / str(place))
        files.write(made.params_file, text)
        if point is not None:
            assert run(made.root, name, point)[0] == -signal.SIGKILL
        code, said = run(made.root, name, None)
        assert code == 0
        assert ("goes on from" in said[0]) == (point is not None)
        ends.append(outcome(made, name))
    assert ends == ends[:1] * 3


def test_what_is_over_is_removed_at_once_or_not_at_all(tmp_path: Path, uninterrupted: dict[str, str]) -> None:
    made = workspace(tmp_path)
    assert run(tmp_path, "vae", OVER)[0] == -signal.SIGKILL
    assert outcome(made, "vae") == uninterrupted["vae"]
    code, said = run(tmp_path, "vae", None)  # DVC was not told, so it runs again
    assert code == 0
    assert "goes on" not in said[0]
    assert outcome(made, "vae") == uninterrupted["vae"]
    assert not [path for path in (made.private / "checkpoints").iterdir() if path.is_dir()]


def test_a_journal_shorter_than_a_checkpoint_costs_the_checkpoint(
    tmp_path: Path, uninterrupted: dict[str, str]
) -> None:
    """As a power cut may leave it."""
    made = workspace(tmp_path)
    run(tmp_path, "vae", "when all is published")
    journal = kept(made, "vae").folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-10])
    _, said = run(tmp_path, "vae", None)
    assert "The journal is shorter than a checkpoint says" in said[0]
    assert "goes on from 128 images" in said[1]
    assert outcome(made, "vae") == uninterrupted["vae"]


def trained(made: Workspace, model: str, leave_after: int = 10**9) -> list[str]:
    """Train here and now; asked to leave after so many steps. What was said."""
    said: list[str] = []
    asked = iter(range(10**9))
    params = config.load(made.params_file)
    step.train(made, params, model, code={}, say=said.append, leaving=lambda: next(asked) >= leave_after)
    return said


@pytest.mark.parametrize("family", MODELS)
def test_when_it_was_kept_by_the_clock_makes_no_difference(
    family: str, tmp_path: Path, uninterrupted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, model = workspace(tmp_path), MODELS[family]
    monkeypatch.setattr(unfinished, "INTERVAL", 0.0)
    for steps in (1, 1, 0, 3):  # also at a milestone, before it is measured
        with pytest.raises(LeftError, match="Stopped as asked: it has seen .* The same command goes on"):
            trained(made, model, leave_after=steps)
    assert "goes on from" in trained(made, model)[0]
    assert outcome(made, model) == uninterrupted[family]


def test_with_every_draw_that_a_vae_makes_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """Pixels, codes of many samples and a flow; a KL that warms up, and a mixture fitted at milestones."""
    options = (
        "network: mlp, widths: [8], binarisation: dynamic, importance_samples: 2, posterior: iaf, flows: 2, "
        "flow_width: 6, beta: {value: 1, warm_up: 0.5}, components: 2"
    )
    text = PARAMS.replace("network: convolutional", options).replace("latent_dim: 4, width: 4", "latent_dim: 4")
    made, broken_off = workspace(tmp_path / "whole"), workspace(tmp_path / "broken_off")
    for each in (made, broken_off):
        files.write(each.params_file, text)
    trained(made, "vae")
    for steps in (2, 1):
        with pytest.raises(LeftError):
            trained(broken_off, "vae", leave_after=steps)
    assert "goes on from" in trained(broken_off, "vae")[0]
    assert outcome(broken_off, "vae") == outcome(made, "vae")


def test_other_inputs_start_afresh_and_say_why(tmp_path: Path) -> None:
    made = workspace(tmp_path)
    with pytest.raises(LeftError):
        trained(made, "vae", leave_after=1)
    files.write(made.params_file, PARAMS.replace("learning_rate: 0.001", "learning_rate: 0.002"))
    said = trained(made, "vae")
    assert "starts afresh: the unfinished training in" in said[0]
    assert said[0].endswith("had other params")


def test_another_torch_is_named_as_the_reason_for_other_bits(tmp_path: Path) -> None:
    made = workspace(tmp_path)
    with pytest.raises(LeftError):
        trained(made, "vae", leave_after=1)
    found = kept(made, "vae")
    newest = found.newest()
    assert newest is not None
    facts = {**newest.facts, "environment": newest.facts["environment"] | {"torch": "1.0.0", "threads": "7"}}
    found.save(facts["counters"]["images"], newest.tensors, facts, milestone=False)
    said = trained(made, "vae")[0]
    assert ", but not to the bit: " in said
    assert "torch was 1.0.0 and is " in said
    assert "threads was 7 and is " in said


def test_another_machine_goes_on_and_says_that_it_is_not_to_the_bit(tmp_path: Path) -> None:
    made = workspace(tmp_path)
    with pytest.raises(LeftError):
        trained(made, "vae", leave_after=1)
    files.write(made.params_file, PARAMS.replace("machine: {", "machine: {precision: bfloat16, "))
    reason = "precision was float32 and is bfloat16"
    assert trained(made, "vae")[0].endswith(f", but not to the bit: {reason}")
    assert files.read_json(made.provenance("vae"))["inexact"] == [reason]


def test_a_damaged_checkpoint_costs_the_way_from_the_one_before(tmp_path: Path, uninterrupted: dict[str, str]) -> None:
    made = workspace(tmp_path)
    run(tmp_path, "dcgan", "while the model is published")
    newest = max(kept(made, "dcgan").folder.glob("[0-9]*"))
    files.write(newest / "tensors.safetensors", b"?")
    _, said = run(tmp_path, "dcgan", None)
    assert "A checkpoint is damaged, so the one before it is used." in said[0]
    assert "goes on from 128 images" in said[1]
    assert outcome(made, "dcgan") == uninterrupted["gan"]


def test_a_training_that_diverges_goes_back_twice_and_then_fails(tmp_path: Path) -> None:
    made = workspace(tmp_path)
    files.write(made.params_file, PARAMS.replace("learning_rate: 0.001", "learning_rate: 1.0e+30"))
    said: list[str] = []
    with pytest.raises(Exception, match="Training diverged: around .* also after going back 2 times .* Lower"):
        step.train(made, config.load(made.params_file), "vae", code={}, say=said.append)
    assert [line for line in said if "went back" in line]


def test_two_processes_never_train_the_same(tmp_path: Path) -> None:
    made = workspace(tmp_path)
    with pytest.raises(LeftError):
        trained(made, "vae", leave_after=1)
    folder = kept(made, "vae").folder
    with files.lock(folder.with_suffix(".lock")), pytest.raises(BusyError, match="Another process trains the same"):
        trained(made, "vae")


def selected(made: Workspace, model: str) -> dict[int, float]:
    """What was measured on `select`, by images seen."""
    journal = files.Journal.read(made.train(model) / "journal.jsonl")
    return {record["images"]: record["select"]["kernel"] for record in journal if "select" in record}


@pytest.mark.parametrize(("family", "best"), [("gan", 96), ("vae", 32), ("cyclegan", 24)])
def test_the_best_step_is_published_and_not_the_last(
    family: str, best: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, model = workspace(tmp_path), MODELS[family]
    seen: dict[Any, dict[str, torch.Tensor]] = {}
    make, measure = selection.make, selection.measure

    def made_by(published: Published, *rest: Any) -> selection.Made:
        weights = {name: tensor.clone() for name, tensor in published.network.state_dict().items()}
        seen["newest"] = weights
        return make(published, *rest)

    def told(images: selection.Made, after: int) -> selection.Selected:
        seen[after] = seen.pop("newest")
        return replace(measure(images, after), value=0.5 if after == best else 1.0, spread=0.1)

    monkeypatch.setattr(selection, "make", made_by)
    monkeypatch.setattr(selection, "measure", told)
    with pytest.raises(LeftError):  # and it is remembered by another process
        trained(made, model, leave_after=8)
    trained(made, model)
    assert selected(made, model)[best] == 0.5
    assert files.read_json(made.provenance(model))["published_after"] == best < max(seen)
    published = artifact.load(made.train(model)).network.state_dict()
    assert [name for name in published if not torch.equal(published[name], seen[best][name])] == []


def test_what_is_published_last_is_not_measured(tmp_path: Path) -> None:
    made = workspace(tmp_path)
    files.write(made.params_file, PARAMS.replace("ema_half_life: 50", "publish: last"))
    trained(made, "vae")
    assert selected(made, "vae") == {}
    assert files.read_json(made.provenance("vae"))["published_after"] == 160


def test_a_measurement_tells_the_trained_from_the_untrained(tmp_path: Path) -> None:
    made = workspace(tmp_path)
    text = PARAMS.replace("learning_rate: 0.001", "learning_rate: 0.005").replace("images: 160", "images: 1600")
    files.write(made.params_file, text.replace("checkpoint_every: 32", "checkpoint_every: 320"))
    trained(made, "vae")
    values = selected(made, "vae")
    assert values[1600] < 0.7 * values[320]


def test_of_what_noise_does_not_tell_apart_the_last_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, values = workspace(tmp_path), {32: 1.0, 64: 0.50, 96: 0.47, 128: 0.59, 160: 0.61}
    monkeypatch.setattr(selection, "measure", lambda _, images: selection.Selected(images, values[images], 0.1))
    trained(made, "vae")
    assert files.read_json(made.provenance("vae"))["published_after"] == 128


def test_patience_ends_a_training_that_no_longer_improves(tmp_path: Path, uninterrupted: dict[str, str]) -> None:
    made = workspace(tmp_path)
    text = PARAMS.replace("ema_half_life: 50", "patience: 2").replace("learning_rate: 0.001", "learning_rate: 1.0e-09")
    files.write(made.params_file, text.replace("images: 160", "images: 3200"))
    said = trained(made, "vae")
    assert said[-1] == "vae  ends: 2 milestones in a row were no better"
    assert list(selected(made, "vae")) == [32, 64, 96]
    assert outcome(made, "vae") != uninterrupted["vae"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_what_there_is_and_leaves(number: signal.Signals, tmp_path: Path) -> None:
    made = workspace(tmp_path)
    files.write(made.params_file, PARAMS.replace("images: 160", "images: 16000000"))
    command = [sys.executable, "-m", "gen", "train", "vae"]
    child = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while "images" not in child.stdout.readline():
        assert child.poll() is None
    started = time.monotonic()
    os.kill(child.pid, number)
    _, error = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Stopped as asked: it has seen" in error
    assert time.monotonic() - started < 10
    newest = kept(made, "vae").newest()
    assert newest is not None
    seen = newest.facts["counters"]["images"]
    assert f"it has seen {seen:,} of 16,000,000 images" in error


def test_a_full_disk_costs_nothing_that_was_kept(tmp_path: Path, uninterrupted: dict[str, str]) -> None:
    """On a real full disk, a small one, with more and more room: so it fills up at one place after the other."""
    mount = f"mount -t tmpfs -o size=8m tmpfs {tmp_path} && exec {sys.executable} -m tests.gen.filling {tmp_path}"
    if subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True
    ).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    tries = [json.loads(line) for line in done.stdout.splitlines()]
    full = [attempt for attempt in tries if attempt["error"]]
    assert len(full) >= 5
    for attempt in full:
        assert attempt["error"].startswith("The disk is full: ")
        assert attempt["notices"] == attempt["partial"] == []
    assert len({attempt["seen"] for attempt in full}) >= 3, "it filled up at the same place each time"
    assert {attempt["digest"] for attempt in tries} == {uninterrupted["vae"]}
