"""`--set key=value`: edit params.yaml where the value stands, checked before anything is written.

The text around a value is left as it is: comments, order, quotes and empty lines stay.
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from gen import config, files, sources
from gen.config import Params
from gen.errors import BadParamsError
from gen.strict import nearest

OPTIONAL = ("machine", "judge", "promotion", "retrain")
"""Blocks that a params.yaml may lack: each comes into being with its first value."""


def edit(path: Path, assignments: Sequence[str]) -> None:
    """Apply assignments such as `models.vae.latent_dim=32` to a params.yaml, all of them or none.

    Raises BadParamsError, and leaves the file as it is, for an unknown key, a value that does not parse, and a
    result that no family, source or dataset accepts.
    """
    text, _ = changed(path, assignments)
    if text != path.read_text(encoding="utf-8"):
        files.write(path, text)


def begin(path: Path, datasets: Mapping[str, Any], models: Mapping[str, Any]) -> Path:
    """Put other datasets and models into a params.yaml, and return the file that holds what it was.

    The other blocks stay with their comments, but for minimum effects of datasets that are gone. Raises
    BadParamsError, and writes nothing, for what no family, source or dataset accepts.
    """
    config.read_yaml(path)
    before, yaml = path.read_text(encoding="utf-8"), YAML()
    yaml.width = 120
    values = yaml.load(before)
    values["datasets"], values["models"] = _one_line_inside(datasets), _one_line_inside(models)
    effects = values.get("promotion", {}).get("minimum_effect", {})
    for name in [name for name in effects if name not in datasets]:
        del effects[name]
    text = io.StringIO()
    yaml.dump(values, text)
    after = re.sub(r"(?<!\n)\n(?=\w+:)", "\n\n", text.getvalue())
    check(YAML(typ="safe").load(after))
    kept = path.with_name(f"{path.name}.before")
    files.write(kept, before)
    files.write(path, after)
    return kept


def _one_line_inside(blocks: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Named blocks as a params.yaml has them: what is nested in one of them stands on its key's line."""
    found: dict[str, dict[str, Any]] = {}
    for name, block in blocks.items():
        found[name] = dict(block)
        for key, value in block.items():
            if isinstance(value, Mapping):
                found[name][key] = inline = CommentedMap(value)
                inline.fa.set_flow_style()
    return found


def changed(path: Path, assignments: Sequence[str]) -> tuple[str, Params]:
    """What a params.yaml would be with assignments applied, as text and as params. Raises BadParamsError as `edit`."""
    config.read_yaml(path)  # a file that is no YAML is told of in its own words
    text = path.read_text(encoding="utf-8")
    for assignment in assignments:
        text = assign(text, assignment)
    return text, check(YAML(typ="safe").load(text))


def assign(text: str, assignment: str) -> str:
    """A YAML text with one value changed, or a key added to the block that it names."""
    key, separator, written = (part.strip() for part in assignment.partition("="))
    if not separator or not key or not written:
        raise BadParamsError(f"--set {assignment}: it takes KEY=VALUE, such as --set models.vae.latent_dim=32.")
    value = _value(assignment, written)
    wanted = _with(YAML(typ="safe").load(text), key.split("."), value)
    root = YAML().compose(text)
    block, lacking = _block(root, key)
    changed = _append(text, lacking, written) if block is root else _splice(text, block, key, lacking, written)
    # A value may hold what only makes sense elsewhere (`32 # half`, `a: b`): what counts is what is read back.
    try:
        fits = YAML(typ="safe").load(changed) == wanted
    except YAMLError:
        fits = False
    if not fits:
        raise BadParamsError(f"--set {assignment}: the value cannot stand there as it is written. Put it in quotes.")
    return changed


def check(values: Mapping[str, Any]) -> Params:
    """Check a whole params.yaml: blocks, sources, and each model by its family. Raises BadParamsError."""
    params = config.from_values(values)
    for name, dataset in params.datasets.items():
        sources.parse_block(dataset.source, f"datasets.{name}.source")
    for name in params.blocks:
        params.model(name)
    return params


def _value(assignment: str, written: str) -> Any:
    """What the text of a value means in YAML."""
    try:
        value = YAML(typ="safe").load(written)
    except YAMLError as error:
        raise BadParamsError(f"--set {assignment}: this is no value in YAML ({str(error).splitlines()[0]}).") from None
    if isinstance(value, Mapping) or "\n" in written:
        raise BadParamsError(f"--set {assignment}: it sets one value. Name the keys of a block one by one.")
    return value


def _with(values: Any, keys: Sequence[str], value: Any) -> Any:
    """A copy of nested values with one of them changed."""
    if not keys:
        return value
    inner = values.get(keys[0]) if isinstance(values, Mapping) else None
    return {**(values if isinstance(values, Mapping) else {}), keys[0]: _with(inner, keys[1:], value)}


def _block(root: Node, key: str) -> tuple[MappingNode, list[str]]:
    """The innermost block that a dotted key leads to, and the parts that follow: one, or more where blocks may lack."""
    node, lacking = root, key.split(".")
    first = lacking[0]
    if key == first:
        raise BadParamsError(f"`{key}` names no value: give the block too, such as models.vae.{key}.")
    while len(lacking) > 1:
        choices = {name.value: value for name, value in node.value}
        part, *rest = lacking
        if part not in choices and first in OPTIONAL:
            break
        where = key.removesuffix("." + ".".join(rest))
        if part not in choices:
            raise BadParamsError(f"params.yaml has no `{where}`. {nearest(part, list(choices))}")
        node, lacking = choices[part], rest
        if not isinstance(node, MappingNode):
            raise BadParamsError(f"params.yaml: `{where}` is a value, it has no key `{rest[-1]}`.")
    assert isinstance(node, MappingNode)
    return node, lacking


def _append(text: str, keys: Sequence[str], written: str) -> str:
    """The text with a block of its own behind it."""
    first, *rest = keys
    return f"{text.rstrip()}\n\n{first}:\n  {_entry(rest, written)}\n"


def _entry(keys: Sequence[str], written: str) -> str:
    """`a: {b: 1}`."""
    first, *rest = keys
    return f"{first}: {f'{{{_entry(rest, written)}}}' if rest else written}"


def _splice(text: str, block: MappingNode, key: str, lacking: Sequence[str], written: str) -> str:
    """The text with the value of a key of `block` replaced, or added behind the block's last plain value."""
    for name, value in block.value:
        if name.value == lacking[0]:
            if not _is_inline(value):
                raise BadParamsError(f"params.yaml: `{key}` is a block, not a value. Set its keys one by one.")
            return text[: value.start_mark.index] + written + text[value.end_mark.index :]
    anchors = [(name, value) for name, value in block.value if _is_inline(value)]
    if not anchors:
        raise BadParamsError(
            f"params.yaml has no `{key}`, and no value beside which it could be added. Add it by hand."
        )
    name, value = anchors[-1]
    end = value.end_mark.index
    if block.flow_style:
        return f"{text[:end]}, {_entry(lacking, written)}{text[end:]}"
    end = (text + "\n").index("\n", end)
    return f"{text[:end]}\n{' ' * name.start_mark.column}{_entry(lacking, written)}{text[end:]}"


def _is_inline(value: Node) -> bool:
    """Whether a value ends where its text ends: a scalar, or a list in brackets."""
    if isinstance(value, CollectionNode):
        return bool(value.flow_style) and not isinstance(value, MappingNode)
    return isinstance(value, ScalarNode) and value.style not in ("|", ">")
