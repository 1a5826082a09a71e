"""Scheduled retrains as DVC's experiments: `dvc exp show` lists them, `dvc exp apply` brings one back.

An experiment is a commit on the user's one, under a name that git keeps (refs/exps/...). `dvc exp save` makes the same,
but not for us: it runs `dvc commit --force` before, after which dvc.lock says of a stage that failed or was held back
that it ran on what is there now; and two that run side by side damage each other.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from gen import files
from gen.errors import UserError
from gen.workspace import Workspace

KEPT = 100
"""Experiments of the schedule that stay; what only older ones name, `genflows clean` may take."""
PREFIX = "retrain-"
NEW = [":(glob)**/*.dvc", ":(glob)**/dvc.lock", ":(glob)**/.gitignore", ":(glob)**/*.py"]
"""What is saved though git does not track it yet. All else may be private, and experiments are pushed."""
AUTHOR = {
    f"GIT_{who}_{what}": said
    for who in ("AUTHOR", "COMMITTER")
    for what, said in (("NAME", "Genflows"), ("EMAIL", "genflows@localhost"))
}


def state(tree: Workspace) -> str:
    """The digest of all that says what the tree's data and results are: params.yaml, dvc.lock, the pointers."""
    places = [tree.params_file, tree.root / "dvc.lock", *sorted((tree.root / "data").glob("*/*.dvc"))]
    return files.digest(
        {path.relative_to(tree.root).as_posix(): files.sha256_of_file(path) for path in places if path.exists()}
    )


def save(tree: Workspace, message: str, moment: datetime) -> str:
    """Save what git tracks of the tree, with code and DVC's files, as an experiment of its commit; returns its name.

    The oldest of the schedule's own go, beyond KEPT of them. Raises UserError where git cannot.
    """
    name = f"{PREFIX}{moment:%Y%m%d-%H%M%S}"
    base = _git(tree, "rev-parse", "HEAD")
    with tempfile.TemporaryDirectory() as scratch:
        index = AUTHOR | {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        _git(tree, "read-tree", base, environment=index)
        _git(tree, "add", "--update", ":/", environment=index)
        new = _git(tree, "ls-files", "-z", "--others", "--exclude-standard", "--", *NEW, environment=index)
        _git(tree, "update-index", "--add", "--", *filter(None, new.split("\0")), environment=index)
        saved = _git(tree, "write-tree", environment=index)
        commit = _git(tree, "commit-tree", saved, "-p", base, "-m", message, environment=index)
    _git(tree, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit, "")
    for old in _ours(tree)[:-KEPT]:
        _git(tree, "update-ref", "-d", old)
    return name


def _ours(tree: Workspace) -> list[str]:
    """The schedule's own, by their full names, oldest first."""
    found = _git(tree, "for-each-ref", "--format=%(refname)", "refs/exps/*/*/*").split()
    return sorted((ref for ref in found if ref.split("/")[-1].startswith(PREFIX)), key=lambda ref: ref.split("/")[-1])


def _git(tree: Workspace, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=tree.root,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"The retrain could not be saved as an experiment: git says: {' '.join(done.stderr.split())}")
    return done.stdout.strip()
