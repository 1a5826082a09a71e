"""From a registered version back to the code, data and parameters it was made from, and how to make it again."""

import json
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from gen import artifact, files
from gen.steps.exports import TAG
from gen.tracking.environment import without_secrets
from gen.workspace import Workspace

if TYPE_CHECKING:
    from gen.tracking.registry import Version
    from gen.tracking.store import Store

CODE = "gen flows dvc.yaml pyproject.toml constraints.txt"
"""What a training's commit is checked out of: settings of git, DVC and the user stay as they are now."""


@dataclass(frozen=True)
class Origin:
    """All that is known of a version, from the registry, its run and its verified artifact."""

    version: "Version"
    config: dict[str, Any]
    """Its config.json."""
    modules: int
    """Of ours that its training imported, each with its SHA-256 in run.json."""
    pointers: dict[str, dict[str, Any]]
    """DVC's pointers to what it was made from, as they were then: by path, what each says of its data."""
    run: dict[str, str]
    """Tags of its MLflow run."""


def trace(store: "Store", version: "Version") -> Origin:
    """Follow a version back. Raises UserError when its artifact does not verify, or TrackingUnavailable."""
    from gen.tracking import registry

    folder = registry.fetch(store, version)
    config = files.read_json(folder / artifact.CONFIG)
    with store.asking(f"reading the run of version {version.number} of `{version.name}`"):
        tags = dict(store.client.get_run(version.run).data.tags)
        pointers = _pointers(store, version, config, tags)
    return Origin(
        version=version,
        config=config,
        modules=len(files.read_json(folder / "run.json")["code"]),
        pointers=pointers,
        run=tags,
    )


def _pointers(
    store: "Store", version: "Version", config: dict[str, Any], tags: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """DVC's pointers to images, extractor and start that the run holds. MLflow's own errors come through."""
    names = [f"raw/{config['dataset']}", f"extractors/{tags.get('extractor')}", f"starts/{config['config']['init']}"]
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for path in (f"data/{name}.dvc" for name in names):
            if path in [entry.path for entry in store.client.list_artifacts(version.run, str(Path(path).parent))]:
                pointer = store.client.download_artifacts(version.run, path, place)
                found[path] = dict(YAML(typ="safe").load(Path(pointer))["outs"][0])
    return found


def told(origin: Origin) -> list[tuple[str, str]]:
    """The chain from the version to the images, as names and facts."""
    version, config, tags = origin.version, origin.config, origin.version.tags
    code = f"commit {tags.get('commit', 'unknown')}"
    code += {"true": ", changed beyond it", "false": ", as committed"}.get(tags.get("dirty", ""), "")
    images = json.loads(tags.get("images", "null")) or {}
    counts = ", ".join(
        f"{split} {' + '.join(f'{count:,}' for count in domains.values())}" for split, domains in images.items()
    )
    lines = [
        ("version", f"{version.name}/{version.number} {' '.join(f'@{alias}' for alias in version.aliases)}".strip()),
        ("artifact", f"{version.digest} (its manifest)"),
        ("signed", f"with the public key {version.signer}" if version.signer else "no"),
        ("figure", f"{tags.get('metric')} {tags.get('value')}, eval_id {tags.get('eval_id')}"),
        ("verdict", f"{tags.get('verdict', 'none')}. {tags.get('verdict.reasons', '')}".strip()),
        ("exports", "; ".join(f"{kind} {off}" for kind, off in _exports(tags)) or "not tried"),
        ("MLflow run", version.run),
        ("model", f"{config['model']}, family {config['family']}, seed {config['config']['seed']}"),
        ("config", f"{tags.get('config_hash')}, budget {config['config']['images']:,} images"),
        ("begun from", tags.get("begun_from", config["config"]["init"])),
        ("weights", f"{tags.get('weights_sha256')} (SHA-256)"),
        ("code", f"{code}; {origin.modules} modules by their SHA-256 in run.json"),
        ("machine", f"{tags.get('device')}, {tags.get('seconds')} s"),
        *((path, digest) for path, digest in json.loads(tags.get("inputs", "{}")).items()),
        ("images", counts or "unknown"),
        ("extractor", f"{origin.run.get('extractor')}, {origin.run.get('extractor_digest')}"),
        *(
            (path, f"md5 {out.get('md5')}, {out.get('nfiles', 1):,} files, {out.get('size', 0):,} bytes")
            for path, out in origin.pointers.items()
        ),
    ]
    if why := tags.get("untraceable"):
        lines.append(("not traceable", why))
    return lines


def _exports(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """By format: the largest difference to the model itself, or why there is none."""
    return [(name.removeprefix(TAG), off) for name, off in sorted(tags.items()) if name.startswith(TAG)]


def rebuild(workspace: Workspace, store: "Store", origin: Origin) -> list[str]:
    """Shell commands that make the same weights in a new folder `rebuild`, and compare them."""
    tags, model = origin.version.tags, origin.config["model"]
    weights = f"{tags.get('weights_sha256')}  runs/train/{model}/{artifact.WEIGHTS}"
    bring = f"mlflow artifacts download --run-id {origin.version.run} --dst-path . --artifact-path"
    return [
        f"git clone {shlex.quote(_repository(workspace))} rebuild",
        "cd rebuild",
        f"git checkout --no-overlay {tags.get('commit')} -- {CODE}",
        f"export MLFLOW_TRACKING_URI={shlex.quote(store.place)}",
        *(f"{bring} {path}" for path in ("params.yaml", "dvc.lock", "data")),
        f"dvc pull {' '.join(origin.pointers)}",
        f"dvc repro train@{model}",
        f"echo '{weights}' | sha256sum --check",
    ]


def _repository(workspace: Workspace) -> str:
    """Where the code can be cloned from: the remote `origin`, without its password, or this workspace."""
    from gen.runs import git

    return without_secrets(git(workspace.root, "config", "--get", "remote.origin.url") or str(workspace.root))
