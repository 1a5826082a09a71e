"""`genflows doctor`: what a workspace needs of its machine, checked one by one; each failure names its fix."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from flows import environment
from gen import databases
from gen.errors import UserError, describe
from gen.tracking.environment import without_secrets
from gen.workspace import Workspace

LEAST_FREE = 2 * 2**30
"""Bytes of free disk under which a first retrain does not fit."""
PATIENCE = 5.0
"""Seconds that a server has to answer."""
SET_UP = "Run `make run` (or `pip install --constraint constraints.txt --editable .`) to set up .venv anew."


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    found: str
    fix: str = ""
    """What to do; empty where all is well."""

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done."""
        return not self.fix


def examine(workspace: Workspace) -> Iterator[Check]:
    """All checks in the order in which they matter; each is made when it is asked for."""
    checks: tuple[Callable[[Workspace], Check], ...] = (
        python,
        packages,
        disk,
        git,
        dvc,
        remote,
        folders,
        params,
        accelerator,
        mlflow,
        prefect,
    )
    for check in checks:
        try:
            yield check(workspace)
        # A check that breaks is a finding too, and the others are still wanted.
        except Exception as error:
            found = describe(error) or f"{type(error).__name__}: {error}"
            yield Check(check.__name__, " ".join(found.split()), SET_UP)


def python(workspace: Workspace) -> Check:
    """The interpreter against `requires-python`."""
    from packaging.specifiers import SpecifierSet

    wanted = str(_project(workspace)["requires-python"])
    found = f"{platform.python_version()} ({sys.executable})"
    fits = SpecifierSet(wanted).contains(platform.python_version(), prereleases=True)
    return Check("python", found, "" if fits else f"Genflows needs Python {wanted}: make PYTHON=python3.12 run")


def packages(workspace: Workspace) -> Check:
    """The installed packages against the ranges in pyproject.toml."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in _project(workspace)["dependencies"]]
    faults = [fault for need in wanted if (fault := _fault(need.name, need.specifier.contains))]
    if faults:
        return Check("packages", "; ".join(faults), SET_UP)
    return Check("packages", f"{len(wanted)} as pyproject.toml asks")


def _fault(name: str, fits: Callable[..., bool]) -> str:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    return "" if fits(version, prereleases=True) else f"{name} {version} is outside the range"


def disk(workspace: Workspace) -> Check:
    """Free space where the workspace lies."""
    from flows.terminal import size

    free = shutil.disk_usage(workspace.root).free
    fix = f"Have at least {size(LEAST_FREE)} free: `genflows clean` says what can go."
    return Check("disk", f"{size(free)} free", "" if free >= LEAST_FREE else fix)


def git(workspace: Workspace) -> Check:
    """Git, and a repository around the workspace: DVC and provenance read it."""
    if not shutil.which("git"):
        return Check("git", "not installed", "Install git (Debian: `apt-get install git`).")
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=workspace.root,
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return Check("git", f"a repository at {done.stdout.strip()}")
    if (workspace.root / ".git").exists():
        return Check("git", "a repository without a commit", "Commit once: `git add --all && git commit`.")
    return Check("git", done.stderr.strip(), "Run `git init` and commit, or clone the project with git.")


def dvc(workspace: Workspace) -> Check:
    """The DVC repository, and whether its graph can be read."""
    from flows import stages

    if not (workspace.root / ".dvc").is_dir():
        return Check("dvc", "no DVC repository here", "Run `dvc init`, or `git checkout .dvc`.")
    try:
        return Check("dvc", f"{len(stages.graph(workspace))} stages in dvc.yaml")
    except UserError as error:
        return Check("dvc", str(error), "Mend dvc.yaml, or restore it: `git checkout dvc.yaml .dvc`.")


def remote(workspace: Workspace) -> Check:
    """The settings of the default DVC remote, where there is one; it is not asked."""
    from flows import remotes, stages

    try:
        found = stages.remote(workspace)
    except UserError as error:
        return Check("remote", str(error), "Correct .dvc/config.")
    if found is None:
        return Check("remote", "no default DVC remote: what is made stays on this machine")
    fault = remotes.fault(found)
    where = f"{found.name}, {without_secrets(found.url)}"
    return Check("remote", f"{where}: {fault[0]}", fault[1]) if fault else Check("remote", f"{where}, verified")


def folders(workspace: Workspace) -> Check:
    """Whether the folders that a retrain fills can be written."""
    root = workspace.root
    for folder in (root, root / "data", root / "runs", workspace.private):
        existing = folder if folder.exists() else root
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            reason = error.strerror or str(error)
            return Check("folders", f"{folder}: {reason}", f"Let this user write there: chown or chmod {existing}")
    return Check("folders", "data, runs and .genflows can be written")


def params(workspace: Workspace) -> Check:
    """params.yaml, with families and sources asked."""
    from flows import settings
    from gen import config

    values = config.read_yaml(workspace.params_file)
    try:
        settings.check(values)
    except UserError as error:
        return Check("params", str(error), "Correct params.yaml.")
    return Check("params", f"{len(values['models'])} models on {len(values['datasets'])} datasets")


def accelerator(workspace: Workspace) -> Check:
    """The device that params.yaml names."""
    import torch

    from gen import config

    device = config.load(workspace.params_file).machine.device
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[device]:
        fix = "Install torch for it and its driver (README), or `genflows --set machine.device=cpu`."
        return Check("accelerator", f"params.yaml asks for {device}, torch {torch.__version__} sees none", fix)
    if device == "cpu" and there["cuda"]:
        return Check("accelerator", f"{torch.cuda.get_device_name()}, not used (machine.device is cpu)")
    return Check("accelerator", torch.cuda.get_device_name() if device == "cuda" else f"{device}, as params.yaml asks")


def mlflow(workspace: Workspace) -> Check:
    """Whether MLflow answers: the workspace's own store, or the server that MLFLOW_TRACKING_URI names."""
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from gen.tracking import registry, store

    try:
        connected = store.connect(workspace)
        count = len(registry.versions(connected))
    except UserError as error:
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            return Check("mlflow", str(error), "Do as it says: nothing is lost, the files under runs/ hold it all.")
        fix = "Start that server, correct MLFLOW_TRACKING_URI, or unset it to use the workspace's own database."
        if databases.is_database(os.environ["MLFLOW_TRACKING_URI"]):
            return Check("mlflow", str(error), "Do as it says, or unset MLFLOW_TRACKING_URI.")
        return Check("mlflow", str(error).partition(" (")[0], fix)
    where = without_secrets(os.environ.get("MLFLOW_TRACKING_URI", "")) or "the workspace's own database"
    return Check("mlflow", f"{where}, {count} versions registered")


def prefect(workspace: Workspace) -> Check:
    """The Prefect server that PREFECT_API_URL names; without one each retrain starts its own."""
    import httpx

    address = os.environ.get("PREFECT_API_URL")
    if not address:
        return _prefect_of_our_own(workspace)
    try:
        httpx.get(f"{address.rstrip('/')}/health", timeout=PATIENCE).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fix = "Start it (`prefect server start`), correct PREFECT_API_URL, or unset it."
        return Check("prefect", without_secrets(f"{address} does not answer: {error}"), fix)
    return Check("prefect", without_secrets(address))


def _prefect_of_our_own(workspace: Workspace) -> Check:
    """The database of the server that a retrain starts."""
    named = environment.prefect_database()
    try:
        environment.check_prefect_database()
    except UserError as error:
        return Check(
            "prefect", str(error), "Do as it says; without that variable the workspace's own database is used."
        )
    home = without_secrets(named[1]) if named else (workspace.private / "prefect").relative_to(workspace.root)
    return Check("prefect", f"{metadata.version('prefect')}; a retrain starts its own server, kept in {home}")


def _project(workspace: Workspace) -> dict[str, Any]:
    """The table [project] of the workspace's pyproject.toml."""
    path: Path = workspace.root / "pyproject.toml"
    return dict(tomllib.loads(path.read_text(encoding="utf-8"))["project"])
