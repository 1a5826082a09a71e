import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gen import files
from gen.errors import UserError
from gen.sources import cifar, idx
from gen.sources.official import Public, download, locate
from tests.gen.raw_images import places


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on loopback that serves tmp_path/web."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def find(folder: Path) -> bytes | None:
    path = folder / "toy.bin"
    return path.read_bytes() if path.is_file() else None


def toy(address: str = "https://toy.invalid", packaged: Path | None = None) -> Public:
    return Public("toy", {"toy.bin": files.sha256(b"toy")}, (address,), packaged, "Or draw it.")


def test_the_places_are_looked_into_in_their_order(tmp_path: Path, server: str) -> None:
    folders = {"the dataset's `path`": "mine", "the mirror": "mirror/toy", "the system's package": "packaged"}
    public = toy(server, tmp_path / "packaged")
    (tmp_path / "web" / "toy.bin").write_bytes(b"toy")

    def located() -> tuple[bytes, str]:
        return locate(public, "mine", places(tmp_path, tmp_path / "mirror"), find)

    assert located() == (b"toy", server)
    for what, folder in reversed(folders.items()):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "toy.bin").write_bytes(what.encode())
        assert located() == (what.encode(), what)


def test_what_is_not_found_names_all_places_and_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        locate(toy("http://127.0.0.1:9", tmp_path / "packaged"), "mine", places(tmp_path), find)
    message = str(caught.value)
    for part in (str(tmp_path / "mine"), "GENFLOWS_MIRROR is not set", "packaged", "127.0.0.1:9", "Or draw it."):
        assert part in message


def test_a_download_with_another_hash_is_refused_and_leaves_nothing(tmp_path: Path, server: str) -> None:
    (tmp_path / "web" / "toy.bin").write_bytes(b"tampered")
    target = tmp_path / "downloads" / "toy.bin"
    with pytest.raises(OSError, match="SHA-256"):
        download(f"{server}/toy.bin", files.sha256(b"toy"), target)
    assert list(target.parent.iterdir()) == []


def test_a_download_is_kept_and_mended(tmp_path: Path, server: str) -> None:
    (tmp_path / "web" / "toy.bin").write_bytes(b"toy")
    target = tmp_path / "downloads" / "toy.bin"
    download(f"{server}/toy.bin", files.sha256(b"toy"), target)
    (tmp_path / "web" / "toy.bin").unlink()
    download(f"{server}/toy.bin", files.sha256(b"toy"), target)
    target.write_bytes(b"rotten")
    with pytest.raises(OSError, match="404"):
        download(f"{server}/toy.bin", files.sha256(b"toy"), target)


def test_all_addresses_are_encrypted() -> None:
    for public in (*idx.PUBLIC.values(), cifar.PUBLIC):
        assert all(address.startswith("https://") for address in public.addresses)
        assert all(len(sha256) == 64 for sha256 in public.sha256.values())
