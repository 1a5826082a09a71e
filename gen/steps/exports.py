"""Whether a model can be exported: tried when it is registered, so that nobody finds out when it is needed."""

from collections.abc import Mapping
from pathlib import Path

from gen.errors import UserError

TAG = "export."
"""What the tags begin with: `export.onnx`, `export.torch`."""


def exports(folder: Path, known: Mapping[str, str]) -> dict[str, str]:
    """Tags that say, of each format whose packages are here, how far a published model's export is off.

    Of what its tags say already, as `known`, nothing is tried again. Where it is too far off, or the network cannot be
    exported, they say that. Raises UserError when it does not load.
    """
    from gen import exporting, use

    untried = [kind for kind in exporting.available() if f"{TAG}{kind}" not in known]
    if not untried:
        return {}
    model, tags = use.load(folder), {}
    for kind in untried:
        try:
            tags[f"{TAG}{kind}"] = f"{exporting.exported(model, kind)[1]['difference']:.2g}"
        except UserError as error:
            tags[f"{TAG}{kind}"] = str(error)
        # Exporters fail in as many ways as there are networks, and a model is no worse for it.
        except Exception as error:
            tags[f"{TAG}{kind}"] = f"cannot be exported: {type(error).__name__}"
    return tags
