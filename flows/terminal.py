"""What a command shows: tables, amounts and progress that read well in 80 columns, in a pipe and in a log."""

import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

Say = Callable[[str], None]
PROGRESS = re.compile(r"(?:.*\s)?(?P<what>\S+)\s+(?P<done>[\d,]+) / (?P<total>[\d,]+) images\b(?P<rest>.*)")
"""The line in which a training says how far it is."""


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print rows under their columns; those called in `numbers` stand to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    sheet = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        right = name in numbers
        sheet.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in rows:
        sheet.add_row(*(Text(cell) for cell in row))
    Console().print(sheet)


@contextmanager
def narration() -> Iterator[Say]:
    """How a long command tells what it does: a bar for each training on a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield lambda line: print(line, flush=True)
        return
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    bars: dict[str, TaskID] = {}
    time = TimeRemainingColumn(elapsed_when_finished=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[count]}"), time
    ) as progress:
        # Stages that count nothing take their time too: this one only moves.
        working = progress.add_task("working", total=None, count="")

        def say(line: str) -> None:
            step = PROGRESS.fullmatch(line)
            if step is None:
                progress.console.print(line, markup=False, highlight=False)
                return
            what, done, total = step["what"], *(int(step[part].replace(",", "")) for part in ("done", "total"))
            if what not in bars:
                bars[what] = progress.add_task(what, total=total, count="")
            progress.update(bars[what], completed=done, count=f"{done:,} / {total:,}")

        try:
            yield say
        finally:
            progress.remove_task(working)


def hanging(paragraph: str, indent: int = 0) -> str:
    """A paragraph that begins in column `indent` and goes on there, wrapped between words."""
    width = shutil.get_terminal_size().columns - indent
    lines = textwrap.wrap(paragraph, max(width, 20), break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def size(count: int) -> str:
    """Bytes as people write them: `2.0 GiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def duration(seconds: float) -> str:
    """A time span with two units at most: `2 min 5 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def age(moment: datetime) -> str:
    """How long ago something was, in its largest unit: `3 days`."""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' * (count > 1)}"
    return "just now"


def figure(value: float | None, spread: float | None = None) -> str:
    """A measured value with its spread, four digits: `12.31 ± 0.42`; `-` where there is none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if spread is None else f"{value:.4g} ± {spread:.2g}"
