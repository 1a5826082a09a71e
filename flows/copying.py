"""All rows of a SQLite database into a PostgreSQL database with the same tables: in one transaction, then compared."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    cast,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from flows.columns import comparable, fitting
from gen.errors import UserError

VERSION = "alembic_version"
"""What the tables are, and nothing of what they hold: Prefect names it otherwise in each kind of database."""
BORN_WITH = frozenset({"workspaces"})
"""Tables that hold rows as soon as they are made."""
BATCH = 2000
"""Rows that are sent at once."""
PATIENCE = "10s"
"""How long to wait for others who use the tables."""
CONSTRAINTS = """
    SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid)
    FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace
"""

Digest = tuple[int, int]
"""How many rows, and the sum of their SHA-256: equal for equal rows, whatever their order."""
Change = Callable[[str], str]


@dataclass(frozen=True)
class Copied:
    """What a database holds now that the other held."""

    tables: int
    rows: int
    before: bool
    """Whether it held all of it already, and nothing was done."""


def copy(source: Path, engine: Engine, change: Change = str) -> Copied:
    """Copy every row; `change` is applied to all text. A target that holds just these rows is left as it is.

    Raises UserError when the tables differ, the target holds other rows, is in use, or a row does not fit into it. The
    target then holds what it held before.
    """
    try:
        with closing(sqlite3.connect(source)) as database, engine.begin() as connection:
            return _copy(database, connection, change)
    except (SQLAlchemyError, sqlite3.Error, ValueError, TypeError) as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0].rstrip(".")
        raise UserError(f"Not all rows could be copied: {said}. The target holds what it held before.") from None


def _copy(database: sqlite3.Connection, connection: Connection, change: Change) -> Copied:
    metadata = MetaData()
    metadata.reflect(connection)
    tables = {name: _Rows(table, change) for name, table in metadata.tables.items() if name != VERSION}
    _require_the_same(database, tables)
    _lock(connection, tables)
    wanted = {name: rows.digest(rows.there(database)) for name, rows in tables.items()}
    held = {name: rows.digest(rows.here(connection)) for name, rows in tables.items()}
    if held != wanted:
        _require_empty(held)
        _fill(database, connection, tables)
        different = [name for name, rows in tables.items() if rows.digest(rows.here(connection)) != wanted[name]]
        if different:
            raise UserError(f"What was copied is not what was there, in {', '.join(different)}. Nothing was changed.")
    return Copied(len(tables), sum(count for count, _ in wanted.values()), before=held == wanted)


def _require_the_same(database: sqlite3.Connection, tables: Mapping[str, "_Rows"]) -> None:
    """Raise UserError where a table or a column of SQLite's would have no place."""
    asked = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
    there = {pair for pair in database.execute(asked) if not pair[0].startswith(("sqlite_", VERSION))}
    here = {(name, column.name) for name, rows in tables.items() for column in rows.columns}
    if odd := sorted(".".join(pair) for pair in there ^ here):
        raise UserError(f"The two databases have different tables: {', '.join(odd[:5])}. Nothing was changed.")


def _require_empty(held: Mapping[str, Digest]) -> None:
    full = sorted(name for name, (count, _) in held.items() if count and name not in BORN_WITH)
    if full:
        raise UserError(
            f"It holds other rows already (in {', '.join(full[:3])}{'...' if full[3:] else ''}), and two databases "
            "cannot be made one. Nothing was changed. Create a new, empty database and name that."
        )


def _lock(connection: Connection, tables: Mapping[str, "_Rows"]) -> None:
    """Have all tables to oneself until the transaction ends."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}'")
    names = ", ".join(f'"{name}"' for name in tables)
    connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")


def _fill(database: sqlite3.Connection, connection: Connection, tables: Mapping[str, "_Rows"]) -> None:
    constraints = connection.exec_driver_sql(CONSTRAINTS).all()
    for table, name, _ in constraints:
        # Rows point at each other in rings, so no order of the tables would do.
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for rows in tables.values():
        rows.fill(database, connection)
    for table, name, definition in constraints:
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


class _Rows:
    """The rows of one table, in both databases."""

    def __init__(self, table: Table, change: Change) -> None:
        self.table = table
        self.change = change
        self.columns: Sequence[Column[Any]] = [column for column in table.columns if column.computed is None]
        self.kinds = [column.type for column in self.columns]
        for column in self.columns:
            if isinstance(column.type, JSON):
                column.type = Text()  # sent and read as it is written

    def there(self, database: sqlite3.Connection) -> Iterator[list[Any]]:
        """Those of SQLite, as PostgreSQL takes them."""
        names = ", ".join(f'"{column.name}"' for column in self.columns)
        for row in database.execute(f'SELECT {names} FROM "{self.table.name}"'):  # noqa: S608
            changed = (self.change(value) if isinstance(value, str) else value for value in row)
            yield [fitting(kind, value) for kind, value in zip(self.kinds, changed, strict=True)]

    def here(self, connection: Connection) -> Iterator[list[Any]]:
        """Those of PostgreSQL."""
        pairs = zip(self.columns, self.kinds, strict=True)
        asked = select(*(cast(column, Text) if isinstance(kind, JSON) else column for column, kind in pairs))
        for row in connection.execute(asked, execution_options={"yield_per": BATCH}):
            yield [fitting(kind, value) for kind, value in zip(self.kinds, row, strict=True)]

    def digest(self, rows: Iterable[list[Any]]) -> Digest:
        """What rows are compared by."""
        count = total = 0
        for row in rows:
            count += 1
            plain = [comparable(kind, value) for kind, value in zip(self.kinds, row, strict=True)]
            total += int.from_bytes(hashlib.sha256(repr(plain).encode()).digest())
        return count, total % 2**256

    def fill(self, database: sqlite3.Connection, connection: Connection) -> None:
        """Put SQLite's into the place of PostgreSQL's, and let its counters go on behind them."""
        connection.execute(delete(self.table))
        names = [column.name for column in self.columns]
        rows = self.there(database)
        while batch := [dict(zip(names, row, strict=True)) for row in islice(rows, BATCH)]:
            connection.execute(insert(self.table), batch)
        for column in self.table.primary_key.columns:
            counter = func.pg_get_serial_sequence(f'"{self.table.name}"', column.name)
            if isinstance(column.type, Integer) and connection.scalar(select(counter)):
                last = select(func.max(column)).scalar_subquery()
                connection.execute(select(func.setval(counter, func.coalesce(last, 1), last.is_not(None))))
