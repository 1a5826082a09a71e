"""A workspace with two registered versions, made once: a GAN, which is champion, and a VAE; and a translator."""

from collections.abc import Iterator

import pytest

from gen.tracking.promotion import promote
from gen.tracking.store import connect
from gen.workspace import Workspace
from tests.gen import fabricated, registering
from tests.gen.serving.process import Serving, serving

NAME = "digits-sample"


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Versions 1 (dcgan, the champion when it is made) and 2 (vae) of `digits-sample`; `edges2digits` is trained."""
    workspace, params = fabricated.workspace(tmp_path_factory.mktemp("serving"))
    store = connect(workspace)
    for model in ("dcgan", "vae"):
        fabricated.trained(workspace, params, model)
        fabricated.evaluated(workspace, model, 30.0)
        version = registering.registered(store, workspace, params, model)
        if model == "dcgan":
            promote(store, version, None, "test")
    fabricated.trained(workspace, params, "edges2digits")
    return workspace


@pytest.fixture(scope="session")
def vae(registered: Workspace) -> Iterator[Serving]:
    """Version 2, by its number."""
    with serving(registered.root, f"{NAME}/2") as server:
        yield server
