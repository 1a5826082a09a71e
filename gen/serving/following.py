"""The model in use, and the eye on the registry that replaces it: beside the old one, and only by one that is whole."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gen.errors import UserError
from gen.features import Extractor
from gen.serving.served import Served, load
from gen.tracking import registry
from gen.tracking.environment import without_secrets
from gen.tracking.promotion import history
from gen.tracking.registry import CHAMPION, Version
from gen.tracking.store import Store, TrackingUnavailable
from gen.use import Model

Say = Callable[[str], None]


@dataclass
class InUse:
    """What serves at this moment. `served` is replaced as a whole: whoever took it keeps what he took."""

    served: Served
    following: str | None = None
    """NAME@ALIAS, where the registry is followed."""
    looked: str | None = None
    """When the registry answered last: ISO 8601, UTC."""
    classifier: Callable[[Model], Extractor] | None = None
    """What finds the network that tells the classes of a model's images apart. Raises UserError."""
    trouble: str | None = None
    """Why it is not, or may not be, what the registry names by now."""


def take(store: Store, version: Version, device: str) -> Served:
    """Fetch, verify, load and warm a registered version.

    Raises UserError when it is not what was registered or does not load, or TrackingUnavailable.
    """
    folder = registry.fetch(store, version)
    since = None
    if CHAMPION in version.aliases:
        moves = history(store, version.name)
        since = moves[-1]["time"] if moves and moves[-1]["after"] == version.number else None
    return load(folder, device, {"name": version.name, "number": version.number, "champion_since": since})


class Follower:
    """Keeps the model in use the version that an alias names."""

    def __init__(self, store: Store, in_use: InUse, alias: str, device: str, say: Say) -> None:
        """Follow `alias` of the registered model that is in use; `say` is told what changes."""
        self.store = store
        self.in_use = in_use
        self.alias = alias
        self.device = device
        self.say = say
        self._refused: tuple[int, str] | None = None
        """Number and digest of the version that could not be taken: it is not tried again while the alias stays."""
        in_use.following = f"{in_use.served.name}@{alias}"
        in_use.looked = _now()

    def follow(self, every: float, stop: threading.Event) -> None:
        """Look every so many seconds until `stop` is set."""
        while not stop.wait(every):
            self.look()

    def look(self) -> None:
        """Look once. Whatever goes wrong, the model in use goes on, and what went wrong is told."""
        name = self.in_use.served.name
        try:
            with self.store.asking(f"looking up `{name}@{self.alias}`"):
                version = registry.with_alias(self.store, name, self.alias)
        # Not MLflow's errors alone: an alias may name what genflows never registered, and the eye must not close.
        except Exception as error:
            self._trouble("The registry does not answer as it should, so a new version would not be seen.", _why(error))
            return
        self.in_use.looked = _now()
        if version is None:
            self._trouble(f"`{name}@{self.alias}` names no version any more.")
        elif (version.number, version.digest) == (self.in_use.served.number, self.in_use.served.published.digest):
            self._refused = self.in_use.trouble = None
        elif (version.number, version.digest) != self._refused:
            self._replace(version)

    def _replace(self, version: Version) -> None:
        called = f"{version.name}/{version.number}"
        try:
            served = take(self.store, version, self.device)
        except (TrackingUnavailable, OSError) as error:
            self._trouble(f"{called} could not be fetched yet.", str(error))
        # Foreign weights fail in as many ways as there are networks, and none of them may end the service.
        except Exception as error:
            self._refused = (version.number, version.digest)
            self._trouble(f"{called} does not verify or does not load.", _why(error))
        else:
            before = self.in_use.served.label
            self.in_use.served = served
            self._refused = self.in_use.trouble = None
            self.say(f"{served.label} serves now, as {self.in_use.following}; {before} has ended.")

    def _trouble(self, what: str, why: str = "") -> None:
        """Remember what is wrong, and tell it once. The reason may name paths: it goes to the log alone."""
        told = f"{what} {self.in_use.served.label} goes on serving."
        if told != self.in_use.trouble:
            self.in_use.trouble = told
            self.say(" ".join(f"{told} {why}".split()))


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else without_secrets(f"{type(error).__name__}: {error}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
