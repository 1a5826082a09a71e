"""A promoted champion is sent to the DVC remote, and a clone gets the same bytes, or none."""

import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from flows import doctor, remotes
from flows.outcome import Outcome
from flows.retraining import retrain
from gen import files
from gen.workspace import Workspace
from tests import elsewhere
from tests.conftest import make_workspace, run
from tests.flows import boxes
from tests.flows.boxes import add_images, quiet
from tests.gen.fabricated import drawn

pytestmark = [
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),  # DVC's own use of pygtrie
]

DVC = (sys.executable, "-m", "dvc")
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@t")
MODEL = """\
models:
  vae: {family: vae, dataset: boxes, network: convolutional, init: random, latent_dim: 4, width: 4, images: 1024,
        batch: 16, learning_rate: 0.003, log_every: 128, checkpoint_every: 256}
"""


def configure(made: Workspace, url: str, verify: str = "true", **settings: str) -> None:
    run(made.root, *DVC, "remote", "add", "-q", "-d", "-f", "store", url)
    for name, value in {"verify": verify, **settings}.items():
        run(made.root, *DVC, "remote", "modify", "store", name, value)


def pushes(outcome: Outcome) -> dict[str, str]:
    return {run.name: run.state for run in outcome.runs if run.name.startswith("push")}


def clone(made: Workspace, folder: Path) -> Workspace:
    subprocess.run(["git", "clone", "-q", made.root, folder], check=True)
    return Workspace(folder)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("prefect")
def test_what_is_promoted_is_sent_once_and_pulled_whole(tmp_path: Path) -> None:
    made, store = make_workspace(tmp_path / "workspace", boxes.PARAMS + MODEL), tmp_path / "store"
    configure(made, str(store))
    add_images(made, drawn(400, seed=1), "first")
    said: list[str] = []

    store.write_text("in the way")
    first = retrain(made, say=said.append)
    assert [judged.decision for judged in first.verdicts] == ["promote"]
    assert pushes(first) == {"push": "unpushed"}
    assert first.failed == ()
    assert first.exit_code == 3
    assert "the DVC remote was not reached" in first.summary
    assert any(line.startswith("The DVC remote store did not take") for line in said)
    assert remotes.owed(made)

    store.unlink()
    second = retrain(made, say=said.append)
    assert second.exit_code == 0, second.summary
    assert pushes(second) == {"push what is owed": "ran", "push": "cached"}
    third = retrain(made, say=said.append)
    assert pushes(third) == {"push": "cached"}

    pulled_whole_or_not_at_all(made, elsewhere.Store(str(store), fsspec.filesystem("file"), str(store)), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["ssh", "s3"])
@pytest.mark.usefixtures("prefect")
def test_another_machine_keeps_it_too(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `pip install '.[ssh,s3]' 'moto[server]'` and Debian's openssh-server."""
    if lacking := elsewhere.missing(kind):
        pytest.skip(lacking)
    made = make_workspace(tmp_path / "workspace", boxes.PARAMS + MODEL)
    add_images(made, drawn(400, seed=1), "first")
    (tmp_path / "server").mkdir()
    with elsewhere.store(kind, tmp_path / "server") as store:
        configure(made, store.url, **store.remote)
        assert doctor.remote(made).ok
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        outcome = retrain(made, say=quiet)
        assert outcome.exit_code == 0, outcome.summary
        assert pushes(outcome) == {"push": "ran"}
        pulled_whole_or_not_at_all(made, store, tmp_path)


def pulled_whole_or_not_at_all(made: Workspace, store: elsewhere.Store, folder: Path) -> None:
    """A clone gets the same bytes from a remote; where they were changed there it gets none."""
    run(made.root, *GIT, "add", "-A")
    run(made.root, *GIT, "commit", "-qm", "results")
    whole = clone(made, folder / "whole")
    run(whole.root, *DVC, "pull", "-q")
    assert files.manifest_digest(whole.train("vae")) == files.manifest_digest(made.train("vae"))
    assert run(whole.root, *DVC, "status", "-q", check=False).returncode == 0

    weights = next(path for path in made.train("vae").iterdir() if path.suffix == ".safetensors")
    kept = store.named(weights.read_bytes())
    store.system.rm_file(kept)  # what DVC put there may not be written to
    store.system.pipe_file(kept, weights.read_bytes()[:-1] + b"?")
    broken = clone(made, folder / "broken")
    refused = run(broken.root, *DVC, "pull", check=False)
    assert refused.returncode != 0
    assert not (broken.train("vae") / weights.name).exists()


def test_the_settings_of_a_remote_are_checked(tiny: Workspace, tmp_path: Path) -> None:
    assert "no default DVC remote" in doctor.remote(tiny).found
    configure(tiny, str(tmp_path / "store"))
    assert doctor.remote(tiny).ok
    configure(tiny, str(tmp_path / "store"), verify="false")
    assert "dvc remote modify store verify true" in doctor.remote(tiny).fix
    (tmp_path / "file").write_text("no folder")
    configure(tiny, str(tmp_path / "file"))
    assert "url" in doctor.remote(tiny).fix
    configure(tiny, "ssh://somebody@nowhere.invalid/store")
    assert "'.[ssh]'" in doctor.remote(tiny).fix
    assert "somebody" not in doctor.remote(tiny).found
    (tiny.root / ".dvc" / "config").write_text("[core]\n    remote = nameless\n")
    assert "nameless" in doctor.remote(tiny).found
