"""Runs that nobody will end: whoever wrote them was killed, and what comes next is another training."""

import secrets

from gen import files
from gen.tracking.store import Store

OWNER = "genflows.owner"
"""Tag of each run that takes time: the workspace whose processes write it. Others share the server."""
RUNNING = "attributes.status = 'RUNNING'"


def owned(store: Store) -> dict[str, str]:
    """The tag that makes a run this workspace's to end."""
    book = store.private / "owner"
    with files.lock(store.lock("owner")):
        if not book.exists():
            files.write(book, secrets.token_hex(8))
    return {OWNER: book.read_text(encoding="utf-8")}


def end(store: Store) -> list[str]:
    """End this workspace's runs that are said to be running, as killed; returns their names.

    The caller is alone in the workspace: no training of its own is shown meanwhile. One that is gone on with later is
    shown as running again, in the same run. Raises TrackingUnavailable.
    """
    (owner,) = owned(store).values()
    # Whoever publishes holds the lock until the run has ended.
    with files.lock(store.lock("publish")), store.asking("ending what was left behind"):
        runs = store.client.search_runs([store.experiment], f"{RUNNING} and tags.`{OWNER}` = '{owner}'")
        for run in runs:
            store.client.set_terminated(run.info.run_id, "KILLED")
    return [str(run.info.run_name) for run in runs]
