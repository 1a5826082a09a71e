"""extractor NAME: the labels of a dataset's split `train` in, a frozen feature extractor out."""

from collections.abc import Callable

import torch

from gen import files, teaching
from gen.config import Dataset, Params
from gen.errors import BadParamsError
from gen.extractors.description import Drawn
from gen.extractors.fourier import Waves
from gen.features import Extractor, is_imported
from gen.snapshot import Snapshot
from gen.steps.prepare import prepared_arrays
from gen.workspace import Workspace


def extractor(workspace: Workspace, params: Params, name: str, say: Callable[[str], None] = print) -> str:
    """Train data/extractors/NAME on the snapshot of the dataset called NAME, and return its digest.

    It learns that dataset's labels, on the target domain's split `train`, or rotations where images have none. For
    points it is random Fourier features instead, `feature_dim` of them or one less, for their number is even.
    What was there is replaced: whoever calls asks first whether a new one is wanted, for figures in different
    extractors are never ranked together. Raises UserError when there is no such dataset or no snapshot of it, or an
    imported extractor has the name.
    """
    dataset = params.taught_by(name)
    if is_imported(workspace.extractor(name)):
        raise BadParamsError(
            f"The extractor `{name}` was imported, and what is imported is never trained over. To have one trained on "
            f"the dataset `{name}`, delete {workspace.extractor(name)} first; to replace the weights, import them with "
            "--again."
        )
    made = _drawn(dataset) if dataset.holds_points else _trained(workspace, params, name, say)
    with files.fresh_folder(workspace.extractor(name)) as folder:
        made.save(folder)
    return made.digest


def _drawn(dataset: Dataset) -> Extractor:
    """Of points: it sees no data, so that it needs no snapshot."""
    description = Drawn(dimension=2 * (dataset.feature_dim // 2), seed=0)
    network = Waves(description.dimension)
    network.draw(torch.Generator().manual_seed(description.seed))
    return Extractor.of(network, description, torch.device("cpu"))


def _trained(workspace: Workspace, params: Params, name: str, say: Callable[[str], None]) -> Extractor:
    dataset, snapshot = params.dataset(name), Snapshot(workspace.raw(name))
    lesson, test = (
        teaching.Lesson(*prepared_arrays(snapshot, dataset, split, snapshot.domains[-1]))
        for split in ("train", "select")
    )
    return teaching.train(
        lesson,
        test,
        snapshot.labels,
        dimension=dataset.feature_dim,
        dataset=name,
        # The index lists the hash of every image; the manifest would also tell where they came from.
        data=files.sha256_of_file(snapshot.folder / "index.csv"),
        budget=dataset.extractor_images,
        device=params.machine.device,
        say=say,
    )
