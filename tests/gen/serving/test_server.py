"""What a server promises its clients: the very images of the model, clear refusals, and an answer whatever happens."""

import base64
import io
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gen import files, use
from gen.balanced import SURE, Draw
from gen.errors import UserError
from gen.serving.gate import Limits
from gen.serving.served import load
from gen.tracking import registry
from gen.tracking.promotion import promote, rollback
from gen.tracking.store import connect
from gen.workspace import Workspace
from tests.gen import fabricated
from tests.gen.serving.conftest import NAME
from tests.gen.serving.process import COMMAND, Serving, as_text, environment, pixels, serving
from tests.gen.test_balanced import telling

CLIENTS = 32
FIELD = st.sampled_from(["n", "seed", "start", "images", "back"]) | st.text(max_size=5)
PICTURE = as_text(fabricated.drawn(1, 5)[0])


@pytest.fixture(scope="module")
def champion(registered: Workspace) -> Iterator[Serving]:
    """The champion of `digits-sample`, followed closely."""
    with serving(registered.root, f"{NAME}@champion", "--every", "0.2") as server:
        yield server
    assert not [line for line in server.said if "Traceback" in line]


@pytest.fixture(scope="module")
def translator(registered: Workspace) -> Iterator[Serving]:
    """A model of the workspace, by the path of its folder."""
    with serving(registered.root, "runs/train/edges2digits") as server:
        yield server


def test_images_are_those_of_the_model(registered: Workspace, champion: Serving) -> None:
    model = use.load(registered.published("dcgan"))
    wanted = model.sample(40, seed=7)
    assert len({image.tobytes() for image in wanted}) > 20
    for start, count in ((0, 40), (0, 1), (7, 2), (13, 20)):
        made = champion.pixels("/generate", n=count, seed=7, start=start)
        assert np.array_equal(made, wanted[start : start + count])
    assert np.array_equal(champion.pixels("/generate", n=2, seed=8), model.sample(2, seed=8))
    usual = champion.pixels("/generate", n=3, seed=8, truncation=0.5)
    assert np.array_equal(usual, model.sample(3, seed=8, truncation=0.5))


def test_images_of_a_class_are_those_that_the_classifier_is_sure_of(registered: Workspace, champion: Serving) -> None:
    served = load(registered.published("dcgan"), "cpu")
    extractor = telling(served.published, ["box", "cup"])
    kept = [each.pixels for each in Draw(served.published, extractor, 4, 1, SURE, 10_000, only="cup")]
    answer = json.loads(served.of_class("cup", count=3, seed=1, start=1, truncation=1.0, tell=lambda _: extractor))
    assert np.array_equal(pixels(answer["images"]), kept[1:])
    with pytest.raises(UserError, match="the first 256 images of a seed .* not number 300"):
        served.of_class("cup", count=1, seed=1, start=300, truncation=1.0, tell=lambda _: extractor)
    refused = champion.post("/generate", n=2, seed=7, **{"class": "none"})
    assert refused.status_code == 422
    assert "no class `none`" in refused.json()["error"]


def test_given_images_are_treated_one_by_one(registered: Workspace, vae: Serving, translator: Serving) -> None:
    boxes = fabricated.drawn(5, 5)
    texts = [as_text(box) for box in boxes]
    again = use.load(registered.train("vae")).reconstruct(boxes)
    assert np.array_equal(vae.pixels("/reconstruct", images=texts), again)
    assert np.array_equal(vae.pixels("/reconstruct", images=texts[3:4]), again[3:4])
    model = use.load(registered.train("edges2digits"))
    assert np.array_equal(translator.pixels("/translate", images=texts), model.translate(boxes))
    assert np.array_equal(translator.pixels("/translate", images=texts, back=True), model.translate(boxes, back=True))


def test_any_size_and_format_is_made_to_fit(vae: Serving) -> None:
    tall = np.zeros((300, 20, 3), np.uint8)
    pictures = [as_text(tall, kind) for kind in ("PNG", "JPEG", "WEBP")]
    assert vae.pixels("/reconstruct", images=pictures).shape == (3, 16, 16, 1)


def test_it_says_who_it_is(registered: Workspace, champion: Serving, translator: Serving) -> None:
    facts = champion.get("/version")
    assert facts["champion_since"] is not None
    del facts["champion_since"]
    assert facts == {
        "version": f"{NAME}/1", "name": NAME, "number": 1, "model": "dcgan", "family": "gan", "task": "sample",
        "dataset": "digits", "shape": [1, 16, 16], "abilities": ["generate"],
        "classes": None,
        "digest": files.manifest_digest(registered.published("dcgan")),
    }  # fmt: skip
    health = champion.get("/health")
    assert (health["status"], health["following"], health["trouble"]) == ("ok", f"{NAME}@champion", None)
    facts = translator.get("/version")
    assert (facts["version"], facts["number"], facts["abilities"]) == ("edges2digits", None, ["translate"])
    assert translator.get("/health")["following"] is None


def bomb() -> str:
    """A PNG of some hundred bytes whose header promises 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )
    return base64.b64encode(data).decode()


def gif() -> str:
    buffer = io.BytesIO()
    Image.new("L", (16, 16)).save(buffer, "GIF")
    return base64.b64encode(buffer.getvalue()).decode()


def several_megapixels() -> list[str]:
    buffer = io.BytesIO()
    Image.new("1", (4000, 4000)).save(buffer, "PNG")
    return [base64.b64encode(buffer.getvalue()).decode()] * 3


BAD_VALUES: list[tuple[str, Any, int, str]] = [
    ("/generate", {}, 422, "`n`: it is missing"),
    ("/generate", {"n": 0}, 422, "`n`: input should be greater than or equal to 1"),
    ("/generate", {"n": 257}, 422, "`n`: input should be less than or equal to 256"),
    ("/generate", {"n": "4"}, 422, "`n`: input should be a valid integer"),
    ("/generate", {"n": 1.5}, 422, "`n`: input should be a valid integer"),
    ("/generate", {"n": True}, 422, "`n`: input should be a valid integer"),
    ("/generate", {"n": None}, 422, "`n`: input should be a valid integer"),
    ("/generate", {"n": 1, "seed": -1}, 422, "`seed`: input should be greater"),
    ("/generate", {"n": 1, "seed": 2**31}, 422, "`seed`: input should be less"),
    ("/generate", {"n": 1, "seed": 10**400}, 422, "`seed`"),
    ("/generate", {"n": 1, "start": -1}, 422, "`start`"),
    ("/generate", {"n": 1, "truncation": 1.5}, 422, "`truncation`"),
    ("/generate", {"n": 1, "sed": 1}, 422, "`sed`: there is no such field"),
    ("/generate", {"n": 1, "\ud800": 1}, 422, "`body`: input should be a valid string"),
    ("/generate", [1], 422, "`body`"),
    ("/generate", "n", 422, "`body`"),
    ("/generate", None, 422, "`body`"),
    ("/reconstruct", {"images": []}, 422, "`images`: list should have at least 1 item"),
    ("/reconstruct", {"images": [PICTURE] * 65}, 422, "`images`: list should have at most 64 items"),
    ("/reconstruct", {"images": PICTURE}, 422, "`images`: input should be a valid list"),
    ("/reconstruct", {"images": [1]}, 422, "`images.0`: input should be a valid string"),
    ("/reconstruct", {"images": [PICTURE, "not base64!"]}, 415, "Image 1 is not base64"),
    ("/reconstruct", {"images": ["data:image/png;base64," + PICTURE]}, 415, "Image 0 is not base64"),
    ("/reconstruct", {"images": ["é"]}, 415, "Image 0 is not base64"),
    ("/reconstruct", {"images": [""]}, 415, "Image 0 cannot be used: no image of a format"),
    ("/reconstruct", {"images": ["aGVsbG8="]}, 415, "Image 0 cannot be used: no image of a format"),
    ("/reconstruct", {"images": [PICTURE[:80]]}, 415, "Image 0 cannot be used: "),
    ("/reconstruct", {"images": [gif()]}, 415, "no image of a format that is read here (PNG, JPEG, WEBP)"),
    ("/reconstruct", {"images": [bomb()]}, 415, "Image 0 cannot be used: damaged, or far too large"),
    ("/reconstruct", {"images": [as_text(np.zeros((9, 9000, 1), np.uint8))]}, 415, "no side may be longer than 8192"),
    ("/reconstruct", {"images": [as_text(np.zeros((7, 7, 1), np.uint8))]}, 415, "a side shorter than 8 px"),
    ("/reconstruct", {"images": several_megapixels()}, 415, "48,000,000 pixels together"),
    ("/reconstruct", {"images": [PICTURE]}, 422, "cannot encode images. Name a model of family `vae`."),
    ("/translate", {"images": [PICTURE]}, 422, "does not translate. Name a model of the task `translate`."),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "words"), BAD_VALUES)
def test_bad_values_are_refused_in_one_paragraph(
    champion: Serving, path: str, body: Any, status: int, words: str
) -> None:
    data = json.dumps(body)
    answer = requests.post(champion.url + path, data, headers={"content-type": "application/json"}, timeout=60)
    assert (answer.status_code, words in paragraph(answer)) == (status, True), answer.text


BAD_REQUESTS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "/generate", {"data": b"{"}, 422, "it is no JSON"),
    ("POST", "/generate", {"data": b"\xff\xfe"}, 422, "`body`: it is no JSON"),
    ("POST", "/generate", {"data": b"[" * 200_000}, 400, "no JSON that can be read"),
    ("POST", "/generate", {"data": b'{"n": ' + b"9" * 5000 + b"}"}, 400, "no JSON that can be read"),
    ("POST", "/generate", {"data": b'{"n": NaN}'}, 422, "`n`: input should be a"),
    ("POST", "/generate", {"data": b'{"n": 1}', "headers": {"content-type": "text/plain"}}, 422, "content type"),
    ("POST", "/generate", {"data": b"x" * (Limits().bytes + 1)}, 413, "longer than the 16 MiB"),
    ("POST", "/generate", {"data": (b"x" * 2**20 for _ in range(17))}, 413, "longer than the 16 MiB"),
    ("GET", "/generate", {}, 405, "This address does not take GET"),
    ("DELETE", "/", {}, 405, "This address does not take DELETE"),
    ("OPTIONS", "/generate", {}, 405, "This address does not take OPTIONS"),
    ("GET", "/health/", {}, 404, "There is nothing at this address. There are: POST /generate"),
    ("GET", "/docs", {}, 404, "There is nothing"),
    ("GET", "/..%2f..%2fparams.yaml", {}, 404, "There is nothing"),
    ("GET", "/templates/", {}, 404, "There is nothing"),
    ("POST", "/generate", {"data": b'{"n": 1}', "headers": {"host": "evil.example"}}, 403, "not its own"),
    ("GET", "/", {"headers": {"host": "evil.example:80"}}, 403, "not its own"),
    ("GET", "/health", {"headers": {"host": "127.0.0.1.evil.example"}}, 403, "not its own"),
]


@pytest.mark.parametrize(("method", "path", "options", "status", "words"), BAD_REQUESTS)
def test_bad_requests_are_refused_in_one_paragraph(
    champion: Serving, method: str, path: str, options: dict[str, Any], status: int, words: str
) -> None:
    headers = {"content-type": "application/json", **options.get("headers", {})}
    answer = requests.request(method, champion.url + path, timeout=60, **{**options, "headers": headers})
    assert (answer.status_code, words in paragraph(answer)) == (status, True), answer.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(PICTURE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELD, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(["/generate", "/reconstruct", "/translate"]), body=st.dictionaries(FIELD, JSON) | JSON)
def test_whatever_is_asked_is_answered_or_refused(champion: Serving, path: str, body: Any) -> None:
    data = json.dumps(body).encode()
    answer = champion.session.post(champion.url + path, data, headers={"content-type": "application/json"}, timeout=60)
    assert answer.status_code in (200, 400, 415, 422), answer.text
    assert answer.status_code == 200 or paragraph(answer)


def paragraph(answer: requests.Response) -> str:
    """The one field of a refusal, a plain text."""
    (text,) = answer.json().values()
    assert "Traceback" not in text
    assert "\n" not in text
    assert text.endswith(".")
    assert answer.headers["content-type"] == "application/json"
    assert_guarded(answer)
    return str(text)


def assert_guarded(answer: requests.Response) -> None:
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


def test_own_names_are_answered(champion: Serving) -> None:
    port = champion.url.rpartition(":")[2]
    for host in ("localhost", "LOCALHOST:1", f"127.0.0.1:{port}", "[::1]:80"):
        answer = requests.get(champion.url + "/health", headers={"host": host}, timeout=60)
        assert answer.status_code == 200
        assert_guarded(answer)


def together(count: int, task: Callable[[int], None]) -> None:
    """Run `task` with each number at once, and raise what any of them raised."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(task, range(count)))


def test_many_clients_get_what_one_gets(registered: Workspace, champion: Serving) -> None:
    model = use.load(registered.train("dcgan"))
    wanted = [model.sample(24, seed) for seed in range(CLIENTS)]

    def client(seed: int) -> None:
        own = Serving(champion.process, champion.url, [])
        for start in (0, 5, 11):
            assert np.array_equal(
                own.pixels("/generate", n=12, seed=seed, start=start), wanted[seed][start : start + 12]
            )
            assert own.get("/health")["version"] == f"{NAME}/1"

    together(CLIENTS, client)
    assert champion.get("/health")["waiting"] == 0


def test_one_more_than_may_wait_is_told_to_come_again(champion: Serving) -> None:
    address = ("127.0.0.1", int(champion.url.rpartition(":")[2]))
    head = b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n"
    waiting = [socket.create_connection(address, timeout=60) for _ in range(Limits().waiting)]
    try:
        for connection in waiting:
            connection.sendall(head + b'{"n"')
        while champion.get("/health")["waiting"] < len(waiting):
            pass
        answer = champion.post("/generate", n=1)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "Come again" in paragraph(answer)
        for connection in waiting:
            connection.sendall(b": 1}")
        assert {connection.recv(15) for connection in waiting} == {b"HTTP/1.1 200 OK"}
    finally:
        for connection in waiting:
            connection.close()
    assert champion.post("/generate", n=1).status_code == 200


def test_new_champion_takes_over_and_no_request_is_lost(registered: Workspace, champion: Serving) -> None:
    store = connect(registered)
    first, second = registry.versions(store, NAME)[:2]
    models = {f"{NAME}/{number}": registered.train(name) for number, name in ((1, "dcgan"), (2, "vae"))}
    wanted = {label: use.load(folder).sample(12, seed=3) for label, folder in models.items()}
    over, served = threading.Event(), set()

    def client(number: int) -> None:
        own = Serving(champion.process, champion.url, [])
        while not over.is_set():
            answer = own.post("/generate", n=4, seed=3, start=number)
            assert answer.status_code == 200, answer.text
            made = answer.json()
            assert np.array_equal(pixels(made["images"]), wanted[made["version"]][number : number + 4])
            served.add(made["version"])

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client, number) for number in range(8)]
        try:
            promote(store, second, 1, "test")
            until(champion, f"{NAME}/2")
            rollback(store, NAME)
            until(champion, f"{NAME}/1")
        finally:
            over.set()
    for done in clients:
        done.result()
    assert served == set(models)
    said = "".join(champion.said)
    assert f"{NAME}/2 serves now, as {NAME}@champion; {NAME}/1 has ended." in said
    assert first.number == 1


def until(server: Serving, label: str) -> None:
    """Return when a version serves; the test's own time limit is the patience."""
    own = Serving(server.process, server.url, [])
    while own.get("/version")["version"] != label:
        pass


def test_asked_to_end_it_answers_what_it_has_begun(registered: Workspace) -> None:
    with serving(registered.root, "vae") as server:
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60) as begun:
            begun.sendall(
                b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b'Content-Length: 10\r\n\r\n{"n"'
            )
            while server.get("/health")["waiting"] < 1:
                pass
            server.session.close()
            server.process.send_signal(signal.SIGTERM)
            until_refused(server)
            begun.sendall(b": 256}")
            answer = b"".join(iter(lambda: begun.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert len(json.loads(body)["images"]) == 256
    assert server.process.returncode == 0


def until_refused(server: Serving) -> None:
    """Return when it takes no new connections any more."""
    while True:
        try:
            requests.get(server.url + "/health", timeout=5)
        except requests.ConnectionError:
            return


def refused(root: Path, *arguments: str) -> tuple[int, str]:
    """What the command leaves with, and says."""
    done = subprocess.run([*COMMAND, *arguments], cwd=root, env=environment(), capture_output=True, text=True)
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def test_what_cannot_be_served_is_told(registered: Workspace, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused(registered.root, "vae", "--port", str(port))
        assert code == 2
        assert said.startswith(f"genflows: Port {port} is in use. Try another: ")
    code, said = refused(registered.root, "vae", "--host", "192.0.2.1")
    assert code == 2
    assert "cannot listen at `192.0.2.1`" in said
    broken = tmp_path / "broken"
    broken.mkdir()
    files.write(broken / "model.safetensors", os.urandom(100))
    code, said = refused(registered.root, str(broken), "--port", "0")
    assert code == 1
    assert "manifest.json is missing" in said
