"""evaluate@MODEL: a trained generator and the reference of its dataset in, figures and pictures out."""

from collections.abc import Mapping

from gen import artifact, files
from gen.config import Params
from gen.datasets import Prepared
from gen.feature_cache import remembering
from gen.images import write_png
from gen.measure import measure, pictures
from gen.reference import Reference
from gen.runs import Identity
from gen.workspace import Workspace


def evaluate(workspace: Workspace, params: Params, name: str, code: Mapping[str, str]) -> None:
    """Measure the model called `name` and write runs/evaluate/NAME: metrics.json, pictures, run.json.

    `code` holds the digests of the first-party modules that this command imports. Raises UserError when an input is
    missing or changed, TooFewImagesError when there are too few images for a figure.
    """
    config = params.model(name)
    places = (workspace.prepared, workspace.reference, workspace.features)
    inputs = [workspace.train(name), *(place(config.dataset) for place in places)]
    published = artifact.load(workspace.train(name), params.machine.device)
    files.verify(workspace.prepared(config.dataset))
    prepared = Prepared(workspace.prepared(config.dataset))
    reference = Reference.load(
        workspace.reference(config.dataset), workspace.features(config.dataset), params.machine.device
    )
    reference = remembering(reference, workspace.feature_cache)
    measured = measure(published, prepared, reference, params.judge)
    identity = Identity(
        command=f"python -m gen evaluate {name}",
        params={"judge": params.judge.model_dump(), "machine": params.machine.model_dump()},
        inputs={folder.relative_to(workspace.root).as_posix(): files.manifest_digest(folder) for folder in inputs},
        code=code,
    )
    with files.fresh_folder(workspace.evaluate(name)) as folder:
        facts = {"model": name, "family": config.family, "task": config.task, "dataset": config.dataset}
        files.write_json(folder / "metrics.json", {**facts, **measured.to_json()})
        closest = {f"closest-{space}": pairs.picture for space, pairs in measured.closest.items()}
        for title, picture in (pictures(published, prepared, params.judge) | closest).items():
            write_png(folder / f"{title}.png", picture)
        identity.write(folder)
