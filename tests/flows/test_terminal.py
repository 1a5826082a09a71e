"""Amounts, times and progress as people read them."""

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from flows.terminal import age, duration, figure, hanging, narration, size
from tests.conftest import ROOT

NARRATED = """
from flows.terminal import narration
with narration() as say:
    say("digits: 5,000 images kept")
    say("dcgan      5,000 / 250,000 images  generator 0.7")
    say("dcgan    250,000 / 250,000 images  generator 0.7")
"""


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB"), (2**41, "2.0 TiB")]
)
def test_bytes(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (125, "2 min 5 s"), (7380, "2 h 3 min")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(minutes=1, seconds=1), "1 minute"),
        (timedelta(hours=5, minutes=1), "5 hours"),
        (timedelta(days=40, minutes=1), "40 days"),
    ],
)
def test_ages(ago: timedelta, words: str) -> None:
    assert age(datetime.now(UTC) - ago) == words


def test_figures() -> None:
    assert figure(None) == "-"
    assert figure(12.3456) == "12.35"
    assert figure(12.3456, 0.4321) == "12.35 ± 0.43"


def test_a_hanging_paragraph_stays_in_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert hanging("one two three four five six seven", 10) == "one two three four\n          five six seven"


def test_in_a_pipe_progress_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with narration() as say:
        say("dcgan      5,000 / 250,000 images  generator 0.7")
    assert capsys.readouterr().out == "dcgan      5,000 / 250,000 images  generator 0.7\n"


def test_on_a_terminal_progress_is_a_bar() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", NARRATED], cwd=ROOT, env=environment, stdout=theirs, check=True)
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    assert b"digits: 5,000 images kept" in shown
    assert b"250,000 / 250,000" in shown
    assert b"generator" not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # what Linux says of a terminal that the other side has closed
        return b""
