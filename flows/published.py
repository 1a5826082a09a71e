"""Loading the model that a command is to use."""

from typing import TYPE_CHECKING

from gen import config, loading
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.families.base import Task
    from gen.features import Extractor
    from gen.use import Model


def classifier(workspace: Workspace, model: "Model") -> "Extractor":
    """The extractor of the dataset that a model was trained on, as it lies here. Raises UserError where it does not."""
    from gen.features import Extractor

    dataset = config.load(workspace.params_file).dataset(model.dataset)
    return Extractor.load(workspace.extractor(dataset.extractor), model.device)


def load(workspace: Workspace, wanted: str | None, task: "Task | None" = None, device: str | None = None) -> "Model":
    """The model called `wanted` (see `gen.loading.load`), with the threads that params.yaml names. Raises UserError."""
    import torch

    torch.set_num_threads(config.load(workspace.params_file).machine.threads)
    return loading.load(wanted, workspace, task=task, device=device)
