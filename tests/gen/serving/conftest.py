"""A workspace with two registered versions, made once: a GAN, which is champion, and a VAE; and a translator."""

from collections.abc import Iterator

import pytest

from gen import files
from gen.steps.publish import describe, publish
from gen.tracking import registry
from gen.tracking.environment import SETTINGS
from gen.tracking.promotion import promote
from gen.tracking.store import connect
from gen.workspace import Workspace
from tests.gen import fabricated
from tests.gen.serving.process import Serving, serving

NAME = "digits-sample"


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Versions 1 (dcgan, the champion when it is made) and 2 (vae) of `digits-sample`; `edges2digits` is trained."""
    workspace, params = fabricated.workspace(tmp_path_factory.mktemp("serving"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        store = connect(workspace)
        for model in ("dcgan", "vae"):
            fabricated.trained(workspace, params, model)
            fabricated.evaluated(workspace, model, 30.0)
            run, key = publish(workspace, params, model, store), describe(workspace, params, model).key
            digest = files.manifest_digest(workspace.published(model))
            version = registry.register(store, NAME, key, run, digest, {"model": model})
            if model == "dcgan":
                promote(store, version, None, "test")
        fabricated.trained(workspace, params, "edges2digits")
        yield workspace


@pytest.fixture(scope="session")
def vae(registered: Workspace) -> Iterator[Serving]:
    """Version 2, by its number."""
    with serving(registered.root, f"{NAME}/2") as server:
        yield server
