"""What is said of containers without building one: compose.yaml, .dockerignore, the passwords."""

import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.composed import services
from tests.conftest import ROOT

GIVEN = {"GENFLOWS_DATABASE_PASSWORD": "d" * 48, "GENFLOWS_PREFECT_PASSWORD": "p" * 48}
SERVICES = services(GIVEN)
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "genflows"}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_a_service_can_do_no_more_than_it_must(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc"}
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service.get("ports", ()))
    assert "healthcheck" in service


def test_there_are_the_services_that_a_schedule_needs() -> None:
    assert set(SERVICES) == {"database", "mlflow", "prefect", "scheduler", "worker", "images"}
    assert set(OURS) == set(SERVICES) - {"database"}
    assert SERVICES["database"]["networks"] == ["stores"]
    assert yaml.safe_load((ROOT / "compose.yaml").read_text())["networks"]["stores"] == {"internal": True}


def test_mlflow_answers_to_the_names_alone_by_which_it_is_called() -> None:
    (option,) = (word for word in SERVICES["mlflow"]["command"] if word.startswith("--allowed-hosts="))
    assert option.partition("=")[2].split(",") == ["mlflow:5000", "127.0.0.1:5000", "localhost:5000"]
    assert SERVICES["worker"]["environment"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"


@pytest.mark.parametrize("missing", GIVEN)
def test_each_password_comes_from_outside(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        services({name: value for name, value in GIVEN.items() if name != missing})


def test_only_who_needs_a_password_is_given_it() -> None:
    told = {
        password: {name for name, service in SERVICES.items() if value in str(service["environment"])}
        for password, value in GIVEN.items()
    }
    assert told["GENFLOWS_DATABASE_PASSWORD"] == {"database", "mlflow", "prefect"}
    assert told["GENFLOWS_PREFECT_PASSWORD"] == {"prefect", "scheduler", "worker"}


def test_passwords_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    made = [_env(tmp_path), _env(tmp_path)]
    assert made[0] == made[1]
    values = dict(line.split("=") for line in made[0].splitlines())
    assert values.keys() == GIVEN.keys()
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values.values())
    assert len(set(values.values())) == len(values)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def _env(folder: Path) -> str:
    subprocess.run(["make", "--silent", f"--file={ROOT / 'Makefile'}", ".env"], cwd=folder, check=True)
    return (folder / ".env").read_text()


def test_all_code_and_nothing_else_goes_into_the_image() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "gen", "flows"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    kinds = {f"!{Path(name).parent}/*{Path(name).suffix}" for name in tracked}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    named = [line for line in lines if not line.startswith("#")]
    assert named[0] == "*"
    assert {line for line in named if line.startswith(("!gen", "!flows"))} == kinds
