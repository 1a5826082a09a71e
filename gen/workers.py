"""Work that goes piece by piece, by many processes: this machine's, or those of a Dask cluster.

A piece holds all that its result depends on, and results come in the order of the pieces, so they are the same bytes
whoever did the work. Under way is a bounded number of pieces: memory does not grow with how many there are.
"""

import functools
import importlib.metadata
import itertools
import multiprocessing
import os
import re
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gen import files
from gen.errors import BadParamsError, UserError

ADDRESS = "GENFLOWS_DASK"
"""Environment variable with the address of a Dask scheduler. It changes no result, so it is no parameter."""
HEAD_START = 1.0
"""Seconds of work before others are asked for: starting a process takes as long."""
LIVES = 3
"""So often the processes of this machine may break off before the work is given up."""
PATIENCE = 30
"""Seconds in which a Dask cluster has to answer and to have a worker."""

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Crew(NamedTuple):
    """Who does the work."""

    executor: Executor
    size: int
    """How many pieces they work at at once."""


Hire = Callable[[], AbstractContextManager[Crew]]
"""Opens a crew, for as long as the block lasts."""


def hired() -> Hire | None:
    """The cluster that GENFLOWS_DASK names, or as many processes of this machine as this one may use cores."""
    address = os.environ.get(ADDRESS)
    if address:
        return functools.partial(dask, checked(address))
    return functools.partial(local, _cores()) if _cores() > 1 else None


def checked(address: str) -> str:
    """The address of a scheduler. Raises BadParamsError where it is none."""
    if not re.fullmatch(r"(tcp|tls|ws|wss)://\S+:\d+", address):
        raise BadParamsError(
            f"`{address}` is no address of a Dask scheduler. It says where one listens: tcp://HOST:8786, for example."
        )
    return address


def each(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], hire: Hire | None, head_start: float = HEAD_START
) -> Iterator[Result]:
    """The result of `work`, a function of a module, for each piece, in their order; without `hire` all is done here.

    What the first `head_start` seconds suffice for is done here too. A process that dies costs a repetition of the
    pieces that were under way. Raises what `work` raises, and UserError when processes die again and again, or do not
    have the same code and packages as this one.
    """
    if hire is None:
        yield from map(work, pieces)
        return
    waiting = iter(pieces)
    deadline = time.monotonic() + head_start
    for piece in waiting:
        yield work(piece)
        if time.monotonic() > deadline:
            break
    more = list(itertools.islice(waiting, 1))
    if not more:
        return
    waiting = itertools.chain(more, waiting)
    under_way: deque[Piece] = deque()
    for _ in range(LIVES):
        try:
            with hire() as crew:
                yield from _done(functools.partial(_same, _code(), work), waiting, under_way, crew)
                return
        except BrokenExecutor:
            continue
    raise UserError(
        f"The processes that work through the images were killed {LIVES} times, as they are where memory runs out. "
        "Free some, or let fewer run (`taskset --cpu-list 0 ...` allows one core), and run the same command again."
    )


def _done(
    work: Callable[[Piece], Result],
    waiting: Iterator[Piece],
    under_way: deque[Piece],
    crew: Crew,
) -> Iterator[Result]:
    """Keep twice as many pieces under way as are worked at; first those that an earlier crew has left.

    Any of the executor's calls may raise, so a piece is under way before it is handed over, and until its result came.
    """
    futures: deque[Future[Result]] = deque(crew.executor.submit(work, piece) for piece in under_way)
    while True:
        for piece in itertools.islice(waiting, max(0, 2 * crew.size - len(under_way))):
            under_way.append(piece)
            futures.append(crew.executor.submit(work, piece))
        if not under_way:
            return
        result = futures.popleft().result()
        under_way.popleft()
        yield result


@contextmanager
def local(processes: int) -> Iterator[Crew]:
    """Processes of this machine; they end with this one, however it ends."""
    context = multiprocessing.get_context("spawn")  # a fork would take over the locks of threads that it has not
    with ProcessPoolExecutor(processes, context, _begin) as executor:
        try:
            yield Crew(executor, processes)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's to hear
    parent = multiprocessing.parent_process()
    assert parent
    threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(parent: int) -> None:
    wait([parent])
    os._exit(1)


@contextmanager
def dask(address: str) -> Iterator[Crew]:
    """The workers of a Dask cluster. Raises UserError where there are none, or they die of a piece again and again."""
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise UserError(
            f"{ADDRESS} names a Dask cluster, and its packages are not installed: pip install 'genflows[dask]'."
        ) from None
    try:
        client: Any = Client(address, timeout=PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"No Dask scheduler answers at {address} ({type(error).__name__}). Start one (`dask scheduler`) with "
            "workers (`dask worker ADDRESS`), or run the command without --dask."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UserError(
                f"The Dask scheduler at {address} has no workers. Start some: `dask worker {address}`."
            ) from None
        try:
            yield Crew(client.get_executor(pure=False), sum(client.nthreads().values()))
        except (KilledWorker, CancelledError) as error:
            raise UserError(
                f"The Dask cluster at {address} gave the work up ({type(error).__name__}): its scheduler is gone, or "
                "workers died of the same images again and again. See its logs, and run the same command again."
            ) from error


def _same(code: str, work: Callable[[Piece], Result], piece: Piece) -> Result:
    """Do the work, if by the same code."""
    if code != _code():
        raise UserError(
            "A worker has another version of this program, of Python's packages or of its own Python than the process "
            "that gives it work, so that its results could differ. Install the same on both, and start it anew."
        )
    return work(piece)


@functools.cache
def _code() -> str:
    """Digest of this program and of the packages that images go through."""
    here = Path(__file__).parent
    packages = {name: importlib.metadata.version(name) for name in ("numpy", "pillow", "torch")}
    return files.digest(
        packages | {str(path.relative_to(here)): files.sha256_of_file(path) for path in sorted(here.rglob("*.py"))}
    )


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
