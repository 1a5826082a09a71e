"""The page, in a real browser: it shows what the server answers, by keyboard too, and on a narrow screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gen.images import write_png
from tests.gen import fabricated
from tests.gen.browser import Tab, browser, needed
from tests.gen.serving.process import Serving, as_text

pytestmark = needed
SHOWN = "[...document.querySelectorAll('{}')].map(i => i.src.split(',')[1])"


@pytest.fixture
def tab() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.mark.parametrize("width", [360, 1280])
def test_seed_and_files_are_shown(vae: Serving, tab: Tab, width: int, tmp_path: Path) -> None:
    tab.open(f"{vae.url}/", width)
    tab.until("document.body?.dataset.seed === '0'")
    wanted = vae.post("/generate", n=32, seed=0).json()["images"]
    assert tab.value(SHOWN.format("#pictures img")) == wanted
    assert tab.value("document.getElementById('name').textContent") == "digits-sample/2"

    # By keyboard alone: one step of the slider, then a number.
    tab.value("document.getElementById('slider').focus()")
    tab.press("ArrowRight", 39)
    tab.until("document.body.dataset.seed === '1'")
    assert tab.value("document.getElementById('seed').value") == "1"
    tab.press("Tab", 9)
    assert tab.value("document.activeElement.id") == "seed"
    tab.press("5", 53, "5")
    tab.until("Number(document.body.dataset.seed) > 1")
    seed = int(tab.value("document.body.dataset.seed"))
    assert tab.value(SHOWN.format("#pictures img")) == vae.post("/generate", n=32, seed=seed).json()["images"]

    files = [tmp_path / f"{'a-very-long-name' * 5}-{number}.png" for number in range(2)]
    for file, box in zip(files, fabricated.drawn(2, 5), strict=True):
        write_png(file, box)
    tab.choose("#file", *files)
    tab.until("document.body.dataset.given === '2'")
    given = [as_text(box) for box in fabricated.drawn(2, 5)]
    made = vae.post("/reconstruct", images=given).json()["images"]
    assert tab.value(SHOWN.format(".pair figure:last-child img")) == made

    assert tab.layout() == {"window": width, "page": width, "wide": [], "empty": 0}
    assert tab.errors == []
    assert {url for url in tab.requested if not url.startswith((f"{vae.url}/", "data:"))} == set()


def test_a_refusal_is_shown_and_nothing_foreign_runs(vae: Serving, tab: Tab, tmp_path: Path) -> None:
    tab.open(f"{vae.url}/", 1280)
    tab.until("document.body?.dataset.seed === '0'")
    (tmp_path / "text.png").write_text("no picture")
    tab.choose("#file", tmp_path / "text.png")
    tab.until("document.getElementById('given-said').textContent.startsWith('Image 0 cannot be used')")
    tab.value("""{const s = document.createElement('script'); s.textContent = 'window.foreign = 1';
        document.body.append(s);}""")
    assert tab.value("window.foreign === undefined")
