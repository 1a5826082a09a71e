"""What a registered version is made from: recorded in its tags, so that it can be explained and made again."""

import json
from collections.abc import Mapping
from typing import Any

from gen import artifact, files, runs
from gen.errors import UserError
from gen.workspace import Workspace

UNTRACEABLE = "untraceable"
"""The tag that says why a version cannot be made again, where it was registered all the same."""


def lineage(workspace: Workspace, model: str, force: bool = False) -> dict[str, str]:
    """Tags that say what a trained model was made from: code, data, config, seed, device, time.

    Raises UserError where the code's git commit or dvc.lock is not known; with `force` the tag UNTRACEABLE says so.
    """
    train = workspace.train(model)
    config, identity = files.read_json(train / artifact.CONFIG), files.read_json(train / "run.json")
    provenance = files.read_json(workspace.provenance(model))
    provenance |= _commit(workspace, provenance, identity["code"])
    lacks = _lacks(workspace, provenance)
    if lacks and not force:
        raise UserError(
            f"Model `{model}` is not registered: nobody could say what it was made from, for {lacks}. Commit the "
            "workspace (`git init`, `git add -A`, `git commit`) and run `genflows judge`; where the code has changed "
            f"since, train it anew before (`dvc repro --force --single-item train@{model}`). Or register it all the "
            "same with `genflows judge --force`, which marks it."
        )
    facts = {
        **{name: provenance.get(name) for name in ("commit", "dirty", "device", "seconds", "begun_from")},
        "training": identity["key"],
        "config_hash": files.digest(config["config"]),
        "seed": config["config"]["seed"],
        "budget": config["config"]["images"],
        "weights_sha256": files.sha256_of_file(train / artifact.WEIGHTS),
        "inputs": dict(sorted(identity["inputs"].items())),
        "images": _images(workspace, config["dataset"], identity["inputs"]),
    }
    tags = {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()}
    return {**tags, UNTRACEABLE: lacks} if lacks else tags


def _commit(workspace: Workspace, provenance: Mapping[str, Any], code: Mapping[str, str]) -> dict[str, Any]:
    """The commit of the training's code, and whether it was changed beyond it.

    Where the training knew none it is the present one, if that holds every module as the training imported it.
    """
    known = {name: provenance.get(name) for name in ("commit", "dirty")}
    if known["commit"]:
        return known
    now = runs.commit(workspace.root)
    paths = {workspace.root / path: digest for path, digest in code.items()}
    same = all(path.is_file() and files.sha256_of_file(path) == digest for path, digest in paths.items())
    return now if same and now["dirty"] is False else known


def _lacks(workspace: Workspace, provenance: Mapping[str, Any]) -> str:
    """What is not known of how it came about, as a clause; empty where all is."""
    lacks = ["its training knew no git commit"] if not provenance.get("commit") else []
    lacks += ["there is no dvc.lock"] if not (workspace.root / "dvc.lock").exists() else []
    return " and ".join(lacks)


def _images(workspace: Workspace, dataset: str, inputs: Mapping[str, str]) -> dict[str, Any] | None:
    """Images of each split and domain that it was made with; None where the prepared ones are others by now."""
    prepared = workspace.prepared(dataset)
    path = prepared.relative_to(workspace.root).as_posix()
    if not prepared.exists() or files.manifest_digest(prepared) != inputs.get(path):
        return None
    counts: dict[str, Any] = files.read_json(prepared / "profile.json")["counts"]
    return counts
