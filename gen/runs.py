"""What identifies a run: the stage key, and the provenance that is kept beside it."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import torch

from gen import files


@dataclass(frozen=True)
class Identity:
    """All that a stage's outputs are a function of. It is written into them as run.json."""

    command: str
    params: Mapping[str, Any]
    """Resolved: defaults included."""
    inputs: Mapping[str, str]
    """Digests by path relative to the workspace."""
    code: Mapping[str, str]
    """Digests of the first-party modules that the command imports, by path."""

    @property
    def key(self) -> str:
        """The stage's key: equal keys mean equal outputs on one build of the machine."""
        return files.digest(asdict(self))

    def write(self, folder: Path) -> None:
        """Write run.json into an output folder."""
        files.write_json(folder / "run.json", {"key": self.key, **asdict(self)})


def imported_code() -> dict[str, str]:
    """Digests of the modules of `gen` that this process has imported, by path relative to the package's folder."""
    package = Path(__file__).parent
    paths = sorted(
        Path(file)
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "gen" and (file := getattr(module, "__file__", None))
    )
    # `python -m gen` runs __main__ under that name, so sys.modules lists it apart.
    paths.append(package / "__main__.py")
    return {path.relative_to(package.parent).as_posix(): files.sha256_of_file(path) for path in sorted(set(paths))}


def write_provenance(path: Path, root: Path, seconds: float, device: str, facts: Mapping[str, Any]) -> None:
    """Write what differs by nature between equal runs: clock, device, memory, commit.

    `seconds` is how long it took, up to now; `device` the kind of device that it ran on (cpu, cuda, mps).
    """
    files.write_json(
        path,
        {
            **facts,
            "started": (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "device": torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine(),
            "host": platform.node(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count(),
            **commit(root),
        },
    )


def commit(root: Path) -> dict[str, Any]:
    """The git commit of a workspace, and whether its code differs from it (params.yaml and data pointers aside)."""
    changed = git(root, "status", "--porcelain", "--", "gen", "flows", "dvc.yaml", "pyproject.toml", "constraints.txt")
    return {"commit": git(root, "rev-parse", "HEAD"), "dirty": None if changed is None else bool(changed)}


def git(root: Path, *arguments: str) -> str | None:
    """What git says of a workspace, without the last line break; None where git, or what is asked for, is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
