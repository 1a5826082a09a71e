"""What a schedule takes away by itself, and what it must not: a real cache, a real tree, experiments that are kept."""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows import experiments, logs, stored, tidying, versions, worktree
from flows.versions import Version
from gen import files
from gen.workspace import Workspace
from tests.conftest import ROOT, environment, run
from tests.flows.boxes import quiet
from tests.flows.toy import allow, make_toy

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie
NIGHT = datetime(2026, 11, 1, 3, tzinfo=UTC)


@pytest.fixture
def toy(tmp_path: Path) -> Workspace:
    """One whose schedule has retrained once."""
    toy = make_toy(tmp_path / "toy")
    allow(toy)
    toy.private.mkdir(exist_ok=True)
    run(worktree.follow(toy).root, "dvc", "repro", "-q")
    return toy


def age(*places: Path) -> None:
    """Let what lies there have been written more than a week ago."""
    moment = time.time() - tidying.AGE.total_seconds() - 60
    for place in places:
        for path in [place, *place.rglob("*")]:
            os.utime(path, (moment, moment), follow_symlinks=False)


def change(toy: Workspace, number: int) -> Workspace:
    """Another retrain, of another number."""
    (toy.root / "number").write_text(f"{number}\n")
    tree = worktree.follow(toy)
    run(tree.root, "dvc", "repro", "-q")
    return tree


def cached(toy: Workspace) -> set[str]:
    """What the files in DVC's cache hold."""
    return {path.read_text() for path in (toy.root / ".dvc/cache/files").rglob("*") if path.is_file()}


def runs(toy: Workspace) -> int:
    return sum(path.is_file() for path in (toy.root / ".dvc/cache/runs").rglob("*"))


def test_old_outputs_go_but_not_those_of_the_tree_an_experiment_or_this_week(toy: Workspace) -> None:
    kept = experiments.save(change(toy, 2), "kept", NIGHT)
    change(toy, 3)
    change(toy, 4)
    age(toy.root / ".dvc" / "cache")
    assert cached(toy) >= {"1\n", "2\n", "3\n", "4\n"}
    change(toy, 5)
    change(toy, 6)
    before = runs(toy)
    tidying.tidy(toy, quiet)
    assert not cached(toy) & {"1\n", "3\n", "4\n", "1\n1\n", "3\n3\n"}
    assert cached(toy) >= {"2\n", "5\n", "6\n"}
    assert runs(toy) < before
    tree = worktree.follow(toy)
    assert "up to date" in run(tree.root, "dvc", "repro").stdout
    run(toy.root, "git", "stash", "-q")
    run(toy.root, "dvc", "exp", "apply", "-q", kept)
    assert (toy.root / "w").read_text() == "2\n2\n"


def test_a_cache_that_lies_elsewhere_may_be_others_too(toy: Workspace, tmp_path: Path) -> None:
    shutil.move(toy.root / ".dvc" / "cache", tmp_path / "shared")
    run(toy.root, "dvc", "cache", "dir", "--local", str(tmp_path / "shared"))
    change(toy, 2)
    held = sorted((tmp_path / "shared").rglob("*"))
    assert held
    age(tmp_path / "shared")
    tidying.tidy(toy, quiet)
    assert sorted((tmp_path / "shared").rglob("*")) == held


def test_a_version_that_can_be_restored_stays(toy: Workspace) -> None:
    folder = toy.raw("digits")
    folder.mkdir()
    (folder / "index.csv").write_text("the first")
    first = stored.add(toy, folder)
    book = files.Journal(toy.private / "versions.jsonl")
    book.append({"dataset": "digits", "digest": first, "images": 1, "recorded": NIGHT.isoformat()})
    book.close()
    (folder / "index.csv").write_text("the second")
    stored.add(toy, folder)
    age(toy.root / ".dvc" / "cache")
    tidying.tidy(toy, quiet)
    assert isinstance(versions.restore(toy, "digits", first), Version)
    assert (folder / "index.csv").read_text() == "the first"


def test_checkpoints_go_when_nobody_went_on_for_a_week(toy: Workspace) -> None:
    old, gone_on_with, young = (toy.unfinished("vae", key * 16) for key in "abc")
    for folder in (old, gone_on_with, young):
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    over = toy.unfinished("vae", "d" * 16)
    locks = [folder.with_suffix(".lock") for folder in (gone_on_with, over)]
    for lock in locks:
        lock.touch()
    age(old, gone_on_with, *locks)
    (gone_on_with / "journal.jsonl").write_text("")
    tidying.tidy(toy, quiet)
    left = sorted((toy.private / "checkpoints").iterdir())
    assert left == [gone_on_with, locks[0], young], "a training that goes on keeps its lock"


def test_what_a_killed_retrain_left_half_written_in_the_schedules_tree_goes(toy: Workspace) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    half = worktree.tree_of(toy).root / "data" / "raw" / f".digits.{dead.pid}.partial"
    half.mkdir(parents=True)
    tidying.tidy(toy, quiet)
    assert not half.exists()


def test_logs_begin_anew_where_no_supervisor_sees_to_it(toy: Workspace) -> None:
    log = logs.folder(toy) / "schedule.log"
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"x" * (logs.MOST + 1))
    tidying.tidy(toy, quiet)
    assert log.stat().st_size == 0


def test_it_is_done_once_a_day_and_not_where_params_forbid_it(toy: Workspace) -> None:
    def tidied() -> bool:
        old = toy.unfinished("vae", "a" * 16)
        old.mkdir(parents=True, exist_ok=True)
        age(old)
        tidying.tidy(toy, quiet)
        return not old.exists()

    allowed = toy.params_file.read_text()
    toy.params_file.write_text(f"{allowed}retrain: {{clean: false}}\n")
    assert not tidied()
    toy.params_file.write_text(allowed)
    assert [tidied(), tidied()] == [True, False]
    yesterday = datetime.now(UTC) - timedelta(days=1)
    files.write_json(toy.private / tidying.BOOK, {"last": yesterday.isoformat()})
    assert tidied()


def test_while_dvc_is_at_work_nothing_goes(toy: Workspace) -> None:
    old = toy.unfinished("vae", "a" * 16)
    old.mkdir(parents=True)
    age(old)
    command = [sys.executable, "-c", TIDY, str(toy.root)]
    with stored.alone(toy):
        done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True)
    assert "DVC is at work" in done.stdout
    assert old.exists()


TIDY = """\
import sys
from pathlib import Path
from flows.tidying import tidy
from gen.workspace import Workspace
tidy(Workspace(Path(sys.argv[1])), print)
"""
