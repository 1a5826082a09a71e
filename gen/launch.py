"""Starts the processes of one training, with torchrun's engine: on this machine, and as part of several machines."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, start_processes

from gen import orphan
from gen.errors import LeftError, UserError
from gen.parallel import MEETING

LEFT = "Stopped as asked, before training went on. The same command goes on from there."
BLINK = 0.2
"""Seconds between two looks at whether to leave."""
PATIENCE = 60
"""Seconds that the processes have to keep what there is, once they are asked to leave."""


@dataclass(frozen=True)
class Part:
    """The processes of a training that are here."""

    first: int
    count: int
    total: int
    """Of them and of those that are elsewhere."""


def launch(command: list[str], processes: int, leaving: Callable[[], bool]) -> int:
    """Run `command` in so many processes that know each other; returns the leader's exit code.

    When one fails the others are ended. `leaving` is asked whether to end all of them, gently. Raises LeftError when
    that was before they could keep anything, UserError when a signal of somebody else ended one.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Loopback, by whatever name the machine has it: they need no other network, and no port.
        loopback = "lo0" if sys.platform == "darwin" else "lo"
        meeting = {
            MEETING: str(Path(folder) / "meeting"),
            "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", loopback),
        }
        return run(command, Part(0, processes, processes), meeting, leaving)


def run(command: list[str], part: Part, meeting: Mapping[str, str], leaving: Callable[[], bool]) -> int:
    """Run `command` in the processes of one machine, which meet the others as `meeting` says; else as `launch`."""
    if leaving():
        raise LeftError(LEFT)
    # What fails says so itself; torch's engine would add where in torch it noticed.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    # Nor is it to take signals: its handlers end this process wherever it is, also when the terminal is closed.
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = ""
    shared = {**os.environ, **meeting, "WORLD_SIZE": str(part.total), orphan.DRIVER: orphan.this_process()}
    here = range(part.count)
    with tempfile.TemporaryDirectory() as folder:
        context = start_processes(
            name="train",
            entrypoint=command[0],
            args={number: tuple(command[1:]) for number in here},
            envs={number: {**shared, "RANK": str(part.first + number), "LOCAL_RANK": str(number)} for number in here},
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            asked = False
            while (result := context.wait(BLINK, BLINK)) is None:
                if leaving() and not asked:
                    asked = True
                    context.close(signal.SIGTERM, PATIENCE)
        finally:
            context.close()
    # What the leader left with says most; only when it ended well another one's failure counts.
    codes = [result.failures[rank].exitcode for rank in sorted(result.failures)]
    if not codes:
        return 0
    if asked and codes[0] != LeftError.exit_code:
        raise LeftError(LEFT)
    killed = next((-code for code in codes if code in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGBUS)), None)
    if killed:
        raise UserError(
            f"A process of this training was ended by {signal.Signals(killed).name}: memory may have run out, or "
            "somebody ended it. Run the same command again: it goes on from the newest checkpoint."
        )
    return max(codes[0], 1)
