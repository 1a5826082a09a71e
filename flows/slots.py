"""How many stages run side by side, and how long stages take that way."""

import heapq
import os
from collections.abc import Collection, Mapping

from gen.config import Machine


def slots(machine: Machine) -> int:
    """Stages that run at once: each is processes with threads of their own, and more than cores would only wait."""
    return max(1, (os.cpu_count() or 1) // (machine.threads * machine.processes))


def training_slots(machine: Machine) -> int:
    """Trainings that run at once: off the CPU each has the accelerator to itself."""
    return slots(machine) if machine.device == "cpu" else 1


def wall_time(
    seconds: Mapping[str, float],
    slots: int,
    after: Mapping[str, Collection[str]] | None = None,
    alone: Collection[str] = (),
) -> float:
    """Seconds until all is done that takes `seconds` by its name, with `slots` of them at work at once.

    As in a retrain, each begins when there is a slot for it and those that it comes `after` are done, in the order
    given where several could; names without `seconds` count as done. Those in `alone` take no slot, but run one at a
    time.
    """
    before = {name: set((after or {}).get(name, ())) & set(seconds) for name in seconds}
    free = {False: slots, True: 1}
    running: list[tuple[float, str]] = []
    now = 0.0
    while before or running:
        for name in [name for name, others in before.items() if not others]:
            if free[name in alone]:
                free[name in alone] -= 1
                heapq.heappush(running, (now + seconds[name], name))
                del before[name]
        now, ended = heapq.heappop(running)
        free[ended in alone] += 1
        for others in before.values():
            others.discard(ended)
    return now
