"""Promotion and rollback: moving the alias champion so that no move is lost, doubled or forgotten.

MLflow moves an alias for whoever asks last and remembers nothing. So every move is made under a lock, on the champion
read again inside it, and written into a history kept in a tag of the registered model.
"""

import json
from datetime import UTC, datetime
from typing import Literal, TypedDict

from gen import files
from gen.errors import UserError
from gen.tracking.registry import CHAMPION, PREVIOUS, WITHDRAWN, Version, fetch, registered, with_alias
from gen.tracking.store import Store

HISTORY = "genflows.history"
LONGEST_HISTORY = 5000
"""Characters in a tag of a registered model: MLflow's limit. The oldest moves are dropped."""

By = Literal["judge", "human", "rollback", "unknown"]


class ChampionMovedError(UserError):
    """Somebody else moved the champion since it was looked at."""


class Move(TypedDict):
    """One move of the alias champion."""

    time: str
    """ISO 8601, UTC."""
    before: int | None
    after: int
    by: By
    reason: str


def promote(store: Store, version: Version, expected: int | None, reason: str, by: By = "judge") -> None:
    """Make a version the champion, if the champion is still number `expected`; the old one becomes `previous`.

    Its artifact is verified before. One that a human replaces is marked as withdrawn, so that the judge does not bring
    it back by itself. A version that is champion already stays so, and nothing is recorded. Raises ChampionMovedError
    when another is champion by now, UserError when the artifact does not verify, or is not signed and the champion is;
    TrackingUnavailable.
    """
    fetch(store, version)
    with files.lock(store.lock("registry")), store.asking(f"promoting version {version.number} of `{version.name}`"):
        _move(store, version, expected, reason, by)
        if version.withdrawn:
            store.client.delete_model_version_tag(version.name, str(version.number), WITHDRAWN)
        if by != "judge" and expected not in (None, version.number):
            store.client.set_model_version_tag(version.name, str(expected), WITHDRAWN, reason)


def rollback(store: Store, name: str, reason: str = "rolled back by hand") -> Version:
    """Make the previous champion the champion again, and return it; the other is marked as withdrawn.

    Raises UserError when there is no previous one, or it does not verify; TrackingUnavailable.
    """
    with store.asking(f"rolling back `{name}`"):
        before, after = with_alias(store, name, CHAMPION), with_alias(store, name, PREVIOUS)
    if before is None or after is None:
        raise UserError(
            f"`{name}` cannot be rolled back: it has no previous champion. "
            "`genflows models` lists its versions, `genflows promote` makes any of them the champion."
        )
    promote(store, after, before.number, reason, by="rollback")
    return after


def is_step_back(version: Version, champion: Version | None) -> bool:
    """Whether `version` would bring a model that is signed already back to one that is not."""
    return champion is not None and champion.signer is not None and version.signer is None


def history(store: Store, name: str) -> list[Move]:
    """The moves of the alias champion, oldest first (the oldest of all may be dropped). Raises TrackingUnavailable."""
    with store.asking(f"reading the history of `{name}`"):
        return _history(store, name)


def _move(store: Store, version: Version, expected: int | None, reason: str, by: By) -> None:
    """Compare and set. The lock is held, so that nobody moves the alias between the comparison and the setting."""
    name, now = version.name, with_alias(store, version.name, CHAMPION)
    current = now.number if now else None
    if current != expected:
        raise ChampionMovedError(
            f"Version {version.number} of `{name}` was not promoted: it was compared with "
            f"{_called(expected)}, but by now {_called(current)} is champion. Judge it again with `genflows judge`."
        )
    if current == version.number:
        return
    if is_step_back(version, now):
        raise UserError(
            f"Version {version.number} of `{name}` was not promoted: its champion is signed and it is not. Sign it "
            "(`genflows judge` with GENFLOWS_SIGNING_KEY), or promote a version that is."
        )
    moves = _history(store, name)
    if moves and moves[-1]["after"] != current and current is not None:
        # By MLflow's own pages, or by a process that died between the alias and the history.
        moves.append(_as_move(moves[-1]["after"], current, "unknown", "found moved"))
    if current is not None:
        store.client.set_registered_model_alias(name, PREVIOUS, str(current))
    store.client.set_registered_model_alias(name, CHAMPION, str(version.number))
    moves.append(_as_move(current, version.number, by, reason))
    store.client.set_registered_model_tag(name, HISTORY, _bounded(moves))


def _as_move(before: int | None, after: int, by: By, reason: str) -> Move:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"time": now, "before": before, "after": after, "by": by, "reason": reason[:300]}


def _bounded(moves: list[Move]) -> str:
    """The latest moves that fit into a tag, as JSON."""
    while len(text := json.dumps(moves, ensure_ascii=False)) > LONGEST_HISTORY:
        moves = moves[1:]
    return text


def _called(number: int | None) -> str:
    return "none" if number is None else f"version {number}"


def _history(store: Store, name: str) -> list[Move]:
    found = registered(store, name)
    return json.loads(found.tags.get(HISTORY, "[]")) if found else []
