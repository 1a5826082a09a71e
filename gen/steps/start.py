"""start NAME: the champion of a dataset, as the registry has it now, pinned for the images that are here now."""

from collections.abc import Callable

from gen import pin
from gen.config import Params
from gen.pin import Pin
from gen.tracking import registry
from gen.tracking.registry import Version, registered_name
from gen.tracking.store import Store, connect
from gen.workspace import Workspace


def start(
    workspace: Workspace, params: Params, name: str, say: Callable[[str], None] = print, store: Store | None = None
) -> Pin:
    """Make data/starts/NAME hold the present champion, or say that there is none, and return what was pinned.

    Raises UserError when the images are not here, or the champion's artifact is not what was registered;
    TrackingUnavailable when MLflow does not answer. What was there before then stays.
    """
    dataset = params.champion_starts[name]
    images = pin.images_digest(workspace.raw(dataset))
    store = store or connect(workspace)
    champion = _champion(store, params, name)
    if champion is None:
        made, model = Pin(images=images), None
        say(f"{name}: `{dataset}` has no champion yet, so trainings begin from random weights")
    else:
        made, model = _pin(champion, images), registry.fetch(store, champion)
        say(f"{name}: trainings begin from {made.champion}")
    pin.write(workspace.start(name), made, model)
    return made


def _pin(champion: Version, images: str) -> Pin:
    return Pin(images=images, name=champion.name, version=champion.number, key=champion.key, digest=champion.digest)


def _champion(store: Store, params: Params, name: str) -> Version | None:
    """The champion of the dataset, in the task of the models that begin from it."""
    configs = (params.model(model) for model, block in params.blocks.items() if block.get("init") == name)
    names = sorted({registered_name(params.champion_starts[name], config.task) for config in configs})
    return next((found for found in (registry.champion(store, known) for known in names) if found), None)
