"""ingest: a source's images in, one canonical snapshot out."""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gen import files, snapshot, sources
from gen.config import Params
from gen.errors import TooFewImagesError
from gen.snapshot import Picture, Tally
from gen.sources.base import Places, Rejected
from gen.sources.official import MIRROR
from gen.workers import Hire
from gen.workspace import Workspace

FEWEST = 64
"""Images that a domain needs before it is worth splitting."""
SAY_EVERY = 20_000
Say = Callable[[str], None]


def ingest(
    workspace: Workspace, params: Params, name: str, say: Say = print, hire: Hire | None = None
) -> dict[str, Any]:
    """Write the snapshot of dataset `name` to data/raw/NAME (see gen.snapshot) and return its summary.

    Files are decoded by those whom `hire` brings, or by this process alone.
    Raises UserError when the source is missing or damaged, TooFewImagesError when too little of it can be used; what
    was there before then stays.
    """
    source = sources.parse_block(params.dataset(name).source, f"datasets.{name}.source")
    for other in source.requires:
        params.dataset(other)
    target = workspace.raw(name)
    with files.fresh_folder(target) as folder:
        stream = source.open(_places(workspace, hire))
        say(f"{name}: reading {stream.description}")
        quarantine = Quarantine()
        tally = snapshot.write(folder, _accepted(stream.items, quarantine, name, say))
        _check_enough(name, tally, quarantine)
        quarantine.write(folder / "quarantine.csv")
        summary = {
            "source": stream.description,
            "kind": source.kind,
            "domains": list(tally.kept),
            "kept": tally.kept,
            "labels": tally.labels,
            "official": tally.official,
            "duplicates": tally.duplicates,
            "conflicts": tally.conflicts,
            "quarantined": dict(quarantine.reasons),
            "bytes": tally.bytes,
        }
        if stream.distribution is not None:
            summary["distribution"] = stream.distribution
        files.write_json(folder / "summary.json", summary)
    say(f"{name}: {_describe(tally, quarantine)}")
    return summary


def _places(workspace: Workspace, hire: Hire | None) -> Places:
    mirror = os.environ.get(MIRROR)
    return Places(
        root=workspace.home,
        mirror=Path(mirror).expanduser() if mirror else None,
        downloads=workspace.private / "downloads",
        snapshot=workspace.raw,
        hire=hire,
    )


class Quarantine:
    """What was left out, and why."""

    def __init__(self) -> None:
        """Begin empty."""
        self.rejected: list[Rejected] = []
        self.reasons: Counter[str] = Counter()

    def add(self, rejected: Rejected) -> None:
        """Note one more."""
        self.rejected.append(rejected)
        self.reasons[rejected.reason] += 1

    def write(self, path: Path) -> None:
        """Write `name,reason,detail`, one line each, in the order of the source."""
        with path.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(["name", "reason", "detail"])
            lines.writerows((one.name, one.reason, one.detail) for one in self.rejected)

    def describe(self) -> str:
        """The reasons with their counts and one example each."""
        examples = {one.reason: one.name for one in reversed(self.rejected)}
        return "; ".join(
            f"{count} {reason} (e.g. {examples[reason]})" for reason, count in sorted(self.reasons.items())
        )


def _accepted(items: Iterable[Picture | Rejected], quarantine: Quarantine, name: str, say: Say) -> Iterator[Picture]:
    for number, item in enumerate(items, start=1):
        if number % SAY_EVERY == 0:
            say(f"{name}: {number:,} read")
        if isinstance(item, Rejected):
            quarantine.add(item)
        else:
            yield item


def _check_enough(name: str, tally: Tally, quarantine: Quarantine) -> None:
    least = min(tally.kept.values(), default=0)
    if least < FEWEST or set(tally.kept) not in ({"images"}, {"a", "b"}):
        raise TooFewImagesError(
            f"Dataset `{name}` has too few usable images: {_describe(tally, quarantine)}. At least {FEWEST} are "
            "needed, of each domain where there are two. Add images or mend those that were left out, then run "
            f"`genflows ingest {name}` again."
        )


def _describe(tally: Tally, quarantine: Quarantine) -> str:
    """What became of the images, in one line."""
    kept = " and ".join(
        f"{count:,} images kept" + (f" in domain {domain}" if domain != "images" else "")
        for domain, count in tally.kept.items()
    )
    parts = [kept or "none kept"]
    if tally.duplicates:
        parts.append(f"{tally.duplicates:,} exact duplicates dropped")
    if tally.conflicts:
        parts.append(f"{tally.conflicts:,} of those under another label")
    if quarantine.rejected:
        parts.append(f"{len(quarantine.rejected):,} left out: {quarantine.describe()}")
    return ", ".join(parts)
