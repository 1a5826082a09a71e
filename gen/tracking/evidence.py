"""What a registered version was measured by: the evaluation and provenance that its MLflow run holds."""

import shutil
from pathlib import Path

from gen import files
from gen.tracking.registry import Version
from gen.tracking.store import Store


def fetch(store: Store, version: Version) -> Path:
    """A folder with `evaluate/` (metrics.json and grids) and `provenance/`, downloaded unless it is here already.

    Raises UserError when the figures are not those that were published, or TrackingUnavailable.
    """
    folder = store.private / "evidence" / version.run
    with files.lock(store.lock("fetch")):
        if not folder.exists():
            partial = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            with store.asking(f"fetching the figures of version {version.number} of `{version.name}`"):
                for part in ("evaluate", "provenance"):
                    store.client.download_artifacts(version.run, part, str(partial))
            files.verify(partial / "evaluate")
            partial.rename(folder)
    return folder
