"""docs/how-to/add-a-family.md is followed to the letter, in a copy of the repository."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gen import files
from tests.conftest import ROOT, environment, run
from tests.gen import fabricated

PAGE = ROOT / "docs" / "how-to" / "add-a-family.md"
BLOCK = re.compile(r"(?:^`(?P<path>[\w/.-]+)`\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the page's family, and its model in the tests' own params.yaml."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("gen", "flows", "tests", ".dvc", "data/starts"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "tmp", "cache"))
    for name in ("dvc.yaml", "pyproject.toml", "constraints.txt", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, root / name)
    before = files.sha256_of_file(root / "dvc.yaml")
    blocks = list(BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    assert [(block["path"], block["kind"]) for block in blocks] == [
        ("gen/networks/linear.py", "python"),
        ("gen/families/ppca.py", "python"),
        (None, "diff"),
        (None, "yaml"),
    ]
    for block in blocks:
        match block["kind"]:
            case "python":
                (root / block["path"]).write_text(block["text"], encoding="utf-8")
            case "diff":
                (root / "page.diff").write_text(block["text"], encoding="utf-8")
                # Where lines have moved since, it is found by what stands around it.
                run(root, "git", "apply", "page.diff")
            case "yaml":
                place = root / "tests" / "conftest.py"
                place.write_text(with_model(place.read_text(), block["text"]))
    assert files.sha256_of_file(root / "dvc.yaml") == before
    return root


def with_model(text: str, block: str) -> str:
    return text.replace("\nmodels:\n", f"\n{block}", 1)


def said_by_pytest(copy: Path, *arguments: str) -> str:
    return run(copy, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments).stdout


def test_the_family_keeps_the_contract_of_all(copy: Path) -> None:
    said = said_by_pytest(copy, "tests/gen/test_families.py", "-k", "ppca")
    assert "4 passed" in said


@pytest.mark.long
def test_its_stages_depend_on_what_they_import_and_the_checks_pass(copy: Path) -> None:
    assert " passed" in said_by_pytest(copy, "tests/test_architecture.py", "-k", "not records")
    tools = Path(sys.executable).parent
    for command in (["ruff", "format", "--check"], ["ruff", "check"], ["mypy", "--strict"]):
        run(copy, str(tools / command[0]), *command[1:], "gen/families/ppca.py", "gen/networks/linear.py")


def test_its_model_is_trained_and_measured_by_the_commands(copy: Path, tmp_path: Path) -> None:
    """On drawn boxes, in the copy's own interpreter; its figures are those of a model that knows its likelihood."""
    made, _ = fabricated.workspace(tmp_path)
    (block,) = (found["text"] for found in BLOCK.finditer(PAGE.read_text()) if found["kind"] == "yaml")
    files.write(made.params_file, with_model(fabricated.PARAMS, block))
    for step in ("train", "evaluate"):
        subprocess.run([sys.executable, "-m", "gen", step, "linear"], cwd=made.root, env=environment(copy), check=True)
    config = files.read_json(made.train("linear") / "config.json")
    assert config["family"] == "ppca"
    journal = [
        each["losses"]["nll"] for each in files.Journal.read(made.train("linear") / "journal.jsonl") if each["losses"]
    ]
    assert journal[-1] < journal[0]
    figures = {
        each["name"]: each["value"] for each in files.read_json(made.evaluate("linear") / "metrics.json")["figures"]
    }
    # With the posterior itself, more samples make the bound no tighter: it is the likelihood.
    assert figures["negative_iwae"] == pytest.approx(figures["negative_elbo"], abs=2)
    assert torch.isfinite(torch.tensor(figures["frechet"]))
