"""Champions that trainings begin from: pinned together with the images, and versioned like them."""

from pathlib import Path
from typing import Literal

from flows import stored
from flows.stages import Say
from gen import pin
from gen.config import Params
from gen.errors import UserError
from gen.workspace import Workspace

Moves = Literal["with images", "always", "never"]
"""When a pin follows the champion. Where nothing is pinned yet it does with each."""


def move(workspace: Workspace, params: Params, name: str, say: Say = print) -> str:
    """Pin the champion of this moment as the start `name`, and version it with DVC; returns its DVC digest.

    Call mlflow_environment before. Raises TrackingUnavailable when MLflow does not answer; the pin then stays.
    """
    from gen.steps.start import start

    start(workspace, params, name, say)
    return stored.add(workspace, workspace.start(name))


def follow(workspace: Workspace, params: Params, name: str, say: Say = print, *, moves: Moves = "with images") -> bool:
    """Pin the champion of this moment, by default where images came or went since it was pinned; returns whether.

    So trainings whose images stayed are what they were, whoever is champion by now. When MLflow does not answer, the
    pin keeps the champion that it has, or none, and says so. Call mlflow_environment before.
    Raises UserError when the pin was changed by others, or its files are neither here nor in DVC's cache.
    """
    folder = workspace.start(name)
    before = _pinned(workspace, folder)
    images = pin.images_digest(workspace.raw(params.champion_starts[name]))
    moved = before is None or moves == "always" or (moves == "with images" and before.images != images)
    if moved:
        from gen.steps.start import start
        from gen.tracking.store import TrackingUnavailable

        try:
            start(workspace, params, name, say)
        except TrackingUnavailable as error:
            kept = pin.Pin(images=images) if before is None else before.model_copy(update={"images": images})
            pin.write(folder, kept, folder / pin.MODEL if kept.champion else None)
            held = kept.champion or "random weights"
            say(
                f"{name}: trainings begin from {held}, for the present champion is not known. {error} Then "
                f"`genflows start {name}` takes it."
            )
    # Also what was there: a process may have died before it was versioned.
    stored.add(workspace, folder)
    return moved


def _pinned(workspace: Workspace, folder: Path) -> pin.Pin | None:
    """What is pinned, brought back from DVC's cache where only its pointer is here; None where nothing is."""
    if not folder.exists():
        if not stored.pointer(folder).exists():
            return None
        try:
            stored.checkout(workspace, folder)
        except UserError as error:
            raise UserError(
                f"The start `{folder.name}` is pinned, but its files are not here. Bring them with `dvc pull`, or pin "
                f"the present champion with `genflows start {folder.name}`. ({error})"
            ) from None
    return pin.read(folder)
