"""The families of generators. Only the one that is asked for is imported."""

from collections.abc import Mapping
from typing import Any

from gen.errors import BadParamsError
from gen.families.base import ModelConfig
from gen.strict import nearest, parse

FAMILIES = ["gan", "vae", "cyclegan"]


def parse_block(block: Mapping[str, Any], where: str) -> ModelConfig:
    """Check a model's block by its own family. Raises UserError that names the key and the way out."""
    match block.get("family"):
        case "gan":
            from gen.families.gan import GanConfig

            return parse(GanConfig, block, where)
        case "vae":
            from gen.families.vae import VaeConfig

            return parse(VaeConfig, block, where)
        case "cyclegan":
            from gen.families.cyclegan import CycleGanConfig

            return parse(CycleGanConfig, block, where)
        case other:
            raise BadParamsError(f"params.yaml: `{where}.family` is {other!r}. {nearest(other, FAMILIES)}")
