"""What is recorded of a version's making, and what is refused where nobody could make it again."""

import json
import shutil
from pathlib import Path

import pytest

from gen import files
from gen.errors import UserError
from gen.steps.lineage import lineage
from gen.workspace import Workspace
from tests.conftest import run
from tests.gen import fabricated


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Trained outside of git."""
    workspace, params = fabricated.workspace(tmp_path_factory.mktemp("workspace"))
    fabricated.trained(workspace, params, "dcgan")
    return workspace


def as_if_from(made: Workspace, commit: str | None) -> None:
    path = made.provenance("dcgan")
    files.write_json(path, {**files.read_json(path), "commit": commit, "dirty": False})


def test_all_that_a_model_was_made_from_is_recorded(made: Workspace) -> None:
    as_if_from(made, "a" * 40)
    tags = lineage(made, "dcgan")
    weights = made.train("dcgan") / "model.safetensors"
    expected = {"commit": "a" * 40, "dirty": "false", "seed": "0", "budget": "64", "begun_from": "random weights"}
    assert tags.items() >= {**expected, "weights_sha256": files.sha256_of_file(weights)}.items()
    assert float(tags["seconds"]) > 0
    data = made.prepared("digits")
    assert json.loads(tags["inputs"])["data/prepared/digits"] == files.manifest_digest(data)
    assert json.loads(tags["images"]) == {split: {"images": 64} for split in ("train", "select", "report")}
    assert "untraceable" not in tags


def test_model_that_nobody_can_trace_is_refused_or_marked(made: Workspace, tmp_path: Path) -> None:
    as_if_from(made, None)
    with pytest.raises(UserError, match=r"knew no git commit\. .*git commit.*train@dcgan.*genflows judge --force"):
        lineage(made, "dcgan")
    assert lineage(made, "dcgan", force=True)["untraceable"] == "its training knew no git commit"
    (made.root / "dvc.lock").rename(tmp_path / "dvc.lock")
    try:
        with pytest.raises(UserError, match=r"no git commit and there is no dvc\.lock"):
            lineage(made, "dcgan")
    finally:
        (tmp_path / "dvc.lock").rename(made.root / "dvc.lock")


def test_commit_that_holds_the_code_of_the_training_is_its_own(made: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(made.root, workspace.root)
    module = workspace.root / "gen" / "steps" / "train.py"
    files.write(module, "pass\n")
    path = workspace.train("dcgan") / "run.json"
    files.write_json(path, {**files.read_json(path), "code": {"gen/steps/train.py": files.sha256_of_file(module)}})
    as_if_from(workspace, None)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@t")
    run(workspace.root, "git", "init", "-q")
    with pytest.raises(UserError, match="no git commit"):
        lineage(workspace, "dcgan")
    run(workspace.root, *git, "add", "--all")
    run(workspace.root, *git, "commit", "-qm", "late")
    tags = lineage(workspace, "dcgan")
    assert tags["commit"] == run(workspace.root, "git", "rev-parse", "HEAD").stdout.strip()
    files.write(module, "changed\n")
    run(workspace.root, *git, "commit", "-qam", "other code")
    with pytest.raises(UserError, match="no git commit"):
        lineage(workspace, "dcgan")
