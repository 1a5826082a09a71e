"""params.yaml is checked once, at the edge."""

from pathlib import Path
from typing import Any

import pytest

from gen import config
from gen.errors import UserError
from tests.conftest import ROOT, TINY


def values(tmp_path: Path, text: str = TINY) -> dict[str, Any]:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return config.read_yaml(path)


@pytest.mark.parametrize("path", [ROOT / "params.yaml"])
def test_what_is_shipped_is_possible(path: Path) -> None:
    params = config.load(path)
    for name in params.blocks:
        assert params.model(name).dataset in params.datasets


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("machine:", "machin:", "`machin` is not a known block. Did you mean `machine`"),
        ("  threads: 1", "  threads: one", "`machine.threads` is 'one', but .*integer"),
        ("  threads: 1", "  thread: 1", r"`machine.thread` is not a known key. Did you mean `threads`"),
        ("  device: cpu", "  device: gpu", "`machine.device` is 'gpu'"),
        ("  device: cpu", "  device: cpu\n  precision: tf32", "`precision` tf32 is for cuda, not for cpu"),
        ("    size: 28", "    size: 28.5", "`datasets.digits.size`"),
        ("  gan:", "  'gan; rm -rf /':", "is not a usable name"),
        ("  samples: 512", "  samples: 1", "`judge.samples` is 1"),
    ],
)
def test_a_fault_is_named_with_its_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TINY
    with pytest.raises(UserError, match=message):
        config.from_values(values(tmp_path, TINY.replace(old, new)))


def test_an_unknown_model_or_dataset_is_answered_with_the_nearest(tmp_path: Path) -> None:
    params = config.from_values(values(tmp_path))
    with pytest.raises(UserError, match="no model `vee`. Did you mean `vae`"):
        params.model("vee")
    with pytest.raises(UserError, match="no dataset `digit`. Did you mean `digits`"):
        params.dataset("digit")


def test_a_file_that_is_missing_or_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        config.load(tmp_path / "params.yaml")
    with pytest.raises(UserError, match="not valid YAML"):
        values(tmp_path, "models: [")
    with pytest.raises(UserError, match="no mapping"):
        values(tmp_path, "- a")


def test_params_are_frozen(tmp_path: Path) -> None:
    params = config.from_values(values(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        params.machine.threads = 3  # type: ignore[misc]
