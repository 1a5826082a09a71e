import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows import stored, versions
from gen import config, files
from gen.errors import BadParamsError, UserError
from gen.extractors import lenet
from gen.features import Extractor
from gen.images import write_png
from gen.tensors import write_tensors
from gen.workspace import Workspace
from tests.conftest import ROOT, environment, run
from tests.flows.toy import make_toy

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie

PARAMS = """\
machine: {device: cpu, threads: 1}
datasets:
  stripes: {source: {kind: folder, path: images}, size: 8, channels: 1, extractor: stripes}
models:
  vae: {family: vae, dataset: stripes, network: convolutional, init: random, latent_dim: 4, width: 4,
        images: 512, batch: 32, learning_rate: 0.001, log_every: 128, checkpoint_every: 256}
judge: {samples: 512, seed: 0, resamples: 10}
"""


def quiet(_: str) -> None:
    """Say nothing."""


def add_images(workspace: Workspace, numbers: range) -> None:
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 1), dtype=np.uint8)
        write_png(workspace.root / "images" / f"{number}.png", pixels)


@pytest.fixture
def grown(tmp_path: Path) -> tuple[Workspace, versions.Version, versions.Version]:
    """A workspace whose folder of images was ingested, changed, and ingested again; and its two versions."""
    toy = make_toy(tmp_path / "toy")
    toy.params_file.write_text(PARAMS)
    add_images(toy, range(100))
    first = versions.ingest(toy, "stripes", say=quiet)
    add_images(toy, range(100, 107))
    (toy.root / "images" / "3.png").unlink()
    return toy, first, versions.ingest(toy, "stripes", say=quiet)


def test_versions_are_listed_compared_and_restored(
    grown: tuple[Workspace, versions.Version, versions.Version],
) -> None:
    toy, first, second = grown
    raw, pointer = toy.raw("stripes"), stored.pointer(toy.raw("stripes"))
    assert (first.images, second.images) == (100, 106)
    found = versions.versions(toy, "stripes")
    assert [(version.digest, version.current) for version in found] == [(first.digest, False), (second.digest, True)]

    again = versions.ingest(toy, "stripes", say=quiet)
    assert again.digest == second.digest
    assert len(versions.versions(toy, "stripes")) == 2, "the same images are no new version"

    changes = versions.difference(toy, "stripes", "previous", "current")
    assert changes == {"images": {"added": 7, "removed": 1, "relabelled": 0}}
    assert versions.difference(toy, "stripes", second.digest[:6], first.digest[:6])["images"]["added"] == 1

    after, content = pointer.read_text(), files.contents(raw)
    assert versions.restore(toy, "stripes", first.digest[:8]).digest == first.digest
    assert versions.find(toy, "stripes", "current").digest == first.digest
    files.verify(raw)
    assert files.contents(raw) != content
    versions.restore(toy, "stripes", second.digest)
    assert (pointer.read_text(), files.contents(raw)) == (after, content)


def test_a_version_whose_bytes_are_gone_leaves_all_as_it_is(
    grown: tuple[Workspace, versions.Version, versions.Version],
) -> None:
    toy, first, _ = grown
    pointer = stored.pointer(toy.raw("stripes"))
    before, content = pointer.read_text(), files.contents(toy.raw("stripes"))
    shutil.rmtree(toy.root / ".dvc" / "cache")
    with pytest.raises(UserError):
        versions.restore(toy, "stripes", first.digest)
    assert (pointer.read_text(), files.contents(toy.raw("stripes"))) == (before, content)
    with pytest.raises(UserError, match="dvc fetch"):
        versions.difference(toy, "stripes", "previous", "current")


def test_git_remembers_what_the_workspace_forgot(
    grown: tuple[Workspace, versions.Version, versions.Version],
) -> None:
    toy, first, second = grown
    versions.restore(toy, "stripes", first.digest)
    commit = ("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm")
    run(toy.root, "git", "add", "data/raw/stripes.dvc")
    run(toy.root, *commit, "first")
    versions.restore(toy, "stripes", second.digest)
    run(toy.root, *commit, "second", "-a")
    (toy.private / "versions.jsonl").unlink()
    found = versions.versions(toy, "stripes")
    assert {version.digest: version.images for version in found} == {first.digest: None, second.digest: None}


@pytest.mark.parametrize("name", ["zzzz", "", "previous"])
def test_a_version_that_is_not_one_is_told(
    grown: tuple[Workspace, versions.Version, versions.Version], name: str
) -> None:
    toy, first, _ = grown
    versions.restore(toy, "stripes", first.digest)  # there is none before it
    with pytest.raises(UserError, match="genflows data stripes"):
        versions.find(toy, "stripes", name)


def test_only_what_nothing_names_is_unused(grown: tuple[Workspace, versions.Version, versions.Version]) -> None:
    toy, first, _ = grown
    assert stored.unused(toy, {first.digest}) == []
    index = stored.cached(toy, first.digest, "index.csv")
    assert index in stored.unused(toy, set())
    stray = toy.root / "stray"
    stray.write_text("nobody's")
    stored.add(toy, stray)
    assert stored.unused(toy, {first.digest}) == []
    stored.pointer(stray).unlink()
    (unused,) = stored.unused(toy, {first.digest})
    assert unused.read_text() == "nobody's"


def test_derived_datasets_come_behind_their_bases(tiny: Workspace) -> None:
    params = config.load(tiny.params_file)
    assert versions.bases(params) == {"digits": (), "edges": ("digits",)}
    assert list(versions.bases(params)) == ["digits", "edges"]
    ring = tiny.params_file.read_text().replace(
        "kind: mnist-5k", "kind: derived\n      of: edges\n      drawing: edges"
    )
    tiny.params_file.write_text(ring)
    with pytest.raises(BadParamsError, match="derived in a ring"):
        versions.bases(config.load(tiny.params_file))
    tiny.params_file.write_text(ring.replace("of: edges", "of: nothing"))
    with pytest.raises(BadParamsError, match="no dataset `nothing`"):
        versions.bases(config.load(tiny.params_file))


def test_no_git_no_history(tmp_path: Path) -> None:
    assert subprocess.run(["git", "status"], cwd=tmp_path, capture_output=True).returncode != 0
    assert versions.versions(Workspace(tmp_path), "digits") == []


def test_an_imported_extractor_is_versioned_and_stays(tmp_path: Path) -> None:
    """The command, as typed; then what was imported is lost and comes back from DVC, and from nowhere else."""
    toy = make_toy(tmp_path / "toy")
    write_tensors(tmp_path / "weights.safetensors", lenet.LeNet().state_dict())
    toy.params_file.write_text(toy.params_file.read_text().replace("extractor: digits", "extractor: lenet"))
    command = [sys.executable, "-m", "flows.cli", "extractor", "lenet"]
    weights = ["--architecture", "lenet", "--weights", "../weights.safetensors"]

    def genflows(*arguments: str) -> subprocess.CompletedProcess[str]:
        settings = environment(toy.root) | {"PYTHONPATH": str(ROOT)}
        return subprocess.run([*command, *arguments], cwd=toy.root, env=settings, capture_output=True, text=True)

    missing = genflows()
    assert missing.returncode == 2
    assert "genflows extractor lenet --architecture" in missing.stderr
    done = genflows(*weights)
    assert done.returncode == 0, done.stderr
    assert "lenet: lenet, tap f6, 84 features, of weights.safetensors" in done.stdout
    pointer = stored.pointer(toy.extractor("lenet"))
    digest = stored.digest_in(pointer.read_text())
    assert f"version {digest[:8]}" in done.stdout
    for again in (genflows(), genflows(*weights)):
        assert again.returncode == 0, again.stderr
        assert "lenet: there already" in again.stdout
    assert genflows("--again").returncode != 0, "nothing trains it"
    before = Extractor.load(toy.extractor("lenet")).digest
    shutil.rmtree(toy.extractor("lenet"))
    assert genflows().returncode == 2
    stored.checkout(toy, pointer)
    assert Extractor.load(toy.extractor("lenet")).digest == before
    assert stored.digest_in(pointer.read_text()) == digest
