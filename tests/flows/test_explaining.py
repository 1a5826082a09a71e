"""`genflows explain`, and its word taken: its commands, in an empty folder, make the same bytes."""

import subprocess
import sys
from pathlib import Path

from gen import files
from tests.conftest import cloned, environment, make_workspace, run

PARAMS = """\
machine: {device: cpu, threads: 1}
datasets:
  digits: {source: {kind: mnist-5k}, size: 28, channels: 1, extractor: digits, extractor_images: 1280}
models:
  vae: {family: vae, dataset: digits, network: convolutional, init: random, latent_dim: 4, width: 4,
        images: 256, batch: 32, learning_rate: 0.001, log_every: 128, checkpoint_every: 256}
judge: {samples: 256, seed: 0, resamples: 10}
"""


def test_rebuild_from_a_clean_clone_has_the_same_bytes(tmp_path: Path) -> None:
    made = make_workspace(tmp_path / "workspace", PARAMS)
    root, python = made.root, sys.executable
    run(root, python, "-m", "gen", "ingest", "digits")
    run(root, python, "-m", "gen", "extractor", "digits")
    run(root, python, "-m", "dvc", "add", "-q", "data/raw/digits", "data/extractors/digits")
    run(root, python, "-m", "dvc", "repro", "-q")
    commit = run(root, "git", "rev-parse", "HEAD").stdout.strip()
    run(root, python, "-m", "flows.cli", "judge", "digits")
    cloned(made, tmp_path / "colleague")
    (root / "params.yaml").write_text(PARAMS.replace("images: 256", "images: 512"))

    said = run(root, python, "-m", "flows.cli", "explain", "digits-sample/1").stdout
    weights = files.sha256_of_file(made.train("vae") / "model.safetensors")
    prepared = files.manifest_digest(made.prepared("digits"))
    for fact in (commit, weights, prepared, "digits-sample/1", "data/raw/digits.dvc"):
        assert fact in said
    assert "train 3," in said

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    commands = "\n".join(line for line in said.partition("To make it again")[2].splitlines()[1:])
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=elsewhere, env=environment(elsewhere / "rebuild"), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running stage 'train@vae'" in done.stdout
    assert files.sha256_of_file(elsewhere / "rebuild" / "runs" / "train" / "vae" / "model.safetensors") == weights
