"""The comparison page: what it shows of 2, 5 and 20 models, and how it comes out in a real browser."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gen import files
from gen.charts import colors
from gen.steps.comparison import Compared, render
from tests.gen import browser, fabricated
from tests.gen.metrics.test_card import FIELDS


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Compared]:
    """A GAN and a VAE, trained and measured."""
    workspace, params = fabricated.workspace(tmp_path_factory.mktemp("comparison"))
    found = []
    for model, value in (("dcgan", 30.0), ("vae", 20.0)):
        fabricated.trained(workspace, params, model)
        fabricated.evaluated(workspace, model, value)
        found.append(Compared(model, workspace.train(model), workspace.evaluate(model), workspace.provenance(model)))
    return found


def many(two: list[Compared], count: int) -> list[Compared]:
    return [replace(two[number % 2], name=f"{two[number % 2].name}-{number}") for number in range(count)]


def text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_better_one_comes_first_with_what_differs_between_them(two: list[Compared]) -> None:
    page = render(two)
    told = text(page)
    assert told.index("vae ↓ 20") < told.index("dcgan ↓ 30")
    assert re.search(r"learning_rate \S+ \S+", told)
    assert "batch 16" not in told, "it is the same for both"
    assert "thousand images" not in told
    assert {"images seen", "seconds"} <= set(re.findall(r">(images seen|seconds)<", page))
    assert page.count("data:image/png;base64,") == 2
    assert "script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_one_model_and_one_without_a_clock_or_a_picture_are_shown(two: list[Compared], tmp_path: Path) -> None:
    evaluate = Path(shutil.copytree(two[0].evaluate, tmp_path / "evaluate"))
    (evaluate / "samples.png").unlink()
    page = render([replace(two[0], evaluate=evaluate, provenance=None)])
    assert "There is one model alone." in page
    assert page.count(">seconds<") == 1, "in the head of the table alone"
    assert "data:image/png" not in page


def test_models_of_different_eval_cards_are_not_ranked_together(two: list[Compared], tmp_path: Path) -> None:
    evaluate = Path(shutil.copytree(two[0].evaluate, tmp_path / "evaluate"))
    metrics = files.read_json(evaluate / "metrics.json")
    for figure in metrics["figures"]:
        figure |= {"card": {**figure["card"], "seed": 7}, "eval_id": "0" * 64}
    files.write_json(evaluate / "metrics.json", metrics)
    told = text(render([two[0], replace(two[0], name="another", evaluate=evaluate)]))
    assert "seed" in FIELDS
    assert "their eval cards differ in seed" in told
    assert "frechet (not one eval card)" in told


def test_names_are_shown_not_obeyed(two: list[Compared]) -> None:
    page = render([replace(two[0], name="<script>alert(1)</script>")])
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_colours_are_all_different() -> None:
    for count in (1, 2, 5, 20):
        assert len(set(colors(count))) == count


@browser.needed
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("count", [2, 5, 20])
def test_browser_shows_any_number_without_sideways_scrolling(
    two: list[Compared], count: int, width: int, tmp_path: Path
) -> None:
    page = render(many(two, count)).replace("<details>", "<details open>")
    with browser.browser() as tab:
        tab.show(page, width, tmp_path)
        assert tab.layout() == {"window": width, "page": width, "wide": [], "empty": 0}
