"""`--set`: params.yaml is edited where the value stands, or not at all."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from flows.settings import assign, edit
from gen.errors import BadParamsError
from tests.conftest import ROOT, TINY

TEXT = """\
# What all depends on.
models:
  vae:
    family: "vae"   # quoted, for no reason
    latent_dim: 16  # half of it is noise

    learning_rate: 2e-4
    betas: [0.5, 0.999]
    # The last word.
  gan: {family: gan, batch: 3}
judge:
  samples: 10
"""


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(TINY)
    return path


@pytest.mark.parametrize(
    ("assignment", "before", "after"),
    [
        ("models.vae.latent_dim=32", "latent_dim: 16  # half", "latent_dim: 32  # half"),
        ("models.vae.learning_rate=1e-3", "learning_rate: 2e-4", "learning_rate: 1e-3"),
        ("models.vae.family=gan", '"vae"   # quoted', "gan   # quoted"),
        ("models.vae.betas=[0.0, 0.9]", "[0.5, 0.999]", "[0.0, 0.9]"),
        ("models.gan.batch = 64", "batch: 3}", "batch: 64}"),
        ("models.vae.seed=7", "[0.5, 0.999]\n", "[0.5, 0.999]\n    seed: 7\n"),
        ("models.gan.seed=7", "batch: 3}", "batch: 3, seed: 7}"),
        ("judge.seed=7", "samples: 10\n", "samples: 10\n  seed: 7\n"),
        ("judge.some.thing=7", "samples: 10\n", "samples: 10\n  some: {thing: 7}\n"),
        ("retrain.when=always", "samples: 10\n", "samples: 10\n\nretrain:\n  when: always\n"),
        (
            "promotion.minimum_effect.digits=0.2",
            "samples: 10\n",
            "samples: 10\n\npromotion:\n  minimum_effect: {digits: 0.2}\n",
        ),
    ],
)
def test_only_the_value_changes(assignment: str, before: str, after: str) -> None:
    assert assign(TEXT, assignment) == TEXT.replace(before, after)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_any_scalar_is_read_back_as_it_was_set(value: object) -> None:
    written = str(value).lower() if isinstance(value, bool) else str(value)
    changed = YAML(typ="safe").load(assign(TEXT, f"models.vae.latent_dim={written}"))
    assert changed["models"]["vae"]["latent_dim"] == YAML(typ="safe").load(written)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("models.vae.latent_dim", "KEY=VALUE"),
        ("models.vae.latent_dim=", "KEY=VALUE"),
        ("seed=1", "names no value"),
        ("promotion=1", "names no value"),
        ("models.vea.latent_dim=3", "no `models.vea`. Did you mean `vae`"),
        ("model.vae.latent_dim=3", "no `model`. Did you mean `models`"),
        ("models.vae=3", "is a block"),
        ("models.gan=3", "is a block"),
        ("models.vae.family.name=3", "is a value"),
        ("models.vae.latent_dim={a: 1}", "one value"),
        ("models.vae.latent_dim=3\nb: 4", "one value|no value in YAML"),
        ("models.vae.latent_dim=[1", "no value in YAML"),
        ("models.gan.batch=3, family", "as it is written"),
    ],
)
def test_what_cannot_be_set_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(BadParamsError, match=message):
        assign(TEXT, assignment)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("models.vae.latent_dm=3", "Did you mean `latent_dim`"),
        ("models.vae.latent_dim=many", "`models.vae.latent_dim` is 'many'"),
        ("models.vae.dataset=digit", "Did you mean `digits`"),
        ("models.vae.dataset=edges", "2 domains"),
        ("datasets.digits.source.kind=mnist5k", "Did you mean `mnist-5k`"),
        ("datasets.digits.source.pth=x", "`datasets.digits.source.pth` is not a known key"),
        ("judge.samples=1", "greater than or equal to 64"),
    ],
)
def test_a_result_that_would_not_run_leaves_the_file_alone(params: Path, assignment: str, message: str) -> None:
    with pytest.raises(BadParamsError, match=message):
        edit(params, ["models.gan.batch=16", assignment])
    assert params.read_text() == TINY


def test_several_values_are_set_together(params: Path) -> None:
    edit(params, ["models.gan.norm=none", "models.gan.loss=relativistic", "models.gan.batch=16"])
    changed = YAML(typ="safe").load(params.read_text())["models"]["gan"]
    assert (changed["norm"], changed["loss"], changed["batch"]) == ("none", "relativistic", 16)
    assert "gan:  # the smallest of its kind\n" in params.read_text()


def test_the_projects_own_file_can_be_edited(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    edit(path, ["models.vae.latent_dim=32"])
    differing = [
        (old, new)
        for old, new in zip((ROOT / "params.yaml").read_text().split("\n"), path.read_text().split("\n"), strict=True)
        if old != new
    ]
    assert differing == [("    latent_dim: 16", "    latent_dim: 32")]
