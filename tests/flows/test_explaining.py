"""`genflows explain`, and its word taken: its commands, in an empty folder, make the same bytes."""

import subprocess
import sys
from pathlib import Path

import pytest

from gen import files
from gen.workspace import Workspace
from tests.conftest import cloned, environment, run


@pytest.mark.long
def test_rebuild_from_a_clean_clone_has_the_same_bytes(copied: Workspace, tmp_path: Path) -> None:
    root, genflows = copied.root, (sys.executable, "-m", "flows.cli")
    commit = run(root, "git", "rev-parse", "HEAD").stdout.strip()
    run(root, *genflows, "judge", "digits")
    cloned(copied, tmp_path / "colleague")
    copied.params_file.write_text(copied.params_file.read_text().replace("images: 512", "images: 1024"))

    said = run(root, *genflows, "explain", "digits-sample/1").stdout
    (model,) = (name for name in ("gan", "vae") if f"dvc repro train@{name}" in said)
    weights = files.sha256_of_file(copied.train(model) / "model.safetensors")
    prepared = files.manifest_digest(copied.prepared("digits"))
    for fact in (commit, weights, prepared, "digits-sample/1", "data/raw/digits.dvc", "train 3,"):
        assert fact in said

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    commands = "\n".join(line for line in said.partition("To make it again")[2].splitlines()[1:])
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=elsewhere, env=environment(elsewhere / "rebuild"), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Running stage 'train@{model}'" in done.stdout
    assert files.sha256_of_file(elsewhere / "rebuild" / "runs" / "train" / model / "model.safetensors") == weights
