"""What one person made, another one has: the way through a DVC remote, and the way through plain calls."""

import sys
from pathlib import Path

import pytest

from gen import config, files
from gen.steps.compare import compare
from gen.steps.evaluate import evaluate
from gen.steps.prepare import prepare
from gen.steps.reference import reference
from gen.steps.train import train
from gen.workspace import Workspace
from tests.conftest import cloned, run


def outs(workspace: Workspace) -> dict[str, str]:
    """SHA-256 of every file that stages make, but provenance, which differs by nature."""
    made = ("data/prepared", "data/features", "data/reference", "runs")
    folders = [workspace.root / name for name in made]
    return {
        path.relative_to(workspace.root).as_posix(): files.sha256_of_file(path)
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "provenance" not in path.parts and path.name != ".gitignore"
    }


def test_what_was_pushed_is_pulled_and_nothing_trains(copied: Workspace, tmp_path: Path) -> None:
    clone = cloned(copied, tmp_path)
    assert outs(clone) == outs(copied)
    done = run(clone.root, sys.executable, "-m", "dvc", "repro")
    assert "Running stage" not in done.stdout
    assert "up to date" in done.stdout


@pytest.mark.parametrize("model", ["gan", "vae", "cyclegan"])
def test_plain_calls_of_the_steps_make_the_bytes_that_dvc_made(finished: Workspace, tmp_path: Path, model: str) -> None:
    own = Workspace(tmp_path)
    (own.root / "data").mkdir()
    for folder in ("raw", "extractors", "starts"):
        (own.root / "data" / folder).symlink_to(finished.root / "data" / folder)
    params = config.load(finished.params_file)
    dataset = params.model(model).dataset
    prepare(own, params, dataset)
    reference(own, params, dataset)
    code = {
        step: files.read_json(getattr(finished, step)(model) / "run.json")["code"] for step in ("train", "evaluate")
    }
    train(own, params, model, code["train"], say=lambda _: None)
    evaluate(own, params, model, code["evaluate"])
    made, expected = outs(own), outs(finished)
    assert made
    assert made == {path: expected[path] for path in made}


def test_the_table_is_made_of_all_models(finished: Workspace, tmp_path: Path) -> None:
    own = Workspace(tmp_path)
    (own.root / "runs").mkdir()
    (own.root / "runs" / "evaluate").symlink_to(finished.root / "runs" / "evaluate")
    compare(own, config.load(finished.params_file))
    assert files.contents(own.compare) == files.contents(finished.compare)
