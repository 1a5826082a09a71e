"""`genflows doctor`: a sound workspace passes, and each thing broken is found and told how to mend."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import doctor
from flows.doctor import Check, examine
from gen.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie


def found(workspace: Workspace, name: str) -> Check:
    return next(check for check in examine(workspace) if check.name == name)


def test_a_sound_workspace_passes_every_check(tiny: Workspace) -> None:
    assert [check for check in examine(tiny) if not check.ok] == []


def edit(workspace: Workspace, name: str, old: str, new: str) -> None:
    path = workspace.root / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("check", "damage", "fix"),
    [
        (doctor.python, lambda place: edit(place, "pyproject.toml", ">=3.11,<3.14", ">=3.99"), "Python >=3.99"),
        (doctor.packages, lambda place: edit(place, "pyproject.toml", "torch>=2.11", "torch>=99"), "make run"),
        (doctor.packages, lambda place: edit(place, "pyproject.toml", "rich>=13", "no-such-package>=1"), "make run"),
        (doctor.git, lambda place: shutil.rmtree(place.root / ".git"), "git init"),
        (doctor.dvc, lambda place: shutil.rmtree(place.root / ".dvc"), "dvc init"),
        (doctor.dvc, lambda place: (place.root / "dvc.yaml").write_text("stages: ["), "git checkout dvc.yaml"),
        (doctor.params, lambda place: edit(place, "params.yaml", "latent_dim: 8", "latent_dm: 8"), "params.yaml"),
        (doctor.folders, lambda place: (place.root / "runs").write_text("in the way"), "runs"),
    ],
)
def test_what_is_broken_is_found_with_its_fix(
    tiny: Workspace, check: Callable[[Workspace], Check], damage: Callable[[Workspace], object], fix: str
) -> None:
    assert check(tiny).ok
    damage(tiny)
    assert fix in check(tiny).fix


def test_too_little_room_on_the_disk_is_found(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE", 2**80)
    assert "genflows clean" in doctor.disk(tiny).fix


def test_a_device_that_is_not_there_is_found(tiny: Workspace) -> None:
    import torch

    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    edit(tiny, "params.yaml", "device: cpu", f"device: {missing}")
    assert "machine.device=cpu" in doctor.accelerator(tiny).fix


@pytest.mark.parametrize(
    ("variable", "check", "path"),
    [("MLFLOW_TRACKING_URI", doctor.mlflow, ""), ("PREFECT_API_URL", doctor.prefect, "/api")],
)
def test_a_server_that_does_not_answer_is_found(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch, variable: str, check: Callable[[Workspace], Check], path: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        monkeypatch.setenv(variable, f"http://127.0.0.1:{taken.getsockname()[1]}{path}")
        assert variable in check(tiny).fix


def test_a_check_that_breaks_hides_no_other(tiny: Workspace) -> None:
    (tiny.root / "pyproject.toml").unlink()
    checks = {check.name: check for check in examine(tiny)}
    assert not checks["packages"].ok
    assert checks["disk"].ok


def test_every_check_is_made_once(tmp_path: Path) -> None:
    names = " ".join(check.name for check in examine(Workspace(tmp_path)))
    assert names == "python packages disk git dvc remote folders params accelerator mlflow prefect"
