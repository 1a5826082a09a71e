"""Starts the processes of one training on this machine: torchrun's engine, without the port that torchrun opens."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable
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


def launch(command: list[str], processes: int, leaving: Callable[[], bool]) -> int:
    """Run `command` in so many processes that know each other; returns the leader's exit code.

    When one fails the others are ended. `leaving` is asked whether to end all of them, gently. Raises LeftError when
    that was before they could keep anything, UserError when a signal of somebody else ended one.
    """
    if leaving():
        raise LeftError(LEFT)
    # What fails says so itself; torch's engine would add where in torch it noticed.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    # Nor is it to take signals: its handlers end this process wherever it is, also when the terminal is closed.
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = ""
    with tempfile.TemporaryDirectory() as folder:
        shared = {
            MEETING: str(Path(folder) / "meeting"),
            "WORLD_SIZE": str(processes),
            # Loopback, by whatever name the machine has it: they need no other network.
            "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo"),
            orphan.DRIVER: orphan.this_process(),
        }
        ranks = range(processes)
        context = start_processes(
            name="train",
            entrypoint=command[0],
            args={rank: tuple(command[1:]) for rank in ranks},
            envs={rank: {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in ranks},
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
