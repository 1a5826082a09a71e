"""A workspace as DVC's own API opens it."""

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flows.environment import site_cache
from gen.errors import BusyError, UserError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from dvc.repo import Repo


@contextlib.contextmanager
def repository(workspace: Workspace) -> "Iterator[Repo]":
    """DVC's view of the workspace, its complaints told as one paragraph."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data"):
        logging.getLogger(name).setLevel(logging.ERROR)  # its progress bars too: they follow the level
    settings = {"core": {"site_cache_dir": str(site_cache(workspace)), "analytics": False}}
    try:
        with Repo(str(workspace.root), config=settings) as opened:
            yield opened
    except LockError as error:
        raise BusyError(f"DVC is at work in {workspace.root} already: {_flat(error)}") from None
    except DvcException as error:
        raise UserError(f"DVC cannot go on in {workspace.root}: {_flat(error)}") from None


def _flat(error: BaseException) -> str:
    """An error and what led to it, as one paragraph."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause:
        parts.append(" ".join(str(cause).split()))
        cause = cause.__cause__
    return ": ".join(dict.fromkeys(part for part in parts if part))
