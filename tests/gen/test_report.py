"""The report is one file that opens anywhere."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gen import config, files, report
from gen.workspace import Workspace

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MEASURE = """<style>html {{ width: {0}px }}</style><script>addEventListener("load", () => {{
  const over = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > {0} + 1
    && !e.parentElement.closest(".scroll, svg"));
  const broken = [...document.images].filter(i => !i.naturalWidth);
  document.title = over.length + " beyond the edge, " + broken.length + " broken";
}})</script>"""
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-sync --disable-quic --no-first-run --window-size=1400,900 "
    "--disable-background-networking --disable-component-update --virtual-time-budget=5000 --dump-dom"
)


class Links(HTMLParser):
    """Every tag, and every address that a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


def written(workspace: Workspace) -> str:
    return report.write(workspace, config.load(workspace.params_file)).read_text(encoding="utf-8")


def test_it_holds_everything_and_refers_to_nothing(copied: Workspace) -> None:
    page = written(copied)
    links = Links()
    links.feed(page)
    assert "script" not in links.tags
    assert [a for a in links.addresses if not a.startswith(("data:image/png;base64,", "#"))] == []
    for words in ("gan", "vae", "cyclegan", "reconstructions", "translations", "thousand images", "pair_error"):
        assert words in page


def test_what_changed_is_said_once(copied: Workspace) -> None:
    assert "This is the first report." in written(copied)
    assert "Nothing changed since the last report." in written(copied)
    memory = copied.private / "report-state.json"
    old = files.read_json(memory)
    old["models"]["vae"]["params"]["latent_dim"] = 99
    old["models"]["vae"]["key"] = "another"
    old["models"]["lost"] = old["models"]["gan"]
    files.write_json(memory, old)
    page = written(copied)
    assert "Model vae was trained again with latent_dim 99 → 4." in page
    assert "Model lost is gone." in page


def test_a_workspace_in_which_nothing_ran_has_a_report(tiny: Workspace) -> None:
    assert "No verdict yet" in written(tiny)


def test_what_users_write_is_shown_and_not_run(copied: Workspace) -> None:
    profile = copied.prepared("digits") / "profile.json"
    values = files.read_json(profile)
    values["source"]["description"] = "<script>alert(1)</script>"
    files.write_json(profile, values)
    page = written(copied)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it_without_scrolling_sideways(copied: Workspace, tmp_path: Path, width: int) -> None:
    assert CHROMIUM
    page = tmp_path / "page.html"
    page.write_text(written(copied) + MEASURE.format(width), encoding="utf-8")
    command = [CHROMIUM, *QUIET.split(), f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert re.findall("<title>(.*?)</title>", done.stdout) == ["0 beyond the edge, 0 broken"]
