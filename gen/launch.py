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
from gen.parallel import MEETING

BLINK = 0.2
"""Seconds between two looks at whether to leave."""
PATIENCE = 60
"""Seconds that the processes have to keep what there is, once they are asked to leave."""


def launch(command: list[str], processes: int, leaving: Callable[[], bool]) -> int:
    """Run `command` in so many processes that know each other; returns the leader's exit code.

    When one fails the others are ended. `leaving` is asked whether to end all of them, gently.
    """
    # What fails says so itself; torch's engine would add where in torch it noticed.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        shared = {
            MEETING: str(Path(folder) / "meeting"),
            "WORLD_SIZE": str(processes),
            # Loopback, by whatever name the machine has it: they need no other network.
            "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo"),
            orphan.DRIVER: orphan.this_process(),
        }
        ranks = range(processes)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        context = start_processes(
            name="train",
            entrypoint=command[0],
            args={rank: tuple(command[1:]) for rank in ranks},
            envs={rank: {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in ranks},
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        for number, handler in handlers.items():
            # The engine's own would end this process at once.
            signal.signal(number, handler)
        try:
            asked = False
            while (result := context.wait(BLINK, BLINK)) is None:
                if leaving() and not asked:
                    asked = True
                    context.close(signal.SIGTERM, PATIENCE)
        finally:
            context.close()
    # What the leader left with says most; only when it ended well another one's failure counts.
    # One that a signal ended has no code of its own.
    failed = [result.failures[rank].exitcode for rank in sorted(result.failures)]
    return max(failed[0], 1) if failed else 0
