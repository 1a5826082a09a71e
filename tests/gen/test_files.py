"""Files are whole or absent."""

import errno
import multiprocessing
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen import files
from gen.errors import UserError


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(path, {"new": float("nan")})
    assert files.read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def _write_past_the_limit(path: Path, out: "multiprocessing.Queue[int]") -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        files.write(path, b"x" * 2000)
    except OSError as error:
        out.put(error.errno or 0)


def test_a_write_that_the_system_cuts_short_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write(path, b"old")
    context = multiprocessing.get_context("spawn")
    out: multiprocessing.Queue[int] = context.Queue()
    process = context.Process(target=_write_past_the_limit, args=(path, out))
    process.start()
    assert out.get(timeout=60) == errno.EFBIG
    process.join()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with files.fresh_folder(target) as folder:
        (folder / "a").write_text("first")
    with pytest.raises(RuntimeError), files.fresh_folder(target) as folder:
        (folder / "a").write_text("second")
        raise RuntimeError
    assert (target / "a").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]
    files.verify(target)


@pytest.mark.parametrize("harm", ["flip", "cut", "add", "remove", "link"])
def test_a_manifest_notices_every_change(tmp_path: Path, harm: str) -> None:
    with files.fresh_folder(tmp_path / "out") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "weights").write_bytes(bytes(range(100)))
    file = tmp_path / "out" / "inner" / "weights"
    match harm:
        case "flip":
            file.write_bytes(bytes([1, *range(1, 100)]))
        case "cut":
            file.write_bytes(bytes(range(99)))
        case "add":
            (file.parent / "new").write_text("x")
        case "remove":
            file.unlink()
        case "link":
            file.rename(tmp_path / "elsewhere")
            file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="link" if harm == "link" else "not what was written"):
        files.verify(tmp_path / "out")


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()))
def test_equal_values_have_equal_digests_whatever_their_order(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert files.digest(value) == files.digest(turned)
    assert files.digest(value) != files.digest({"value": value})


def test_a_journal_cut_short_keeps_its_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = files.Journal(path)
    for images in range(3):
        journal.append({"images": images})
    journal.close()
    path.write_bytes(path.read_bytes()[:-3])
    assert files.Journal.read(path) == [{"images": 0}, {"images": 1}]


def _hold(path: Path, held: "multiprocessing.Queue[str]") -> None:
    with files.lock(path):
        held.put("held")
        signal.pause()


def test_a_lock_excludes_and_dies_with_its_holder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=_hold, args=(tmp_path / "lock", held))
    process.start()
    held.get(timeout=60)
    with pytest.raises(BlockingIOError), files.lock(tmp_path / "lock", wait=False):
        pass
    process.kill()
    process.join()
    with files.lock(tmp_path / "lock", wait=False):
        pass
