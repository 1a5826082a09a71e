"""How fast a machine trains: measured by training, on noise, without a trace."""

import itertools
import sys

import pytest

from gen import config, speed
from gen.parallel import ALONE
from gen.workspace import Workspace
from tests.conftest import run


def test_it_is_measured_before_there_are_data_and_leaves_nothing(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    before = {path: path.stat().st_mtime_ns for path in tiny.root.rglob("*")}
    assert float(run(tiny.root, sys.executable, "-m", "gen", "speed", "cyclegan").stdout) > 0
    assert before == {path: path.stat().st_mtime_ns for path in tiny.root.rglob("*")}


def test_a_budget_below_the_steps_that_are_timed_does_not_matter(tiny: Workspace) -> None:
    params = config.load(tiny.params_file)
    model = params.model("vae").model_copy(update={"images": 1})
    assert speed.measure(model, params.dataset("digits"), "float32", ALONE) > 0


def test_as_many_steps_are_timed_as_are_asked_for_however_slow_they_are() -> None:
    steps = itertools.count()
    assert len(speed._times(steps, ALONE, 5, 0.0)) == 5
    assert next(steps) == 5
