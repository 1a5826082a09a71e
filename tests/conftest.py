"""Workspaces in miniature: the repository's own code and graph, with budgets of a few hundred images."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gen.tracking.environment import SETTINGS, mlflow_environment
from gen.workspace import Workspace

ROOT = Path(__file__).parent.parent

# Tests run side by side: threads that wait for each other on busy cores would slow each other a hundredfold.
os.environ["OMP_NUM_THREADS"] = "1"

# Before anything imports mlflow, as the commands do.
mlflow_environment()

# A shell starts what it runs in the background with SIGINT ignored, and every child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

TINY = """\
machine:
  device: cpu
  threads: 1

datasets:
  digits:
    source:
      kind: mnist-5k
    size: 28
    channels: 1
    extractor: digits
    extractor_images: 6400
  edges:
    source:
      kind: derived
      of: digits
      drawing: edges
    size: 28
    channels: 1
    extractor: digits

models:
  gan:  # the smallest of its kind
    family: gan
    dataset: digits
    network: dcgan
    init: random
    latent_dim: 8
    width: 4
    images: 512
    batch: 32
    learning_rate: 0.0002
    ema_half_life: 128
    log_every: 128
    checkpoint_every: 256
  vae:
    family: vae
    dataset: digits
    network: convolutional
    init: random
    latent_dim: 4
    width: 4
    images: 512
    batch: 32
    learning_rate: 0.001
    log_every: 128
    checkpoint_every: 256
  cyclegan:
    family: cyclegan
    dataset: edges
    network: translator
    init: random
    width: 2
    blocks: 1
    halvings: 2
    pool: 8
    images: 32
    batch: 4
    learning_rate: 0.0002
    log_every: 8
    checkpoint_every: 16

judge:
  samples: 512
  seed: 0
  resamples: 10
"""


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no setting of the user's, and nobody calls home."""
    for name in list(os.environ):
        if name.startswith(("PREFECT_", "MLFLOW_", "GENFLOWS_NOTIFY", "GENFLOWS_DEBUG", "DVC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")


def environment(root: Path) -> dict[str, str]:
    """What a command of a tiny workspace runs with: our interpreter first, and its own code before ours."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(root / ".genflows" / "dvc"),
        "SHELL": "/bin/sh",
    }


def run(root: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in a workspace; a failure shows what it said."""
    done = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{command} left with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


def make_workspace(root: Path, params: str = TINY) -> Workspace:
    """A fresh clone, so to speak: code and graph of this repository, other params, git and DVC."""
    root.mkdir(parents=True, exist_ok=True)
    for folder in ("gen", "flows"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "pyproject.toml", "constraints.txt", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, root / name)
    (root / "data" / "starts").mkdir(parents=True)
    shutil.copy(ROOT / "data" / "starts" / "random", root / "data" / "starts" / "random")
    (root / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, root / ".dvc" / name)
    (root / "params.yaml").write_text(params)
    run(root, "git", "init", "-q")
    run(root, "git", "add", "-A")
    run(root, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start")
    return Workspace(root)


def reproduce(workspace: Workspace) -> None:
    """The way by hand: ingest, extractor, dvc repro."""
    root, python = workspace.root, sys.executable
    for dataset in ("digits", "edges"):
        run(root, python, "-m", "gen", "ingest", dataset)
    run(root, python, "-m", "gen", "extractor", "digits")
    run(root, python, "-m", "dvc", "add", "-q", "data/raw/digits", "data/raw/edges", "data/extractors/digits")
    run(root, python, "-m", "dvc", "repro", "-q")


def cloned(workspace: Workspace, folder: Path) -> Workspace:
    """What a colleague has: results committed and pushed, cloned into `folder`, pulled from a DVC remote beside it."""
    git, dvc = ("git", "-c", "user.name=t", "-c", "user.email=t@t"), (sys.executable, "-m", "dvc")
    run(workspace.root, *dvc, "remote", "add", "-d", "store", str(folder / "remote"))
    run(workspace.root, *dvc, "remote", "modify", "store", "verify", "true")
    run(workspace.root, *git, "add", "-A")
    run(workspace.root, *git, "commit", "-qm", "results")
    run(workspace.root, *dvc, "push", "-q")
    clone = Workspace(folder / "clone")
    subprocess.run(["git", "clone", "-q", workspace.root, clone.root], check=True)
    run(clone.root, *dvc, "pull", "-q")
    return clone


@pytest.fixture
def tiny(tmp_path: Path) -> Workspace:
    """A tiny workspace in which nothing has run."""
    return make_workspace(tmp_path / "workspace")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny workspace after ingest, extractor and `dvc repro`, made once for all workers. Read only."""
    from gen import files

    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    root = shared / "finished"
    with files.lock(shared / "finished.lock"):
        if not (root / "runs" / "compare").exists():
            shutil.rmtree(root, ignore_errors=True)
            reproduce(make_workspace(root))
    return Workspace(root)


@pytest.fixture
def copied(finished: Workspace, tmp_path: Path) -> Workspace:
    """A finished workspace of one's own, to change."""
    root = tmp_path / "copied"
    shutil.copytree(finished.root, root, symlinks=True)
    return Workspace(root)
