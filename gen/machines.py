"""Several machines that train one model: number 0 leads, and the others join in whatever it trains.

They are told of each other as torchrun's machines are, by the variables in which it takes its options: PET_NNODES,
PET_NODE_RANK, and PET_MASTER_ADDR and PET_MASTER_PORT, where number 0 listens while it trains. All see the workspace at
the same path, and number 0 alone writes there.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from gen.errors import BadParamsError, UserError
from gen.launch import Part, run

PATIENCE = timedelta(days=1)
"""How long machines wait for each other."""
BLINK = 0.5
"""Seconds between two looks at whether somebody leads."""
TASK = "task"


@dataclass(frozen=True)
class Machines:
    """Those that train together, as this one was told."""

    count: int
    this: int
    address: str
    port: int

    @classmethod
    def told(cls) -> Self | None:
        """None where this machine trains by itself. Raises BadParamsError for numbers that cannot be."""
        count, this, port = (
            os.environ.get(name, default)
            for name, default in (("PET_NNODES", "1"), ("PET_NODE_RANK", "0"), ("PET_MASTER_PORT", ""))
        )
        if count == "1":
            return None
        address = os.environ.get("PET_MASTER_ADDR", "")
        numbers = all(word.isdecimal() for word in (count, this, port))
        if not address or not numbers or not int(this) < int(count):
            raise BadParamsError(
                f"PET_NNODES={count}, PET_NODE_RANK={this}, PET_MASTER_ADDR={address} and PET_MASTER_PORT={port} do "
                "not say which machines train together: how many, which of them this is (from 0), and at which address "
                "and port number 0 is to be found. Set all four, on each machine."
            )
        return cls(int(count), int(this), address, int(port))

    def part(self, processes: int) -> Part:
        """This machine's of so many processes. Raises BadParamsError where not all have equally many."""
        if processes % self.count:
            raise BadParamsError(
                f"{processes} processes cannot be shared out among {self.count} machines: `machine.processes` in "
                "params.yaml counts those of all machines, of which each has equally many."
            )
        each = processes // self.count
        return Part(self.this * each, each, processes)

    @property
    def meeting(self) -> dict[str, str]:
        """How their processes find each other: as torchrun tells its own, in the store that number 0 keeps."""
        store = {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
        return {"MASTER_ADDR": self.address, "MASTER_PORT": str(self.port), **store}


def lead(machines: Machines, step: list[str], processes: int, leaving: Callable[[], bool]) -> int:
    """Run a step (`["train", "vae"]`) on all machines, as gen.launch.launch does on one.

    It begins when all are there. Raises UserError where this is not number 0, or its port is taken.
    """
    part = machines.part(processes)
    if machines.this:
        raise UserError(
            "This machine does not lead (PET_NODE_RANK is not 0): run `python -m gen join` on it, and what is to be "
            "done on number 0 alone."
        )
    try:
        store = TCPStore(machines.address, machines.port, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    except RuntimeError as error:
        raise UserError(
            f"{machines.address}:{machines.port}, where machines are to meet, cannot be listened at "
            f"({' '.join(str(error).split())[:120]}). Set PET_MASTER_ADDR and PET_MASTER_PORT to an address of this "
            "machine and a free port."
        ) from None
    store.set(TASK, json.dumps({"folder": str(Path.cwd()), "step": step, "processes": processes}))
    return run(_command(step), part, machines.meeting, leaving)


def join(machines: Machines, leaving: Callable[[], bool], say: Callable[[str], None]) -> None:
    """Take part in each step that number 0 leads, one after another, until asked to leave."""
    while not leaving():
        store = _found(machines)
        mine = f"joined by {machines.this}"
        if store is None or store.check([mine]):  # nobody leads, or it is the one that has just ended here
            time.sleep(BLINK)
            continue
        store.set(mine, "")
        task = json.loads(store.get(TASK))
        os.chdir(task["folder"])
        say(f"{' '.join(task['step'])}: joins in")
        try:
            code = run(_command(task["step"]), machines.part(task["processes"]), machines.meeting, leaving)
            say(f"{' '.join(task['step'])}: ended with {code}")
        except UserError as error:
            say(f"{' '.join(task['step'])}: {error}")


def _found(machines: Machines) -> TCPStore | None:
    """What number 0 tells, where it leads."""
    try:
        # torch's own attempts would each be written about.
        socket.create_connection((machines.address, machines.port), timeout=5).close()
        return TCPStore(machines.address, machines.port, is_master=False, timeout=timedelta(seconds=30))
    except (OSError, RuntimeError):
        return None


def _command(step: list[str]) -> list[str]:
    return [sys.executable, "-m", "gen", *step]
