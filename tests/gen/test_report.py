"""The report: whole in itself, truthful about what changed and what is missing, and readable in a real browser."""

import re
import shutil
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gen import files, images, pin
from gen.changes import differences
from gen.config import Params
from gen.guards import Guard
from gen.judge import Score, Verdict
from gen.report import render, write
from gen.ruling import Gain, Standard
from gen.steps.compare import compare
from gen.workspace import Workspace
from tests.gen import browser, fabricated
from tests.gen.metrics.test_card import CARD, FIELDS, differing


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    workspace, params = fabricated.workspace(tmp_path_factory.mktemp("made"))
    for model, value in (("dcgan", 30.0), ("vae", 40.0), ("edges2digits", 0.1)):
        fabricated.trained(workspace, params, model)
        fabricated.evaluated(workspace, model, value)
    compare(workspace, params)
    verdict(workspace, "digits", "sample", "promote")
    verdict(workspace, "edges2digits", "translate", "undecided")
    return workspace, params


@pytest.fixture
def workspace(made: tuple[Workspace, Params], tmp_path: Path) -> Workspace:
    """A copy to change."""
    return Workspace(Path(shutil.copytree(made[0].root, tmp_path / "workspace")))


@pytest.fixture
def params(made: tuple[Workspace, Params]) -> Params:
    return made[1]


def verdict(workspace: Workspace, dataset: str, task: str, decision: str) -> None:
    """A verdict on two contenders, with their pictures."""
    challenger, champion = (
        Score(name, key="0" * 64, version=version, value=value, spread=0.5, floor=0.2, baseline=400.0)
        for name, version, value in (("new", 2, 30.0), ("old", 1, 35.0))
    )
    guard = Guard("coverage", False, 0.3, 0.6, floor=0.99, champion=0.8, reason="")
    found = Verdict(
        decision,
        ("It is <b>better</b> by 5.",),
        challenger,
        champion,
        Gain(5.0, 2.6, 7.4, needed=3.5),
        Standard(0.001, 0.1),
        "frechet",
        "e" * 64,
        (guard,),
    )  # type: ignore[arg-type]
    with files.fresh_folder(workspace.verdict(dataset, task)) as folder:
        files.write_json(folder / "verdict.json", found.to_json())
        for name in ("challenger", "champion"):
            images.write_png(folder / f"{name}.png", images.grid(fabricated.drawn(36, 1)))


class Page(HTMLParser):
    """Elements and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_page_is_whole_in_itself(made: tuple[Workspace, Params]) -> None:
    text = render(*made, unsent=["publish dcgan"])
    page = Page(text)
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base", "form"}
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) > 12
    assert all(str(picture["src"]).startswith("data:image/png;base64,") and picture["alt"] for picture in pictures)
    targets = {str(attributes["href"]) for tag, attributes in page.tags if tag == "a"}
    assert targets
    assert {target.removeprefix("#") for target in targets} <= {attributes.get("id") for _, attributes in page.tags}
    assert not re.search(r"@import|url\((?!#)|\bon\w+=", text)
    assert not {name for _, attributes in page.tags for name in attributes if name.startswith("on")}


def test_page_tells_everything(made: tuple[Workspace, Params]) -> None:
    text = Page(render(*made)).text
    for said in (
        "new promoted",
        "challenger: new, version 2",
        "champion: old, version 1",
        "coverage kept out 0.3 0.6 0.8 0.99",
        "1 dcgan ↓ frechet 30 0.5 0.25 400 13.3 ×",
        "2 vae ↓ frechet 40",
        "samples from fixed noise",
        "inputs, each with its translation",
        "64 images",
        "box cup share of its images 75.0% 25.0% share of real images 50.0% 50.0%",
        "kernel distance between both 0.12 too few floor 0.01 too few",
        "in pixels: distances of 0.5 to 0.75; half of the real images that were held out lie within 2 of a training",
        "discriminator",
        "dvc repro train@dcgan evaluate@dcgan",
        "drawn boxes",
        "16 × 16 px, grey",
    ):
        assert said in text


@pytest.mark.parametrize("field", FIELDS)
def test_models_that_were_measured_differently_have_no_common_rank(
    workspace: Workspace, params: Params, field: str
) -> None:
    fabricated.evaluated(workspace, "dcgan", 30.0, card=asdict(CARD))
    fabricated.evaluated(workspace, "vae", 40.0, card=asdict(differing(field)))
    compare(workspace, params)
    text = Page(render(workspace, params)).text
    assert f"`vae` is not ranked with `dcgan`: their eval cards differ in {field}." in text
    assert "1 dcgan ↓ frechet" in text
    assert "1 vae ↓ frechet" in text
    assert "2 vae" not in text


def test_equal_files_give_equal_pages(made: tuple[Workspace, Params]) -> None:
    assert render(*made) == render(*made)


def test_drift_is_told_of_the_images_it_was_measured_on(workspace: Workspace, params: Params) -> None:
    finding = {"dataset": "digits", "task": "sample", "reason": "has not drifted since digits-sample/1 was trained"}
    files.write(workspace.raw("digits") / "index.csv", "sha256\n")
    for digest, told in ((pin.images_digest(workspace.raw("digits")), True), ("0" * 64, False)):
        files.write_json(workspace.drift("digits", "sample"), {**finding, "images": digest})
        assert ("It has not drifted since digits-sample/1 was trained." in render(workspace, params)) is told


def test_text_of_users_is_shown_not_obeyed(workspace: Workspace, params: Params) -> None:
    folder = workspace.prepared("digits")
    profile = files.read_json(folder / "profile.json")
    hostile = "<script>alert(1)</script>"
    profile |= {"labels": [hostile, "a" * 300], "label_counts": [1, 2]}
    profile["source"]["description"] = f"images of {hostile}"
    files.write_json(folder / "profile.json", profile)
    page = Page(render(workspace, params))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "b" not in {tag for tag, _ in page.tags}
    assert f"images of {hostile}" in page.text
    assert "It is <b>better</b> by 5." in page.text


def test_empty_workspace_has_a_report(tmp_path: Path) -> None:
    workspace, params = fabricated.workspace(tmp_path)
    shutil.rmtree(tmp_path / "data")
    text = Page(render(workspace, params)).text
    for said in (
        "first report",
        "genflows judge makes one",
        "No model is measured",
        "None is trained",
        "None is prepared",
    ):
        assert said in text


def test_model_that_is_not_measured_yet_is_shown_with_what_there_is(tmp_path: Path) -> None:
    workspace, params = fabricated.workspace(tmp_path)
    fabricated.trained(workspace, params, "dcgan")
    workspace.provenance("dcgan").unlink()
    text = Page(write(workspace, params, unsent=["publish dcgan"]).read_text()).text
    assert "dcgan gan on digits" in text
    assert "these are unsent: publish dcgan" in text


def test_report_tells_what_changed_and_remembers_it(workspace: Workspace, params: Params) -> None:
    assert "first report" in Page(write(workspace, params).read_text()).text
    assert "Nothing changed since the last report. Verdicts" in Page(write(workspace, params).read_text()).text

    other = replace(params, blocks={**params.blocks})
    other.blocks["vae"] = {**params.blocks["vae"], "latent_dim": 6}  # type: ignore[index]
    fabricated.trained(workspace, other, "vae")
    fabricated.evaluated(workspace, "vae", 20.0)
    profile = files.read_json(workspace.prepared("digits") / "profile.json")
    profile["counts"]["train"]["images"] += 1000
    files.write_json(workspace.prepared("digits") / "profile.json", profile)
    files.write_manifest(workspace.prepared("digits"))
    text = Page(write(workspace, other).read_text()).text
    assert "digits has another version: 192 → 1,192 images." in text
    assert "vae was trained again: model.latent_dim 4 → 6." in text
    assert "vae scores frechet 40 → 20 (better), kernel 0.4 → 0.2 (better)." in text
    assert "dcgan was" not in text

    text = Page(write(workspace, other).read_text()).text
    assert "Nothing changed since the last report. The changes before it:" in text
    assert "model.latent_dim 4 → 6." in text


def test_better_is_higher_where_the_figure_says_so() -> None:
    old, new = (
        {"datasets": {}, "models": {"m": {"key": 0, "figures": values, "lower_is_better": directions}}}
        for directions in [{"frechet": True, "coverage": False, "copying": None}]
        for values in (
            {"frechet": 2.0, "coverage": 0.5, "copying": 1.0},
            {"frechet": 3.0, "coverage": 0.75, "copying": 2.0},
        )
    )
    (change,) = differences(old, new)
    assert change.text == "scores frechet 2 → 3 (worse), coverage 0.5 → 0.75 (better), copying 1 → 2."


def test_memory_of_another_format_is_forgotten(workspace: Workspace, params: Params) -> None:
    files.write_json(workspace.private / "report-state.json", {"format": 99})
    assert "first report" in Page(write(workspace, params).read_text()).text


@browser.needed
@pytest.mark.parametrize("width", [360, 1280])
def test_browser_shows_it_without_sideways_scrolling(
    workspace: Workspace, params: Params, width: int, tmp_path: Path
) -> None:
    profile = files.read_json(workspace.prepared("digits") / "profile.json")
    profile |= {"labels": ["averyveryverylonglabel" * 5, "b"], "label_counts": [1, 20]}
    profile["source"]["description"] = "images of /a/folder/with/a/name/that/does/not/end" * 4
    files.write_json(workspace.prepared("digits") / "profile.json", profile)
    page = render(workspace, params, unsent=["publish dcgan"]).replace("<details>", "<details open>")
    with browser.browser() as tab:
        tab.show(page, width, tmp_path)
        assert tab.layout() == {"window": width, "page": width, "wide": [], "empty": 0}
