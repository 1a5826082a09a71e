"""A fabricated model in the registry, as a retrain would bring it there."""

from gen import files
from gen.config import Params
from gen.steps.publish import describe, publish
from gen.tracking import registry
from gen.tracking.promotion import promote
from gen.tracking.registry import Version
from gen.tracking.store import Store
from gen.workspace import Workspace


def registered(store: Store, made: Workspace, params: Params, model: str) -> Version:
    """Publish a trained and evaluated model, and register it for its dataset and task."""
    config = params.model(model)
    run, key = publish(made, params, model, store), describe(made, params, model).key
    name = registry.registered_name(config.dataset, config.task)
    return registry.register(store, name, key, run, files.manifest_digest(made.published(model)), {"model": model})


def promoted(store: Store, made: Workspace, params: Params, model: str) -> Version:
    """The same, and make it the champion."""
    version = registered(store, made, params, model)
    before = registry.champion(store, version.name)
    promote(store, version, before.number if before else None, "test")
    return version
