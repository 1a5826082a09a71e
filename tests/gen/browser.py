"""A real chromium, driven by its DevTools protocol."""

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
]  # fmt: skip
LAYOUT = """({window: innerWidth, page: document.documentElement.scrollWidth,
  wide: [...document.querySelectorAll("body *")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + .5 && !e.closest(".scroll, pre"))
    .map(e => e.outerHTML.slice(0, 120)),
  empty: [...document.images].filter(i => !i.naturalWidth || !i.alt).length})"""


class Tab:
    """One page."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.numbers = itertools.count(1)
        self.errors: list[str] = []
        """What the console complained of."""
        self.requested: list[str] = []
        for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol; what the page tells meanwhile is kept."""
        number = next(self.numbers)
        self.connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.connection.recv(timeout=120))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._keep(message)

    def _keep(self, event: dict[str, Any]) -> None:
        match event["method"]:
            case "Runtime.exceptionThrown" | "Log.entryAdded":
                self.errors.append(json.dumps(event["params"]))
            case "Network.requestWillBeSent":
                self.requested.append(event["params"]["request"]["url"])

    def open(self, url: str, width: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)

    def show(self, page: str, width: int, folder: Path) -> None:
        """Open a page that is a text, by way of a file in `folder`."""
        file = folder / "page.html"
        file.write_text(page, encoding="utf-8")
        self.open(file.as_uri(), width)
        self.until(f"location.href === {json.dumps(file.as_uri())} && document.readyState === 'complete'")

    def layout(self) -> Any:
        """Widths of window and page, what is wider than the window, and how many pictures are empty or unnamed."""
        return self.value(LAYOUT)

    def value(self, expression: str) -> Any:
        """What an expression comes to in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Return when an expression holds; the test's own time limit is the patience."""
        while not self.value(f"Boolean({expression})"):
            pass

    def press(self, key: str, code: int, text: str = "") -> None:
        pressed = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in a field, as a user does in the dialogue."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def screenshot(self, path: Path) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser() -> Iterator[Tab]:
    """A tab of a browser of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(CHROMIUM), *QUIET, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                address = next(line for line in process.stderr if "DevTools listening on ws://" in line)
                port = address.split("ws://")[1].split("/")[0]
                pages = requests.get(f"http://{port}/json/list", timeout=60).json()
                page = next(page for page in pages if page["type"] == "page")
                with connect(page["webSocketDebuggerUrl"], max_size=None) as connection:
                    yield Tab(connection)
            finally:
                process.terminate()
