"""What every source is: a block of params.yaml that opens into a stream of decoded images."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gen.snapshot import Picture
from gen.strict import Strict
from gen.workers import Hire


@dataclass(frozen=True)
class Rejected:
    """Something that a source holds and that is no usable image."""

    name: str
    """Its path inside the source."""
    reason: str
    """One of few texts, so that reasons can be counted."""
    detail: str = ""


@dataclass(frozen=True)
class Places:
    """Where a source may look and keep things."""

    root: Path
    """What relative paths in params.yaml are relative to."""
    mirror: Path | None
    """Folder with public datasets, one sub-folder each."""
    downloads: Path
    """Where downloaded files are kept."""
    snapshot: Callable[[str], Path]
    """Where the snapshot of another dataset lies."""
    hire: Hire | None = None
    """Who decodes files, where there are many; by default this process alone."""


@dataclass(frozen=True)
class Stream:
    """An opened source."""

    description: str
    """Where the images come from, without a path of this machine."""
    items: Iterator[Picture | Rejected]
    distribution: str | None = None
    """Of points: the one that they are drawn from, where it is known (gen.patterns)."""


class Source(Strict):
    """One kind of source; its fields are the keys of `datasets.NAME.source`."""

    kind: str

    @property
    def requires(self) -> tuple[str, ...]:
        """Names of the datasets that must be ingested before."""
        return ()

    @abstractmethod
    def open(self, places: Places) -> Stream:
        """Find the images and begin to yield them, one decoded at a time.

        Raises UserError, here or on the way, when the source is missing or damaged as a whole.
        """
