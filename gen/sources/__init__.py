"""Where images come from: one file per kind. Only the one that is asked for is imported."""

from collections.abc import Mapping
from typing import Any

from gen.errors import BadParamsError
from gen.sources.base import Source
from gen.strict import nearest, parse

KINDS = ["mnist-5k", "mnist", "fashion-mnist", "cifar10", "folder", "derived", "points"]


def parse_block(block: Mapping[str, Any], where: str) -> Source:
    """Check a dataset's `source` block by its own kind. Raises UserError that names the key and the way out."""
    match block.get("kind"):
        case "mnist-5k":
            from gen.sources.embedded import EmbeddedSource

            return parse(EmbeddedSource, block, where)
        case "mnist" | "fashion-mnist":
            from gen.sources.idx import IdxSource

            return parse(IdxSource, block, where)
        case "cifar10":
            from gen.sources.cifar import CifarSource

            return parse(CifarSource, block, where)
        case "folder":
            from gen.sources.folder import FolderSource

            return parse(FolderSource, block, where)
        case "derived":
            from gen.sources.derived import DerivedSource

            return parse(DerivedSource, block, where)
        case "points":
            from gen.sources.points import PointsSource

            return parse(PointsSource, block, where)
        case other:
            raise BadParamsError(f"params.yaml: `{where}.kind` is {other!r}. {nearest(other, KINDS)}")
