"""What changed from one report to the next, in words: data, params, code and figures."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gen import files
from gen.config import Params
from gen.workspace import Workspace

State = dict[str, Any]


class Change(NamedTuple):
    """One thing that changed."""

    subject: str
    """A dataset or a model."""
    text: str


def state(workspace: Workspace, params: Params) -> State:
    """What a report is about, in short: versions of the data, and what each model was made of and scored."""
    return {
        "datasets": {
            name: _dataset(workspace.prepared(name)) for name in params.datasets if _is_there(workspace, name)
        },
        "models": {name: _model(workspace, name) for name in params.blocks if workspace.train(name).exists()},
    }


def differences(old: State, new: State) -> list[Change]:
    """What changed between two states."""
    said = []
    for kind, describe in (("datasets", _describe_dataset), ("models", _describe_model)):
        before, after = old[kind], new[kind]
        for name in after:
            if name not in before:
                said.append(Change(name, f"is a new {kind[:-1]}."))
            elif before[name] != after[name]:
                said += [Change(name, text) for text in describe(before[name], after[name])]
        said += [Change(name, "is gone.") for name in before if name not in after]
    return said


def figure(value: float | None) -> str:
    """A number to four significant digits; a dash where there is none."""
    return "–" if value is None else f"{value:.4g}"


def _is_there(workspace: Workspace, dataset: str) -> bool:
    return (workspace.prepared(dataset) / files.MANIFEST).exists()


def _dataset(folder: Path) -> State:
    counts = files.read_json(folder / "profile.json")["counts"]
    images = sum(count for domains in counts.values() for count in domains.values())
    return {"digest": files.manifest_digest(folder), "images": images}


def _model(workspace: Workspace, name: str) -> State:
    run, metrics = files.read_json(workspace.train(name) / "run.json"), workspace.evaluate(name) / "metrics.json"
    measured = files.read_json(metrics)["figures"] if metrics.exists() else []
    return {
        **run,
        "figures": {item["name"]: item["value"] for item in measured},
        "lower_is_better": {item["name"]: item["lower_is_better"] for item in measured},
    }


def _describe_dataset(old: State, new: State) -> Iterator[str]:
    count = f"{old['images']:,} → {new['images']:,} images" if old["images"] != new["images"] else "as many images"
    yield f"has another version: {count}."


def _describe_model(old: State, new: State) -> Iterator[str]:
    if old["key"] != new["key"]:
        reasons = [*_values(old["params"], new["params"]), *_digests(old["inputs"], new["inputs"], "other")]
        reasons += _digests(old["code"], new["code"], "edited")
        yield f"was trained again: {', '.join(reasons) or 'its command changed'}."
    moved = [
        f"{name} {figure(old['figures'].get(name))} → {figure(value)}"
        f"{_direction(old['figures'].get(name), value, new['lower_is_better'][name])}"
        for name, value in new["figures"].items()
        if old["figures"].get(name) != value
    ]
    if moved:
        yield f"scores {', '.join(moved)}."


def _direction(old: float | None, new: float | None, lower_is_better: bool | None) -> str:
    if old is None or new is None or lower_is_better is None:
        return ""
    return " (better)" if (new < old) == lower_is_better else " (worse)"


def _values(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Changed values of nested blocks: `model.latent_dim 16 → 32`."""
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _values(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key} {before} → {after}"


def _digests(old: Mapping[str, str], new: Mapping[str, str], word: str) -> Iterator[str]:
    """Files and folders that are not what they were: `edited gen/losses.py`."""
    for path in {**old, **new}:
        if old.get(path) != new.get(path):
            yield f"{word} {path}"
