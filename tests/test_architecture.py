"""The rules that hold the house up."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from gen import files
from gen.workspace import Workspace
from tests.conftest import ROOT, environment

SOURCES = sorted([*(ROOT / "gen").rglob("*.py"), *(ROOT / "flows").rglob("*.py")])

IMPORTS = """
import importlib, sys
import gen.__main__
from gen import config, orphan
from pathlib import Path
step, name = sys.argv[1:]
importlib.import_module(f"gen.steps.{step}")
if step in ("train", "evaluate"):
    config.load(Path("params.yaml")).model(name)
root = Path.cwd()
print(*sorted(Path(m.__file__).relative_to(root).as_posix() for n, m in list(sys.modules.items())
              if n.split(".")[0] == "gen" and getattr(m, "__file__", None)))
"""


def test_imports_go_down_only() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("package", "homes"),
    [
        ("mlflow", ["gen/tracking"]),
        (
            "prefect",
            [
                "flows/pipeline.py",
                "flows/firing.py",
                "flows/timetable.py",
                "flows/automations.py",
                "flows/deployments.py",
            ],
        ),
        ("dvc", ["flows/repository.py", "flows/stages.py", "flows/stored.py"]),
        ("fastapi", ["gen/serving"]),
        ("optuna", ["flows/search.py"]),
        ("torchvision", []),
        ("pickle", []),
    ],
)
def test_a_package_is_imported_in_its_room_alone(package: str, homes: list[str]) -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        for module in _modules(node)
        if module.split(".")[0] == package
    }
    assert {path for path in importers if not path.startswith(tuple(homes) or ("-",))} == set()


def test_nothing_sets_the_global_seed_or_reads_a_pickle() -> None:
    for path in SOURCES:
        text = path.read_text()
        for word in ("torch.manual_seed(", "np.random.seed(", "torch.load(", "allow_pickle=True"):
            assert word not in text or (word, path.name) == ("torch.load(", "weights.py"), f"{word} in {path}"


def test_deps_cover_what_a_stage_imports_and_no_other_family(tiny: Workspace) -> None:
    families = {path.name for path in (ROOT / "gen" / "families").glob("*.py")} - {"__init__.py", "base.py"}
    (tiny.root / "data" / "raw").mkdir(parents=True)
    stages = [stage for stage in Repo(str(tiny.root)).index.stages if stage.is_data_source is False]
    assert {stage.name.split("@")[0] for stage in stages} == {
        "prepare", "reference", "train", "evaluate", "compare",
    }  # fmt: skip
    for stage in stages:
        step, _, name = stage.name.partition("@")
        done = subprocess.run(
            [sys.executable, "-c", IMPORTS, step, name],
            cwd=tiny.root, env=environment(tiny.root), capture_output=True, text=True, check=True,
        )  # fmt: skip
        imported = set(done.stdout.split())
        listed = {dep.def_path for dep in stage.deps if str(dep.def_path).startswith("gen")}
        assert imported - listed == set(), f"{stage.name}: dvc.yaml lacks deps"
        own = {Path(path).name for path in imported if path.startswith("gen/families/")}
        others = {path for path in listed if Path(path).name in families - own}
        assert others == set(), f"{stage.name} would run again for another family's file"


def test_a_run_records_the_code_it_depends_on(finished: Workspace) -> None:
    code = files.read_json(finished.train("vae") / "run.json")["code"]
    assert "gen/families/vae.py" in code
    assert "gen/families/gan.py" not in code
    assert code["gen/training.py"] == files.sha256_of_file(finished.root / "gen" / "training.py")


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    return []
