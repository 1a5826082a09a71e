"""A model behind an address: found, verified, loaded, and served until SIGTERM or Ctrl-C."""

import errno
import signal
import socket
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from flows.published import classifier
from gen import config
from gen.errors import BadParamsError
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.config import Params
    from gen.serving.following import Follower, InUse

LAST_ANSWERS = 30
"""Seconds that requests at work are given when the server is to end."""
Say = Callable[[str], None]


def serve(workspace: Workspace, wanted: str, host: str, port: int, every: float) -> None:
    """Serve the model called `wanted` at `host` and `port`; one named by an alias is followed `every` so many seconds.

    Raises UserError when the model is not there or does not verify, or the address cannot be used.
    """
    params = config.load(workspace.params_file)
    # Loading takes seconds, and an address that is taken is told before.
    with _bound(host, port) as bound:
        import torch

        torch.set_num_threads(params.machine.threads)
        in_use, follower = _open(workspace, params, wanted)
        # Kept while it is the same model's: it is read and verified once.
        in_use.classifier = lru_cache(maxsize=1)(partial(classifier, workspace))
        bound.listen(2048)
        address = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
        _say(f"{in_use.served.label} serves at {address} (Ctrl-C ends it)")
        if not _is_loopback(bound):
            _say("Whoever reaches this machine can use it: there is no password, and nothing is encrypted.")
        stop = threading.Event()
        if follower:
            # A daemon: MLflow may take its time to answer, and the end does not wait for it.
            threading.Thread(target=follower.follow, args=(every, stop), name="following", daemon=True).start()
        try:
            _run(in_use, host, bound)
        finally:
            stop.set()
    _say("Ended.")


def _run(in_use: "InUse", host: str, bound: socket.socket) -> None:
    """Answer until a signal ends it; requests at work are answered first."""
    import uvicorn

    from gen.serving.app import build

    settings = uvicorn.Config(
        build(in_use, host),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        backlog=2048,
        timeout_graceful_shutdown=LAST_ANSWERS,
    )
    # uvicorn raises the signal again when it has ended; to be asked to end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(settings).run(sockets=[bound])


def _open(workspace: Workspace, params: "Params", wanted: str) -> "tuple[InUse, Follower | None]":
    """The model called `wanted`, loaded, and what follows it where an alias names it."""
    from gen.tracking.environment import mlflow_environment

    mlflow_environment()
    from gen import loading
    from gen.serving.following import Follower, InUse, take
    from gen.serving.served import load
    from gen.tracking.store import connect

    device = params.machine.device
    folder = loading.own(workspace, params, wanted) or Path(wanted)
    if folder.is_dir():
        return InUse(load(folder, device)), None
    if wanted.removeprefix(loading.REGISTRY).count("/") > 1 or wanted.startswith((".", "/")):
        raise BadParamsError(
            f"{wanted} is no folder. Name runs/train/MODEL, or a registered model such as NAME@champion."
        )
    store = connect(workspace)
    in_use = InUse(take(store, loading.find(store, wanted, list(params.blocks)), device))
    _, which = loading.parted(wanted)
    return in_use, None if which.isdigit() else Follower(store, in_use, which, device, _say)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has the address, and does not listen yet. Raises UserError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
        except BaseException:
            taken.close()
            raise
    except OSError as error:
        raise BadParamsError(_why_not(error, host, port)) from None
    return taken


def _why_not(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {port} is in use. Try another: `genflows serve MODEL --port {port + 1 if port < 65535 else 0}`."
            )
        case errno.EACCES:
            return f"Port {port} is for administrators alone. Try one above 1023, such as `--port 8000`."
        case _:
            return (
                f"This machine cannot listen at `{host}` ({error.strerror}). Name one of its own addresses, or "
                "`--host 0.0.0.0` for all of them."
            )


def _is_loopback(bound: socket.socket) -> bool:
    address = str(bound.getsockname()[0])
    return address.startswith("127.") or address == "::1"


def _say(line: str) -> None:
    print(line, flush=True)
