"""A workspace of a few shell commands, in which the drivers can be tried in seconds."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from gen import files
from gen.workspace import Workspace
from tests.conftest import run

PARAMS = """\
machine: {device: cpu, threads: 1}
datasets:
  digits: {source: {kind: mnist-5k}, size: 28, channels: 1, extractor: digits}
models:
  vae: {family: vae, dataset: digits, network: convolutional, init: random, latent_dim: 4, width: 4,
        images: 512, batch: 32, learning_rate: 0.001, log_every: 128, checkpoint_every: 256}
judge: {samples: 512, seed: 0, resamples: 10}
"""

GRAPH = """\
stages:
  first:
    cmd: echo making a && cp number a
    deps:
      - number
    outs:
      - a
  second:
    foreach:
      - x
      - y
    do:
      cmd: echo ${item} begins >> order && sleep 0.5 && cp a ${item} && echo ${item} ends >> order
      deps:
        - a
      outs:
        - ${item}
      meta:
        prefect:
          accelerator: true
  third:
    cmd: test -e allowed || { echo "third is not allowed" >&2; exit 1; }; cat x y > z
    deps:
      - x
      - y
    outs:
      - z
  fourth:
    cmd: cp z w
    deps:
      - z
    outs:
      - w
"""


def make_toy(root: Path, graph: str = GRAPH) -> Workspace:
    """A git and DVC repository with a graph of shell commands; `third` fails until there is a file `allowed`."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(PARAMS)
    (root / "dvc.yaml").write_text(graph)
    (root / "number").write_text("1\n")
    (root / "data" / "extractors" / "digits").mkdir(parents=True)  # one that is there is not trained
    (root / "data" / "extractors" / "digits" / "keep").touch()
    (root / "data" / "raw").mkdir()
    run(root, "git", "init", "-q")
    run(root, "dvc", "init", "-q")
    (root / ".gitignore").write_text("/.genflows\n/report.html\n")
    run(root, "git", "add", "--all")
    run(root, "git", "-c", "user.name=toy", "-c", "user.email=toy@localhost", "commit", "-q", "-m", "A toy")
    return Workspace(root)


def allow(workspace: Workspace) -> None:
    """Let the stage `third` succeed."""
    (workspace.root / "allowed").touch()


def tree_of(workspace: Workspace) -> dict[str, str]:
    """All files of the user's tree by their digests, with git's index and branches; .genflows and DVC's cache aside."""
    names = [path for path in workspace.root.rglob("*") if path.is_file() and not path.is_symlink()]
    kept = [path.relative_to(workspace.root) for path in names]
    own = [path for path in kept if path.parts[0] not in (".git", ".genflows") and path.parts[:2] != (".dvc", "cache")]
    found = {
        str(path): files.sha256_of_file(workspace.root / path) for path in own if path.parts[:2] != (".dvc", "tmp")
    }
    said = run(workspace.root, "git", "status", "--porcelain")
    return found | {"status": said.stdout, "head": (workspace.root / ".git" / "HEAD").read_text()}


def eventually(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Whether `condition` holds within so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return bool(condition())


def commands(marker: object) -> list[str]:
    """The command lines of `processes(marker)`; of one that ends meanwhile, nothing."""
    lines = []
    for process in processes(marker):
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return lines


def processes(marker: object) -> list[psutil.Process]:
    """Processes, zombies aside, that work in or below the folder `marker` or have it in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == psutil.Process().pid:
                continue
            if Path(process.cwd()).is_relative_to(str(marker)) or any(
                str(marker) in word for word in process.cmdline()
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found
