"""`genflows clean`: what can be made again goes, what cannot stays."""

import os
import shutil
import subprocess
import sys

import pytest

from flows import cleaning, logs, standing
from gen import config, files
from gen.workspace import Workspace
from tests.conftest import run

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie


def heaps(workspace: Workspace) -> dict[str, cleaning.Heap]:
    """By the first word of what they are."""
    found = cleaning.heaps(workspace, config.load(workspace.params_file))
    return {heap.what.partition(":")[0]: heap for heap in found}


def test_a_fresh_workspace_has_nothing_to_clean(tiny: Workspace) -> None:
    assert set(heaps(tiny)) <= {"caches"}


def test_all_of_it_removed_leaves_a_workspace_that_is_up_to_date(copied: Workspace) -> None:
    (copied.private / "downloads").mkdir(parents=True)
    (copied.private / "downloads" / "images.gz").write_bytes(b"x" * 1000)
    assert "features" in heaps(copied)
    for heap in heaps(copied).values():
        heap.remove()
    assert not copied.feature_cache.exists()
    assert set(heaps(copied)) <= {"caches"}
    assert "up to date" in run(copied.root, sys.executable, "-m", "dvc", "status").stdout
    # The cache still holds the data: it comes back when its folder is lost.
    shutil.rmtree(copied.raw("digits"))
    run(copied.root, sys.executable, "-m", "dvc", "checkout", "-q")
    assert (copied.raw("digits") / "index.csv").exists()


def test_runs_of_models_that_are_gone_are_old(copied: Workspace) -> None:
    text = copied.params_file.read_text()
    begin, end = text.index("  gan:"), text.index("  vae:")
    copied.params_file.write_text(text[:begin] + text[end:])
    old = heaps(copied)["old runs"]
    assert set(old.paths) == {copied.train("gan"), copied.evaluate("gan"), copied.provenance("gan")}
    old.remove()
    assert copied.train("vae").exists()
    assert "old runs" not in heaps(copied)


def test_an_output_that_nothing_names_any_more_is_an_old_version(copied: Workspace) -> None:
    assert "old versions" not in heaps(copied)
    stray = copied.root / "notes.txt"
    stray.write_text("a first version")
    run(copied.root, sys.executable, "-m", "dvc", "add", "-q", "notes.txt")
    stray.write_text("a second version")
    run(copied.root, sys.executable, "-m", "dvc", "add", "-q", "notes.txt")
    old = heaps(copied)["old versions"]
    assert [path.read_text() for path in old.paths] == ["a first version"]
    assert old.bytes == len("a first version")


def test_a_version_that_can_be_restored_is_not_old(copied: Workspace) -> None:
    """Snapshots taken by `genflows ingest` stay, committed or not."""
    from flows import versions

    before = versions.ingest(copied, "digits", say=lambda _: None)
    shutil.rmtree(copied.raw("digits"))
    pointer = copied.raw("digits").with_name("digits.dvc")
    pointer.unlink()
    assert "old versions" not in heaps(copied)
    assert versions.find(copied, "digits", before.digest[:8]).digest == before.digest


def test_what_a_dead_process_left_half_written_goes(tiny: Workspace) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    half = tiny.root / "data" / "raw" / f".digits.{dead.pid}.partial"
    growing = tiny.root / "data" / "raw" / f".digits.{os.getpid()}.partial"
    half.mkdir(parents=True)
    growing.mkdir()
    assert heaps(tiny)["left-overs"].paths == (half,)


def test_logs_stay_while_something_is_up_that_writes_into_them(tiny: Workspace) -> None:
    logs.folder(tiny).mkdir(parents=True)
    (logs.folder(tiny) / "schedule.log").write_text("It runs.")
    with files.lock(standing.lock(tiny)):
        tiny.published("vae").mkdir(parents=True)
        assert logs.folder(tiny) not in heaps(tiny)["caches"].paths
    assert logs.folder(tiny) in heaps(tiny)["caches"].paths
