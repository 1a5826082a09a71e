"""A value as SQLite holds it, and the same as PostgreSQL does: SQLite knows numbers, texts and bytes alone."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Boolean, Date, DateTime, Float, Integer, LargeBinary, String, Uuid
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.types import TypeEngine

EPOCH = datetime(1970, 1, 1)
"""SQLite's spans of time are moments after it."""

Kind = TypeEngine[Any]


def fitting(kind: Kind, value: Any) -> Any:
    """A value of either database as a column of this type of PostgreSQL's takes it; JSON stays as it is written.

    Raises ValueError or TypeError for what is none.
    """
    if value is None:
        return None
    match kind:
        case Boolean():
            return bool(value)
        case INTERVAL():
            return value if isinstance(value, timedelta) else datetime.fromisoformat(value) - EPOCH
        case DateTime():
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
            return _in_utc(moment) if kind.timezone else moment
        case Date():
            return value if isinstance(value, date) else date.fromisoformat(value)
        case Uuid():
            return UUID(str(value))
        case LargeBinary():
            return bytes(value)
        case Float():
            return float(value)
        case Integer():
            return int(value)
        case String() | JSON():
            return str(value)
    raise TypeError(f"a column of type {kind!r} is not known")


def comparable(kind: Kind, value: Any) -> Any:
    """What is equal, and is written alike, for equal values that `fitting` gave."""
    if value is None or not isinstance(kind, JSON):
        return value
    read = json.loads(value, parse_float=Decimal, parse_int=Decimal)
    return json.dumps(read, sort_keys=True, default=lambda number: str(number.normalize()))


def _in_utc(moment: datetime) -> datetime:
    """A moment without a time zone is meant in UTC."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
