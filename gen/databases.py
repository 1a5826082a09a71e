"""PostgreSQL databases that an address in the environment names, asked before anything is built on them.

MLflow and Prefect, who build on them, ask one that is away again and again for minutes, and tell it in a traceback.
"""

import asyncio
from typing import TYPE_CHECKING

from gen.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import URL

PATIENCE = 5
"""Seconds that a server has to let one in."""
EXTRA = "pip install --constraint constraints.txt --editable '.[postgresql]'"
ASYNCHRONOUS = "postgresql+asyncpg"


def is_database(address: str) -> bool:
    """Whether an address names a PostgreSQL database."""
    return address.startswith(("postgresql:", "postgresql+", "postgres:"))


def shown(address: str) -> str:
    """The address of a database, fit to be shown: without user, password and options."""
    url = _parsed(address)
    port = f":{url.port}" if url.port else ""
    return f"{url.drivername}://{url.host or ''}{port}/{url.database or ''}"


def check(address: str, variable: str) -> None:
    """Return when one can log in to the database that `variable` names.

    Raises UserError within seconds: it cannot be read, its driver is missing, the server is away or refuses.
    """
    try:
        url = _parsed(address)
    except UserError as error:
        raise UserError(f"{variable} {error}") from None
    try:
        _log_in(url)
    except ImportError as error:
        raise UserError(
            f"{variable} names a PostgreSQL database, and Python has no driver for it: {error}. "
            f"Install the extra `postgresql`: `{EXTRA}`."
        ) from None
    except Exception as error:
        raise UserError(
            f"The database {shown(address)} that {variable} names cannot be used: {_reason(error)}. "
            f"Start its server, or correct {variable} or unset it."
        ) from None


def _parsed(address: str) -> "URL":
    """What an address says. Raises UserError that completes a sentence, and does not tell the address."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise UserError(
            "is no address of a database. It is postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and signs such as @, / "
            "and % in the password are written as %40, %2F and %25."
        ) from None
    if url.drivername == "postgres":
        raise UserError("begins with postgres://, which is no more understood. Write postgresql://.")
    return url


def _log_in(url: "URL") -> None:
    from sqlalchemy import NullPool, create_engine

    if url.drivername == ASYNCHRONOUS:
        asyncio.run(_log_in_asynchronously(url))
        return
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": PATIENCE})
    with engine.connect():
        pass


async def _log_in_asynchronously(url: "URL") -> None:
    from sqlalchemy import NullPool
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, poolclass=NullPool, connect_args={"timeout": PATIENCE})
    async with engine.connect():
        pass


def _reason(error: Exception) -> str:
    """What the server, or the way to it, said."""
    said = " ".join(str(getattr(error, "orig", None) or error).split()).rpartition(">: ")[2]
    return said.rstrip(".") or type(error).__name__
