"""`genflows up` and `genflows down`: what a schedule needs, in one supervised process that needs no terminal."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from flows import logs, notices, parts, server, standing, supervisor, worktree
from flows.answering import answers
from flows.children import Stop
from flows.environment import check_prefect_database
from flows.mlflow_ui import LOOPBACK, free
from flows.standing import Part, Standing
from flows.supervisor import Process
from gen import databases, files, orphan
from gen.errors import BadParamsError, BusyError, UserError
from gen.tracking.environment import without_secrets
from gen.workspace import Workspace

PATIENCE = 180.0
"""Seconds in which all has to answer."""
SURVIVAL = 20.0
"""Seconds in which what lost its supervisor is gone."""


def check(workspace: Workspace, options: parts.Options) -> None:
    """All that can be told before anything starts.

    Raises UserError for a port that is taken and for a server that does not answer, BusyError where another process
    serves the flow.
    """
    if options.prefect_port == options.mlflow_port:
        raise BadParamsError(f"Both servers cannot listen at port {options.mlflow_port}: give them one each.")
    deadline = time.monotonic() + SURVIVAL
    while standing.survivors(workspace) and time.monotonic() < deadline:
        time.sleep(0.2)  # what a killed supervisor has left still holds its ports, for some seconds
    standing.check_unscheduled(workspace)
    worktree.check(workspace)
    _check_databases()
    there = (
        ("PREFECT_API_URL", parts.prefect_elsewhere(), "--prefect-port", options.prefect_port),
        ("MLFLOW_TRACKING_URI", parts.mlflow_elsewhere(), "--mlflow-port", options.mlflow_port),
    )
    for name, url, option, port in there:
        if url and not answers(f"{url.rstrip('/')}/health"):
            raise UserError(
                f"{name} names {without_secrets(url)}, which does not answer. Nothing was started. Start that server, "
                f"or unset {name} to have one started here."
            )
        if not url and not free(port):
            raise UserError(
                f"Port {port} is in use. Nothing was started. Try another: `genflows up {option} {port + 1}`."
            )


def _check_databases() -> None:
    """Of the servers that are started here."""
    mlflow = os.environ.get("MLFLOW_TRACKING_URI", "")
    if databases.is_database(mlflow):
        databases.check(mlflow, "MLFLOW_TRACKING_URI")
    if not parts.prefect_elsewhere():
        check_prefect_database()


def supervise(workspace: Workspace, options: parts.Options) -> None:
    """Keep up what a schedule needs, until SIGTERM or Ctrl-C. Raises BusyError where it is up already."""
    stop = Stop()
    with _alone(workspace), stop.on_signals(), contextlib.ExitStack() as sockets:
        kept = parts.build(workspace, options, sockets)
        api = without_secrets(parts.prefect_elsewhere() or f"http://{LOOPBACK}:{options.prefect_port}/api")
        supervisor.supervise(workspace, options.shown(), api, kept, stop, _log)


def foreground(workspace: Workspace, options: parts.Options) -> NoReturn:
    """The same, in the place of this process: what was loaded to check the options is not kept for months."""
    os.chdir(workspace.root)
    sys.stdout.flush()
    os.execve(sys.executable, _command(options), _environment(options))  # noqa: S606


def detached(workspace: Workspace, options: parts.Options) -> Standing:
    """The same in a process of its own; returns when all answers. What does not come up is ended again.

    Raises UserError that names the log of what did not come up.
    """
    log = logs.folder(workspace) / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with log.open("ab") as output:  # to append: it may be cut while it is written (flows.logs)
        process = subprocess.Popen(  # noqa: S603
            _command(options),
            cwd=workspace.root,
            env=_environment(options),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # closing the terminal does not end it
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends this one now wants none of it
    try:
        return _wait(workspace, process, log)
    except BaseException:
        server.stop(process, 2 * parts.LEAVING)
        raise


def down(workspace: Workspace) -> Standing | None:
    """End what is up and return how it stood; None where nothing was. The schedule is not paused by that."""
    found = _soon_written(workspace)
    if found is None:
        return None
    pid = int(found.supervisor.partition(":")[0])
    for number, patience in ((signal.SIGTERM, 2 * parts.LEAVING), (signal.SIGKILL, SURVIVAL)):
        if orphan.runs(found.supervisor):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if _until_gone(found, patience):
            return found
    raise UserError(
        f"Not all has ended: {', '.join(_alive(found))}. Look at those processes, and at {logs.folder(workspace)}."
    )


def difference(there: Standing, options: parts.Options) -> list[str]:
    """What is up otherwise than these options ask, one sentence without its stop each."""
    old, new = there.options, options.shown()
    return [
        f"{name} is another"
        if name == "--notify"
        else f"{name} is {old.get(name, 'not given')} there, {new.get(name, 'not given')} here"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _command(options: parts.Options) -> list[str]:
    ports = ["--prefect-port", str(options.prefect_port), "--mlflow-port", str(options.mlflow_port)]
    return [sys.executable, "-m", "flows.cli", "up", "--supervise", *options.when.arguments, *ports]


def _environment(options: parts.Options) -> dict[str, str]:
    return os.environ | ({notices.ADDRESS: options.notify} if options.notify else {})


@contextlib.contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            with contextlib.suppress(BlockingIOError):
                stack.enter_context(files.lock(standing.lock(workspace), wait=False))
                break
            time.sleep(0.05)  # somebody may only be looking whether it is held
        else:
            raise BusyError(f"{workspace.root} is up already. `genflows status` shows how it stands.")
        yield


def _wait(workspace: Workspace, process: Process, log: Path) -> Standing:
    deadline = time.monotonic() + PATIENCE
    while True:
        found = standing.read(workspace)
        if process.poll() is not None:
            raise UserError(f"It did not come up: {_last_line(log)} All that it said is in {log}.")
        if found and found.supervisor == orphan.named(process.pid):
            if found.healthy:
                return found
            late = time.monotonic() > deadline
            for part in found.parts:
                if part.restarts or (late and part.health != "healthy"):
                    raise UserError(_reason(part, log))
        elif time.monotonic() > deadline:
            raise UserError(f"It did not come up within {PATIENCE:g} s. See why in {log}. All was ended again.")
        time.sleep(0.2)


def _reason(part: Part, log: Path) -> str:
    said = Path(part.log) if part.log else log
    return f"{part.name} did not come up: {_last_line(said)} All that it said is in {said}. All was ended again."


def _last_line(log: Path) -> str:
    """The last thing that stands in a log, as a sentence."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return last if last.endswith((".", "!", "?")) else f"{last}."


def _soon_written(workspace: Workspace) -> Standing | None:
    """How things stand; a supervisor that has just begun writes it within a moment."""
    for _ in range(50):
        found = standing.read(workspace)
        if found or not standing.held(workspace):
            return found
        time.sleep(0.1)
    raise UserError(f"A supervisor runs in {workspace.root}, and does not say which. End it by hand.")


def _until_gone(found: Standing, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while _alive(found) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not _alive(found)


def _alive(found: Standing) -> list[str]:
    processes = {"the supervisor": found.supervisor} | {part.name: part.process for part in found.parts if part.process}
    return [f"{name} ({process.partition(':')[0]})" for name, process in processes.items() if orphan.runs(process)]


def _log(line: str) -> None:
    print(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {line}", flush=True)
