"""extractor NAME: the labels of a dataset's split `train` in, a frozen feature extractor out."""

from collections.abc import Callable

from gen import files, teaching
from gen.config import Params
from gen.errors import BadParamsError
from gen.features import is_imported
from gen.snapshot import Snapshot
from gen.steps.prepare import prepared_arrays
from gen.workspace import Workspace


def extractor(workspace: Workspace, params: Params, name: str, say: Callable[[str], None] = print) -> str:
    """Train data/extractors/NAME on the snapshot of the dataset called NAME, and return its digest.

    It learns that dataset's labels, on the target domain's split `train`, or rotations where images have none.
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
    snapshot = Snapshot(workspace.raw(name))
    lesson, test = (
        teaching.Lesson(*prepared_arrays(snapshot, dataset, split, snapshot.domains[-1]))
        for split in ("train", "select")
    )
    trained = teaching.train(
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
    with files.fresh_folder(workspace.extractor(name)) as folder:
        trained.save(folder)
    return trained.digest
