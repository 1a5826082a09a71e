"""Logs of what runs for months: real processes that write on while theirs is cut."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows import logs
from gen.workspace import Workspace
from tests.flows.toy import eventually

TALKER = "import sys, time\nwhile True: print('x' * 99, flush=True); time.sleep(0.001)"


def test_a_log_begins_anew_and_its_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST", 50_000)
    workspace = Workspace(tmp_path)
    logs.folder(workspace).mkdir(parents=True)
    log, other = (logs.folder(workspace) / name for name in ("talker.log", "other.log"))
    other.write_text("little")
    with log.open("ab") as output:
        talker = subprocess.Popen([sys.executable, "-c", TALKER], stdout=output)
    try:
        for _ in range(3):
            assert eventually(lambda: log.stat().st_size > logs.MOST)
            logs.bound(workspace)
            assert log.stat().st_size < logs.MOST
            assert logs.MOST < log.with_name("talker.log.old").stat().st_size < 2 * logs.MOST
    finally:
        talker.kill()
        talker.wait()
    assert b"\0" not in log.read_bytes(), "its writer goes on at the new beginning"
    assert sorted(path.name for path in logs.folder(workspace).iterdir()) == [
        "other.log",
        "talker.log",
        "talker.log.old",
    ]
