"""The DVC remote: what a champion was made of is sent there, for every clone to pull."""

import os
from pathlib import Path

from flows import stages
from flows.children import Stop
from flows.outcome import State
from flows.stages import Say
from gen import files
from gen.tracking.environment import without_secrets
from gen.workspace import Workspace

EXTRAS = {"ssh": "dvc_ssh", "s3": "dvc_s3"}
"""The module that a scheme of a remote's address needs, by the scheme and by our extra of the same name."""


def owed(workspace: Workspace) -> bool:
    """Whether a former retrain could not send what it should have."""
    return _debt(workspace).exists()


def push(workspace: Workspace, remote: stages.Remote, stop: Stop, say: Say = print) -> State:
    """Send all that dvc.lock and the pointers name, where a champion, or the remote, is another than the last time.

    `unpushed` where the remote cannot be reached: nothing is lost, and `owed` says it the next time.
    """
    champions = _champions(workspace)
    if not champions:
        return "cached"
    now = {"remote": files.sha256(remote.url.encode()), "champions": champions}
    book = workspace.private / "pushed.json"
    if book.exists() and files.read_json(book) == now:
        return "cached"
    _debt(workspace).touch()  # first: a retrain that is killed meanwhile owes it too
    try:
        stages.push(workspace, stop)
    except stages.StageFailedError as error:
        say(
            f"The DVC remote {remote.name} did not take what the champion was made of: {without_secrets(str(error))} "
            "Nothing is lost: it is in DVC's cache here, and the next retrain, or `dvc push`, sends it."
        )
        return "unpushed"
    files.write_json(book, now)
    _debt(workspace).unlink()
    say(f"sent to the DVC remote {remote.name}: what the champions were made of")
    return "ran"


def fault(remote: stages.Remote) -> tuple[str, str] | None:
    """What is wrong with the settings of a remote, and the fix; None where nothing is."""
    scheme = remote.url.partition("://")[0] if "://" in remote.url else ""
    if scheme in EXTRAS and not _installed(EXTRAS[scheme]):
        fix = f"Install the extra: `pip install --constraint constraints.txt --editable '.[{scheme}]'`."
        return f"what DVC needs for {scheme}:// is not installed", fix
    if not remote.verify:
        fix = f"`dvc remote modify {remote.name} verify true`, and commit .dvc/config."
        return "what is pulled from it is not verified", fix
    if not scheme and os.path.lexists(remote.url) and not Path(remote.url).is_dir():
        return f"{remote.url} is no folder", f"`dvc remote modify {remote.name} url FOLDER`"
    return None


def _champions(workspace: Workspace) -> dict[str, int]:
    """The number of each champion, by what it is registered as; of none where MLflow cannot be reached."""
    from gen.tracking.registry import CHAMPION, versions
    from gen.tracking.store import TrackingUnavailable, connect

    try:
        return {found.name: found.number for found in versions(connect(workspace)) if CHAMPION in found.aliases}
    except TrackingUnavailable:
        return {}  # the judge has said so


def _debt(workspace: Workspace) -> Path:
    return workspace.private / "push.owed"


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
