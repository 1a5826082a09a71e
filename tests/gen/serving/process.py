"""`genflows serve` as a process of its own."""

import base64
import contextlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image

from gen.images import Pixels, png
from tests.conftest import ROOT

COMMAND = [sys.executable, "-m", "flows.cli", "serve"]


@dataclass
class Serving:
    """A server that answers."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]
    """Its lines, on stdout and stderr."""
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str) -> Any:
        answer = self.session.get(self.url + path, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> requests.Response:
        return self.session.post(self.url + path, json=body, timeout=60)

    def pixels(self, path: str, **body: Any) -> Pixels:
        """The images of an answer: uint8 [N, H, W, C]."""
        answer = self.post(path, **body)
        assert answer.status_code == 200, answer.text
        return pixels(answer.json()["images"])


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def serving(root: Path, *arguments: str) -> Iterator[Serving]:
    """A server on a port of its own for as long as the block lasts; it is asked to end, and has to end well."""
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--port", "0"],
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if " serves at http://" in line:
                    break
            else:
                raise AssertionError(f"it did not start: {said}")
            threading.Thread(target=said.extend, args=(process.stdout,), daemon=True).start()
            yield Serving(process, said[-1].split(" serves at ")[1].split(" ")[0], said)
            process.terminate()
            assert process.wait(timeout=60) == 0, said
        finally:
            process.kill()


def pixels(encoded: list[str]) -> Pixels:
    images = [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in encoded]
    return np.stack([image if image.ndim == 3 else image[:, :, None] for image in images])


def as_text(image: Pixels, kind: str = "PNG") -> str:
    """A picture [H, W, C] as a client sends it."""
    if kind == "PNG":
        return base64.b64encode(png(image)).decode()
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()
