"""MLmodel: the file by which MLflow takes a published model for one of its own (a "pyfunc").

Its text follows from the task alone. It names one loader, which is code of ours, and no code, no requirements and no
environment of the model's: whoever loads it has genflows installed.
"""

import json

from gen.families.base import Task

MLMODEL = "MLmodel"
LOADER = "gen.pyfunc"


def text(task: Task) -> str:
    """The whole file, as YAML."""
    inputs, params = _asked(task)
    lines = [
        "flavors:",
        "  python_function:",
        "    data: .",
        f"    loader_module: {LOADER}",
        "signature:",
        f"  inputs: '{json.dumps(inputs)}'",
        f"  outputs: '{json.dumps([{'type': 'string', 'name': 'png', 'required': True}])}'",
        f"  params: {_quoted(params)}",
    ]
    return "\n".join(lines) + "\n"


def _asked(task: Task) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The columns of a table of questions, and what holds for all of its rows."""
    if task == "sample":
        columns = [("n", "long", True), ("seed", "long", False)]
        params: list[dict[str, object]] = []
    else:
        columns = [("png", "string", True)]
        params = [{"name": "back", "type": "boolean", "default": False, "shape": None}]
    return [{"type": kind, "name": name, "required": required} for name, kind, required in columns], params


def _quoted(params: list[dict[str, object]]) -> str:
    return f"'{json.dumps(params)}'" if params else "null"
