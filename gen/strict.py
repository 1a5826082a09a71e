"""Strict, frozen configuration: an unknown key or a wrong type is an error that names the key and the way out."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gen.errors import BadParamsError


class Strict(BaseModel):
    """Base of every block of params.yaml: no unknown keys, no silent conversions, no change after the check."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True)


T = TypeVar("T", bound=Strict)


def parse(block: type[T], values: Any, where: str) -> T:
    """Check `values` against `block`; `where` is the dotted key under which they stand in params.yaml.

    Raises UserError with every fault: its key, its value, and the nearest valid choice where there is one.
    """
    if not isinstance(values, Mapping):
        raise BadParamsError(
            f"params.yaml: `{where}` is {values!r}, but a block of keys is expected there: "
            f"{', '.join(block.model_fields)}."
        )
    try:
        return block.model_validate(dict(values))
    except ValidationError as error:
        faults = [_describe(block, dict(fault), where) for fault in error.errors(include_url=False)]
        raise BadParamsError("params.yaml: " + " ".join(faults)) from None


def nearest(word: object, choices: list[str]) -> str:
    """A hint for a mistyped word: the closest of `choices`, or all of them."""
    close = difflib.get_close_matches(str(word), choices, n=1)
    return f"Did you mean `{close[0]}`?" if close else f"Valid: {', '.join(choices)}."


def _describe(block: type[Strict], fault: dict[str, Any], where: str) -> str:
    key = ".".join([where, *(str(part) for part in fault["loc"])])
    if fault["type"] == "extra_forbidden":
        return f"`{key}` is not a known key. {nearest(fault['loc'][-1], _keys(block, fault['loc'][:-1]))}"
    if fault["type"] == "missing":
        return f"`{key}` is missing; add it."
    if fault["type"] == "literal_error":
        choices = [choice.strip(" '") for choice in fault["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return f"`{key}` is {fault['input']!r}. {nearest(fault['input'], choices)}"
    if fault["type"] == "value_error":
        return f"`{key}`: {fault['ctx']['error']}"
    message = fault["msg"].removeprefix("Input ")
    return f"`{key}` is {fault['input']!r}, but {message[0].lower()}{message[1:]}; change it."


def _keys(block: type[Strict], path: tuple[Any, ...]) -> list[str]:
    """The valid keys of the nested block at `path`."""
    for part in path:
        field = block.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, Strict)):
            return []
        block = inner
    return list(block.model_fields)
