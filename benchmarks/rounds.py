"""Two or more ways of doing the same, timed in turns: what slows the machine for a while slows them all."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """Images a second, round by round, of each way."""

    by_way: Mapping[str, list[float]]

    def ratio(self, way: str, baseline: str) -> list[float]:
        """How many times faster `way` was than `baseline`, round by round."""
        return [fast / slow for fast, slow in zip(self.by_way[way], self.by_way[baseline], strict=True)]


def timed(ways: Mapping[str, Callable[[], int]], rounds: int) -> Rates:
    """Call each way once to warm up and then once a round; each returns how many images it went through."""
    for way in ways.values():
        way()
    by_way: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        # Whoever goes first finds another cache, so they take turns.
        names = list(ways) if number % 2 else list(reversed(ways))
        for name in names:
            clock = time.perf_counter()
            images = ways[name]()
            by_way[name].append(images / (time.perf_counter() - clock))
    return Rates(by_way)


def row(what: str, values: list[float], target: str, unit: str = "") -> dict[str, object]:
    """Print one line of a table, and return it as JSON has it."""
    middle = statistics.median(values)
    spread = f"{min(values):.4g}-{max(values):.4g}"
    print(f"{what:52} {middle:8.4g}{unit:2} {spread:>16} {target:>8}")
    return {"what": what, "median": middle, "values": values, "target": target}


def finish(lines: list[dict[str, object]]) -> None:
    """Print the lines once more, as JSON."""
    print(json.dumps(lines))
