"""Champions are pinned with the images: they move when those do, or by command, and survive an outage."""

import shutil
from pathlib import Path

import pytest

from flows import starts, stored
from gen import config, files, pin
from gen.config import Params
from gen.errors import UserError
from gen.pin import Pin
from gen.tracking.store import TrackingUnavailable, connect
from gen.workspace import Workspace
from tests.conftest import run
from tests.gen import fabricated, registering

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie

NAME = "champion-of-digits"
DEAD = "http://127.0.0.1:9"


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a trained and measured GAN and VAE; the GAN is to go on from the champion. To be copied."""
    made, params = fabricated.workspace(tmp_path_factory.mktemp("trained"))
    for model, value in (("dcgan", 30.0), ("vae", 40.0)):
        fabricated.trained(made, params, model)
        fabricated.evaluated(made, model, value)
    files.write(made.params_file, fabricated.PARAMS.replace("dcgan, init: random", f"dcgan, init: {NAME}"))
    stored.pointer(made.raw("digits")).unlink()
    return made.root


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Workspace:
    """A copy with git, DVC and a snapshot of its own."""
    made = Workspace(Path(shutil.copytree(trained, tmp_path / "here")))
    run(made.root, "git", "init", "-q")
    run(made.root, "dvc", "init", "-q")
    snapshot(made, "first images")
    return made


def snapshot(made: Workspace, index: str) -> None:
    files.write(made.raw("digits") / "index.csv", index)


def params(made: Workspace) -> Params:
    return config.load(made.params_file)


def promoted(made: Workspace, model: str) -> str:
    """Make a model the champion: `digits-sample/N`."""
    version = registering.promoted(connect(made), made, params(made), model)
    return f"{version.name}/{version.number}"


def pinned(made: Workspace) -> Pin:
    """What is pinned, which has to be what DVC knows."""
    assert run(made.root, "dvc", "status", "-q", f"{stored.pointer(made.start(NAME))}").returncode == 0
    return pin.read(made.start(NAME))


def test_the_pin_moves_with_the_images_and_not_with_the_champion(here: Workspace) -> None:
    said: list[str] = []
    assert starts.follow(here, params(here), NAME, said.append)
    assert pinned(here).champion is None
    assert said == [f"{NAME}: `digits` has no champion yet, so trainings begin from random weights"]

    first = promoted(here, "dcgan")
    assert not starts.follow(here, params(here), NAME, said.append), "its images are what they were"
    assert pinned(here).champion is None

    snapshot(here, "more images")
    assert starts.follow(here, params(here), NAME, said.append)
    assert said[1:] == [f"{NAME}: trainings begin from {first}"]
    model = here.start(NAME) / "model"
    assert files.contents(model) == files.contents(here.published("dcgan"))
    assert pinned(here).digest == files.manifest_digest(model)

    before = files.manifest_digest(here.start(NAME))
    second = promoted(here, "vae")
    assert not starts.follow(here, params(here), NAME, quiet)
    assert files.manifest_digest(here.start(NAME)) == before

    starts.move(here, params(here), NAME, quiet)
    assert pinned(here).champion == second
    assert (files.manifest_digest(here.start(NAME)) == before) is False
    assert not starts.follow(here, params(here), NAME, quiet)


def test_a_pin_can_follow_each_champion_or_stay_whatever_images_come(here: Workspace) -> None:
    starts.follow(here, params(here), NAME, quiet)
    first = promoted(here, "dcgan")
    assert starts.follow(here, params(here), NAME, quiet, moves="always")
    assert pinned(here).champion == first

    snapshot(here, "more images")
    before = files.manifest_digest(here.start(NAME))
    assert not starts.follow(here, params(here), NAME, quiet, moves="never")
    assert files.manifest_digest(here.start(NAME)) == before


def test_where_images_came_from_does_not_move_the_pin(here: Workspace) -> None:
    starts.follow(here, params(here), NAME, quiet)
    promoted(here, "dcgan")
    files.write(here.raw("digits") / "quarantine.csv", "name,reason,detail\nx.txt,no image,\n")
    assert not starts.follow(here, params(here), NAME, quiet)


def test_without_mlflow_a_first_pin_is_none_and_says_so(here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted(here, "dcgan")
    said: list[str] = []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    assert starts.follow(here, params(here), NAME, said.append)
    assert pinned(here).champion is None
    assert said[0].startswith(
        f"{NAME}: trainings begin from random weights, for the present champion is not known. MLf"
    )
    assert said[0].endswith(f"Then `genflows start {NAME}` takes it.")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert not starts.follow(here, params(here), NAME, quiet), "an outage that is over trains nothing"


def test_without_mlflow_a_pin_keeps_the_champion_that_it_has(here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = promoted(here, "dcgan")
    starts.follow(here, params(here), NAME, quiet)
    model = files.contents(here.start(NAME) / "model")
    snapshot(here, "more images")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    said: list[str] = []
    assert starts.follow(here, params(here), NAME, said.append)
    assert f"trainings begin from {champion}, for the present champion is not known" in said[0]
    assert pinned(here).champion == champion
    assert files.contents(here.start(NAME) / "model") == model
    with pytest.raises(TrackingUnavailable):
        starts.move(here, params(here), NAME, quiet)
    assert pinned(here).champion == champion


def test_a_pin_whose_files_are_gone_comes_back_or_is_asked_for(here: Workspace) -> None:
    champion = promoted(here, "dcgan")
    starts.follow(here, params(here), NAME, quiet)
    shutil.rmtree(here.start(NAME))
    assert not starts.follow(here, params(here), NAME, quiet)
    assert pinned(here).champion == champion
    shutil.rmtree(here.start(NAME))
    shutil.rmtree(here.root / ".dvc" / "cache")
    with pytest.raises(UserError, match="its files are not here. Bring them with `dvc pull`, or pin the present champ"):
        starts.follow(here, params(here), NAME, quiet)
    starts.move(here, params(here), NAME, quiet)
    assert pinned(here).champion == champion


def test_a_pin_that_was_changed_is_refused(here: Workspace) -> None:
    starts.follow(here, params(here), NAME, quiet)
    files.write(here.start(NAME) / "start.json", "{}")
    with pytest.raises(UserError, match="start.json was changed"):
        starts.follow(here, params(here), NAME, quiet)


def test_a_champion_that_is_not_what_was_registered_is_refused(here: Workspace) -> None:
    promoted(here, "dcgan")
    shutil.rmtree(here.private / "models")
    for weights in (here.private / "artifacts").rglob("model.safetensors"):
        weights.write_bytes(b"?")
    with pytest.raises(UserError, match="is not what was registered"):
        starts.follow(here, params(here), NAME, quiet)
    assert not here.start(NAME).exists()


def test_without_images_nothing_is_pinned(here: Workspace) -> None:
    shutil.rmtree(here.raw("digits"))
    with pytest.raises(
        UserError, match="not here yet, so no champion can be pinned for them. Run `genflows ingest dig"
    ):
        starts.follow(here, params(here), NAME, quiet)
