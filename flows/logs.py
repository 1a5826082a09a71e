"""What everything that runs here says, in files that stay small enough to keep for years."""

import contextlib
import shutil
from pathlib import Path

from gen.workspace import Workspace

MOST = 10 << 20
"""Bytes of a log, beyond which it begins anew; what it held stays beside it until that happens again."""


def folder(workspace: Workspace) -> Path:
    """Where the logs lie."""
    return workspace.private / "logs"


def bound(workspace: Workspace) -> None:
    """Let each log that has grown too large begin anew, its former content kept as NAME.log.old.

    Whoever writes into it has it open and goes on, for it was opened to append. What is said in the very moment between
    the copy and the cut is lost.
    """
    for log in folder(workspace).glob("*.log"):
        with contextlib.suppress(FileNotFoundError):  # its writer may begin anew meanwhile
            if log.stat().st_size > MOST:
                shutil.copyfile(log, log.with_name(f"{log.name}.old"))
                with log.open("r+b") as cut:
                    cut.truncate(0)
