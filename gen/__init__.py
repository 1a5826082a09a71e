"""Genflows' library: images in, judged generators out. It knows nothing of Prefect and DVC."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gen.use import Model


def load(model: "str | Path", device: str | None = None) -> "Model":
    """A published model, verified and ready for use: `gen.load("models:/digits-sample@champion").sample(64, seed=1)`.

    `model` is a registered version (`models:/NAME@ALIAS` or `models:/NAME/NUMBER`; `models:/` may be left out) or a
    model of the workspace around the current folder, or any folder that holds a published model. Raises UserError.
    """
    from gen import loading

    return loading.load(model, device=device)
