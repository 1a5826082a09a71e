"""A schedule by the clock, as it is brought up and left alone for some minutes beside somebody who works."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.upped import Upped
from tests.conftest import ROOT, environment, run
from tests.flows.toy import PARAMS, eventually, make_toy, tree_of

GRAPH = """\
stages:
  seed:
    cmd: grep -o 'seed[^,]*' params.yaml > seed
    params:
      - judge.seed
    outs:
      - seed
  loud:
    cmd: tr a-z A-Z < seed > loud
    deps:
      - seed
    outs:
      - loud
"""


@pytest.fixture
def upped(tmp_path: Path) -> Iterator[Upped]:
    upped = Upped(make_toy(tmp_path / "toy", GRAPH), environment(ROOT))
    came = upped.up("* * * * *")
    assert came.returncode == 0, came.stdout + came.stderr
    yield upped
    upped("down")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_it_fires_three_times_in_a_row_and_the_last_can_be_taken_over(upped: Upped) -> None:
    toy, root = upped.workspace, upped.workspace.root
    (root / "notes").write_text("the user is at work")
    for number in (1, 2, 3):
        # Nobody commits it: each firing takes the tree as it is then.
        toy.params_file.write_text(PARAMS.replace("seed: 0", f"seed: {number}"))
        before = tree_of(toy)
        assert eventually(lambda number=number: len(_experiments(root)) == number, seconds=240)
        assert tree_of(toy) == before
        assert (toy.private / "worktree" / "loud").read_text() == f"SEED: {number}\n"
    assert eventually(lambda: len(_fired(upped)) >= 3 and "RUNNING" not in _fired(upped), seconds=60)
    assert set(_fired(upped)) == {"COMPLETED"}, "and none was thought to be dead"
    assert upped("down").returncode == 0

    run(root, "git", "stash", "--quiet", "--include-untracked")
    run(root, "dvc", "exp", "apply", "-q", _experiments(root)[-1])
    assert "up to date" in run(root, "dvc", "repro").stdout
    assert (root / "loud").read_text() == "SEED: 3\n"
    assert "seed: 3" in toy.params_file.read_text()


def _experiments(root: Path) -> list[str]:
    """The names of the schedule's, oldest first."""
    return run(root, "git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps/*/*/retrain-*").stdout.split()


def _fired(upped: Upped) -> list[str]:
    """How the retrains that began stand, in their order; none while the server does not answer."""
    return [run["state_type"] for run in upped.runs()]
