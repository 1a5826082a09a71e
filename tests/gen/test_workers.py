import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cluster import cluster
from gen import files, workers
from gen import survey as surveying
from gen.datasets import Prepared
from gen.errors import BadParamsError, UserError
from gen.features import Extractor
from gen.steps.ingest import ingest
from gen.steps.prepare import prepare
from gen.survey import survey
from gen.workers import Crew, Hire
from gen.workspace import Workspace
from tests.conftest import ROOT
from tests.gen import crews
from tests.gen.crews import Breaking, Deadly, square
from tests.gen.raw_images import labels_of, noise, params, write_folder
from tests.gen.world import small_extractor

TWO = functools.partial(workers.local, 2)


@pytest.fixture
def bullets(tmp_path: Path) -> Path:
    folder = tmp_path / "bullets"
    folder.mkdir()
    return folder


def test_results_come_in_the_order_of_the_pieces_from_several_processes() -> None:
    assert list(workers.each(square, range(50), TWO, 0)) == [square(number) for number in range(50)]
    seen = set(workers.each(crews.process, range(50), TWO, 0))
    assert os.getpid() in seen
    assert 2 <= len(seen) <= 3


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_is_hired_for_nothing(count: int) -> None:
    def nobody() -> Any:
        raise AssertionError

    assert list(workers.each(square, range(count), nobody)) == list(range(count))


def test_no_more_is_under_way_than_twice_what_is_worked_at() -> None:
    taken = 0

    def pieces() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    for done, _ in enumerate(workers.each(square, pieces(), TWO, 0)):
        assert taken <= done + 1 + 2 * 2


def test_what_the_work_raises_is_raised_here() -> None:
    with pytest.raises(ValueError, match="3 is refused"):
        list(workers.each(crews.refused, range(3, 9), None))
    results = workers.each(functools.partial(_refuse_after, 3), range(9), TWO, 0)
    with pytest.raises(ValueError, match="4 is refused"):
        list(results)


def _refuse_after(last: int, number: int) -> int:
    return number if number <= last else crews.refused(number)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_process_that_is_killed_costs_a_repetition(bullets: Path, deaths: int) -> None:
    for number in range(deaths):
        (bullets / str(number)).touch()
    assert list(workers.each(Deadly(bullets, at=20), range(40), TWO, 0)) == [square(number) for number in range(40)]
    assert not list(bullets.iterdir())


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("second", range(8))
def test_no_piece_is_lost_by_a_crew_that_breaks_when_it_is_handed_one(first: int, second: int) -> None:
    crews_to_come = iter([Breaking(first), Breaking(second), Breaking(99)])

    @contextmanager
    def hire() -> Iterator[Crew]:
        with next(crews_to_come) as executor:
            yield Crew(executor, 2)

    assert list(workers.each(square, range(12), hire, 0)) == [square(number) for number in range(12)]


def test_what_kills_again_and_again_is_given_up(bullets: Path) -> None:
    for number in range(9):
        (bullets / str(number)).touch()
    with pytest.raises(UserError, match=r"were killed 3 times.*where memory runs out"):
        list(workers.each(Deadly(bullets, at=20), range(40), TWO, 0))


HOLDS = """
import functools, time
from gen import workers
if __name__ == "__main__":
    from tests.gen.crews import process
    results = workers.each(process, range(9), functools.partial(workers.local, 2), 0)
    next(results)
    print(next(results), flush=True)
    time.sleep(60)
"""


def test_they_end_with_the_process_that_hired_them(tmp_path: Path) -> None:
    script = tmp_path / "holds.py"
    script.write_text(HOLDS)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        worker = int(holder.stdout.readline())
        holder.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()


def made(root: Path, hire: Hire | None) -> dict[str, str]:
    """Digests of what ingest, prepare and a survey make of the folder `images` beside a new workspace."""
    workspace = Workspace(root)
    settings = params(size=12, mine={"kind": "folder", "path": "../images"})
    ingest(workspace, settings, "mine", lambda _: None, hire)
    prepare(workspace, settings, "mine", hire)
    with files.fresh_folder(root / "extractor") as folder:
        small_extractor(budget=640).save(folder)
    shards = Prepared(workspace.prepared("mine")).images("train", "images")
    found = survey(Extractor.load(root / "extractor"), shards, np.arange(0, len(shards), 7), hire)
    return {
        "raw": files.manifest_digest(workspace.raw("mine")),
        "prepared": files.manifest_digest(workspace.prepared("mine")),
        "kept": files.sha256(found.kept.tobytes()),
        "covariance": files.sha256(found.gaussian.covariance.tobytes()),
        "shares": repr(found.shares),
    }


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("cluster"), workers=2) as dask:
        yield dask.address


def test_the_same_bytes_whoever_makes_them(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    each = workers.each
    # All but the first piece of each step goes to others.
    monkeypatch.setattr(workers, "each", lambda work, pieces, hire, *_: each(work, pieces, hire, 0))
    monkeypatch.setattr(surveying, "BLOCK", 64)
    write_folder(tmp_path / "images", noise(300, size=16), labels_of(300))
    (tmp_path / "images" / "3" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    alone = made(tmp_path / "alone", None)
    assert made(tmp_path / "two", TWO) == alone
    monkeypatch.setenv(workers.ADDRESS, address)
    assert made(tmp_path / "dask", workers.hired()) == alone


@pytest.mark.long
def test_a_worker_of_a_cluster_that_is_killed_costs_a_repetition(tmp_path: Path, bullets: Path) -> None:
    (bullets / "one").touch()
    with cluster(tmp_path, workers=2) as dask:
        hire = functools.partial(workers.dask, dask.address)
        assert list(workers.each(Deadly(bullets, at=20), range(40), hire, 0)) == [
            square(number) for number in range(40)
        ]
        assert [process.wait(10) for process in dask.processes if process.poll() is not None] == [-signal.SIGKILL]


def test_a_worker_with_other_code_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_code", lambda: "of yesterday")
    with pytest.raises(UserError, match="another version of this program"):
        list(workers.each(square, range(9), functools.partial(workers.dask, address), 0))


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 2)
    monkeypatch.setenv(workers.ADDRESS, "127.0.0.1")
    with pytest.raises(BadParamsError, match="tcp://HOST:8786"):
        workers.hired()
    monkeypatch.setenv(workers.ADDRESS, "tcp://127.0.0.1:9")
    with pytest.raises(UserError, match="No Dask scheduler answers at tcp://127.0.0.1:9"):
        list(workers.each(square, range(9), workers.hired(), 0))
    with cluster(tmp_path, workers=0) as dask:
        while not dask.listens():
            time.sleep(0.1)
        with pytest.raises(UserError, match="has no workers"):
            list(workers.each(square, range(9), functools.partial(workers.dask, dask.address), 0))
