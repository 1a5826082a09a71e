"""The schedule's tree follows the user's, never writes into it, and keeps what a retrain left there for the next."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows import experiments, worktree
from gen.errors import UserError
from gen.workspace import Workspace
from tests.conftest import run
from tests.flows.toy import allow, make_toy, tree_of

NIGHTS = [datetime(2026, 11, day, 3, tzinfo=UTC) for day in (1, 2, 3)]


@pytest.fixture
def toy(tmp_path: Path) -> Workspace:
    toy = make_toy(tmp_path / "toy")
    toy.private.mkdir(exist_ok=True)
    return toy


def commit(workspace: Workspace) -> None:
    run(workspace.root, "git", "add", "--all")
    run(workspace.root, "git", "-c", "user.name=toy", "-c", "user.email=toy@localhost", "commit", "-q", "-m", "More")


def ref(workspace: Workspace, name: str) -> str:
    return run(workspace.root, "git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").stdout.strip()


def reproduce(tree: Workspace) -> str:
    return run(tree.root, "dvc", "repro").stdout


def test_it_holds_what_the_users_tree_holds_at_this_moment(toy: Workspace) -> None:
    allow(toy)
    (toy.root / "number").write_text("2\n")
    (toy.root / "folder").mkdir()
    (toy.root / "folder" / "new file").write_text("new")
    before = tree_of(toy)
    tree = worktree.follow(toy)
    assert tree.root == toy.private / "worktree"
    assert tree.private == toy.private
    assert tree.home == toy.root
    assert (tree.root / "number").read_text() == "2\n"
    assert (tree.root / "folder" / "new file").read_text() == "new"
    assert run(tree.root, "git", "status", "--porcelain").stdout.split() == [
        "M",
        "number",
        "??",
        "allowed",
        "??",
        "folder/",
    ]
    assert reproduce(tree)
    assert (tree.root / "w").read_text() == "2\n2\n"
    assert tree_of(toy) == before


def test_what_goes_from_the_users_tree_or_moves_with_a_commit_follows(toy: Workspace) -> None:
    stray = toy.root / "stray"
    stray.write_text("1")
    tree = worktree.follow(toy)
    stray.rename(toy.root / "moved")
    commit(toy)
    worktree.follow(toy)
    assert not (tree.root / "stray").exists()
    assert (tree.root / "moved").read_text() == "1"
    assert run(tree.root, "git", "status", "--porcelain").stdout == ""
    assert run(tree.root, "git", "rev-parse", "HEAD").stdout == run(toy.root, "git", "rev-parse", "HEAD").stdout


def test_what_a_retrain_left_stays_until_the_user_changes_his_own(toy: Workspace) -> None:
    allow(toy)
    tree = worktree.follow(toy)
    reproduce(tree)
    left = (tree.root / "dvc.lock").read_text()
    worktree.follow(toy)
    assert (tree.root / "dvc.lock").read_text() == left
    (toy.root / "number").write_text("3\n")
    reproduce(toy)
    worktree.follow(toy)
    assert (tree.root / "dvc.lock").read_text() == (toy.root / "dvc.lock").read_text() != left
    assert (tree.root / "w").read_text() == "3\n3\n"  # from the cache that both share
    assert "didn't change" in reproduce(tree)
    assert (tree.root / "order").read_text() == (toy.root / "order").read_text()


def test_folders_that_datasets_come_from_are_read_where_they_lie(toy: Workspace) -> None:
    params = toy.params_file.read_text().replace("{kind: mnist-5k}", "{kind: folder, path: images}")
    toy.params_file.write_text(params)
    (toy.root / "images").mkdir()
    (toy.root / "images" / "a.png").write_bytes(bytes(100))
    tree = worktree.follow(toy)
    assert not (tree.root / "images").exists()
    assert (tree.home / "images" / "a.png").exists()


def test_a_tree_that_was_damaged_is_made_anew(toy: Workspace) -> None:
    tree = worktree.follow(toy)
    (tree.root / ".git").unlink()
    worktree.follow(toy)
    assert (tree.root / "number").exists()
    shutil.rmtree(tree.root)
    worktree.follow(toy)
    assert (tree.root / "number").exists()


def test_without_a_commit_there_is_nothing_to_stand_on(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    run(tmp_path, "git", "init", "-q")
    with pytest.raises(UserError, match="`git commit`"):
        worktree.follow(Workspace(tmp_path))


def test_an_experiment_brings_the_retrain_into_the_users_tree(toy: Workspace) -> None:
    allow(toy)
    (toy.root / "number").write_text("4\n")
    (toy.root / ".env").write_text("PASSWORD=swordfish")
    before = tree_of(toy)
    tree = worktree.follow(toy)
    nothing = experiments.state(tree)
    reproduce(tree)
    assert experiments.state(tree) != nothing
    name = experiments.save(tree, "as it was", NIGHTS[0])
    assert tree_of(toy) == before
    assert name in run(toy.root, "dvc", "exp", "show", "--csv").stdout
    saved = run(toy.root, "git", "ls-tree", "-r", "--name-only", ref(toy, name)).stdout.split()
    assert {"dvc.lock", "number", "params.yaml"} <= set(saved)
    assert not {".env", "order"} & set(saved)
    run(toy.root, "dvc", "exp", "apply", "-q", name)
    assert "up to date" in reproduce(toy)
    assert (toy.root / "w").read_text() == "4\n4\n"


def test_an_experiment_says_nothing_of_a_stage_that_did_not_run(toy: Workspace) -> None:
    tree = worktree.follow(toy)
    assert run(tree.root, "dvc", "repro", "-q", "--keep-going", check=False).returncode
    name = experiments.save(tree, "half of it", NIGHTS[0])
    lock = run(toy.root, "git", "show", f"{ref(toy, name)}:dvc.lock").stdout
    assert "second@y" in lock
    assert "third" not in lock


def test_the_oldest_experiments_go(toy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "KEPT", 2)
    tree = worktree.follow(toy)
    saved = [experiments.save(tree, f"the night of {moment:%d}", moment) for moment in NIGHTS]
    listed = run(toy.root, "git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").stdout.split()
    assert listed == saved[-2:] == ["retrain-20261102-030000", "retrain-20261103-030000"]
