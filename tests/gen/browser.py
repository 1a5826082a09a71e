"""A real browser, where there is one: how a page comes out at a width."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
# A headless window is never narrower than 500 px, a frame is as narrow as one likes.
FRAME = """<!doctype html><title>not measured</title><iframe width="{width}" height="900" srcdoc="{page}"></iframe>
<script>
onload = () => {{
  const view = document.querySelector("iframe").contentWindow, page = view.document;
  const wide = [...page.querySelectorAll("body *")].filter(
    e => e.getBoundingClientRect().right > view.innerWidth + 0.5 && !e.closest(".scroll, pre"));
  document.title = JSON.stringify({{
    window: view.innerWidth, page: page.documentElement.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 120)),
    empty: [...page.images].filter(i => !i.naturalWidth).length}});
}};
</script>"""


def measured(page: str, width: int, folder: Path) -> dict[str, Any]:
    """Widths of window and page, what is wider than the window, and how many pictures are empty."""
    framed = folder / "framed.html"
    framed.write_text(FRAME.format(width=width, page=html.escape(page)))
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command = [str(CHROMIUM), "--headless", "--no-sandbox", *quiet, "--disable-sync", "--disable-quic"]
    command += ["--hide-scrollbars", f"--user-data-dir={folder / 'profile'}", "--dump-dom", framed.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r"<title>(.*?)</title>", done.stdout)
    assert found is not None
    values: dict[str, Any] = json.loads(html.unescape(found[1]))
    return values
