"""An address that cannot be used is told within seconds, in one paragraph, and never with its password."""

import socket

import pytest

from gen.databases import check, is_database, shown
from gen.errors import UserError
from gen.tracking.environment import without_secrets

SECRET = "s3cret/Qx:7"  # noqa: S105


def refusal(address: str) -> str:
    with pytest.raises(UserError) as refused:
        check(address, "MLFLOW_TRACKING_URI")
    said = str(refused.value)
    assert "s3cret" not in said
    assert "MLFLOW_TRACKING_URI" in said
    assert "\n" not in said
    return said


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+asyncpg"])
def test_a_server_that_is_away_is_told_at_once(driver: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        said = refusal(f"{driver}://user:s3cret@127.0.0.1:{taken.getsockname()[1]}/runs")
    assert "cannot be used: " in said


def test_a_driver_that_is_missing_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg2", None)
    assert "'.[postgresql]'" in refusal("postgresql://user:s3cret@127.0.0.1:1/runs")


@pytest.mark.parametrize("address", ["postgresql://user:s3cret@host:port/runs", "postgres://user:s3cret@host/runs"])
def test_what_is_no_address_is_told_without_showing_it(address: str) -> None:
    assert is_database(address)
    assert "postgresql://" in refusal(address)


def test_an_address_is_shown_without_user_password_and_options() -> None:
    assert shown("postgresql://user:s3cret@host:5433/runs?password=s3cret") == "postgresql://host:5433/runs"


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (f"at postgresql://user:{SECRET}@host/runs it failed", "at postgresql://host/runs it failed"),
        ("postgresql://host/runs?sslmode=on&password=abc&x=1", "postgresql://host/runs?sslmode=on&password=***&x=1"),
        ("http://token@host:5000 and http://other:5000/a", "http://host:5000 and http://other:5000/a"),
        ("https://host/path@2x.png", "https://host/path@2x.png"),
    ],
)
def test_secrets_are_left_out_of_what_is_told(told: str, left: str) -> None:
    assert without_secrets(told) == left
