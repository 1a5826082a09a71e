"""What MLflow's own loader makes of a published model, and that both of its doors are ours."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from gen import files, images, use
from gen.errors import UserError
from gen.steps.publish import assemble
from gen.tracking import registry
from gen.tracking.store import connect
from gen.workspace import Workspace
from tests.gen import fabricated
from tests.gen.registering import promoted

# MLflow warns of its own type hints when its loader is imported.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
    pytest.mark.usefixtures("workspace"),
]
MODELS = {"dcgan": "digits-sample", "edges2digits": "edges2digits-translate"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A sampler and a translator, each the champion of its task."""
    made, params = fabricated.workspace(tmp_path_factory.mktemp("workspace"))
    store = connect(made)
    for model in MODELS:
        fabricated.trained(made, params, model)
        fabricated.evaluated(made, model, 30.0)
        promoted(store, made, params, model)
    mlflow.set_tracking_uri(store.uri)
    yield made
    mlflow.set_tracking_uri(None)


def loaded(name: str) -> Any:
    return mlflow.pyfunc.load_model(f"models:/{name}@champion")


def decoded(table: pd.DataFrame) -> np.ndarray:
    pictures = [Image.open(io.BytesIO(base64.b64decode(text))) for text in table["png"]]
    return np.stack([np.asarray(picture)[:, :, None] for picture in pictures])


def encoded(pixels: np.ndarray) -> list[str]:
    return [base64.b64encode(images.png(image)).decode() for image in pixels]


def test_sampler_gives_the_images_of_each_rows_seed(workspace: Workspace) -> None:
    model, published = loaded("digits-sample"), use.load(workspace.train("dcgan"))
    made = decoded(model.predict(pd.DataFrame({"n": [3, 2], "seed": [7, 8]})))
    expected = np.concatenate([published.sample(3, seed=7), published.sample(2, seed=8)])
    assert np.array_equal(made, expected)
    assert np.array_equal(decoded(model.predict({"n": 2, "seed": 8})), published.sample(2, seed=8))
    assert np.array_equal(decoded(model.predict({"n": 1})), published.sample(1, seed=0))


def test_translator_takes_and_gives_pngs(workspace: Workspace) -> None:
    model, published = loaded("edges2digits-translate"), use.load(workspace.train("edges2digits"))
    pixels = fabricated.drawn(3, seed=1)
    table = pd.DataFrame({"png": encoded(pixels)})
    assert np.array_equal(decoded(model.predict(table)), published.translate(pixels))
    assert np.array_equal(decoded(model.predict(table, {"back": True})), published.translate(pixels, back=True))


@pytest.mark.parametrize(
    "wrong", [{"n": [-1]}, {"n": [2000]}, {"n": [600, 600]}, {"n": [1], "seed": [-1]}], ids=["n<0", "n", "sum", "seed"]
)
def test_sampler_says_what_it_does_not_make(wrong: dict[str, list[int]]) -> None:
    with pytest.raises(UserError):
        loaded(MODELS["dcgan"]).predict(pd.DataFrame(wrong))


@pytest.mark.parametrize("text", ["", "?", "AAAA", *encoded(np.zeros((1, 8, 8, 1), np.uint8))])
def test_translator_says_what_it_does_not_take(text: str) -> None:
    with pytest.raises(UserError, match="PNG of 16 x 16"):
        loaded(MODELS["edges2digits"]).predict(pd.DataFrame({"png": [text]}))


def test_input_without_its_column_is_refused_by_the_signature() -> None:
    with pytest.raises(MlflowException, match="missing inputs"):
        loaded(MODELS["dcgan"]).predict(pd.DataFrame({"count": [1]}))


def test_loader_verifies(workspace: Workspace, tmp_path: Path) -> None:
    store = connect(workspace)
    version = registry.version(store, "digits-sample", "champion")
    folder = Path(store.client.download_artifacts(version.run, "model", str(tmp_path)))
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match="was changed"):
        mlflow.pyfunc.load_model(str(folder))


def test_published_folder_is_a_function_of_the_files(workspace: Workspace) -> None:
    from gen import config

    params = config.load(workspace.params_file)
    before = files.manifest_digest(workspace.published("dcgan"))
    (workspace.published("dcgan") / "card.md").write_text("other")
    assert files.manifest_digest(assemble(workspace, params, "dcgan")) == before
    card = (workspace.published("dcgan") / "card.md").read_text()
    data = files.manifest_digest(workspace.prepared("digits"))
    for fact in ("# dcgan", "64 images seen", data, "| **frechet** | 30 | 0.25 | 0.5 | 0 |", "digits-sample@champion"):
        assert fact in card
    trained = files.contents(workspace.train("dcgan"))
    assert files.contents(workspace.published("dcgan")).items() >= trained.items()
