import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import children
from flows.children import Stop, StoppedError
from tests.flows.toy import processes

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun", sys.argv[1], flush=True)
time.sleep(600)
"""


def lines(*command: str, stop: Stop | None = None, timeout: float | None = None) -> Iterator[str]:
    return children.lines(command, Path.cwd(), os.environ, stop or Stop(), timeout)


def test_both_streams_arrive_line_by_line_also_the_last() -> None:
    command = "import sys; print('one', flush=True); print('zwö', file=sys.stderr, flush=True); print('three', end='')"
    assert list(lines(sys.executable, "-X", "utf8", "-c", command)) == ["one", "zwö", "three"]


def test_a_failure_tells_its_code() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        list(lines("sh", "-c", "echo some; exit 7"))
    assert caught.value.returncode == 7


def test_one_that_hears_no_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LADDER", ((signal.SIGINT, 0.5), (signal.SIGTERM, 0.5), (signal.SIGKILL, 5.0)))
    stop = Stop()
    with pytest.raises(StoppedError):
        for line in lines(sys.executable, "-c", STUBBORN, str(tmp_path), stop=stop):
            assert line == f"begun {tmp_path}"
            stop.request()
    assert not processes(tmp_path)


def test_whoever_stops_listening_ends_it(tmp_path: Path) -> None:
    listening = lines("sh", "-c", f"echo begun; sleep 600 # {tmp_path}")
    assert next(listening) == "begun"
    listening.close()  # type: ignore[attr-defined]
    assert not processes(tmp_path)


def test_what_has_not_begun_never_does() -> None:
    stop = Stop()
    stop.request()
    with pytest.raises(StoppedError):
        stop.check()


def test_a_signal_asks_once_and_then_does_as_ever() -> None:
    stop = Stop()
    before = signal.getsignal(signal.SIGINT)
    assert threading.current_thread() is threading.main_thread()
    with stop.on_signals():
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
