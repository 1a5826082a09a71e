"""What a training begins from: weights drawn by its seed, or those of the champion that was pinned with the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from gen import artifact, files, pin
from gen.classes import Classes
from gen.errors import UserError
from gen.families.base import RANDOM, ModelConfig, Shape
from gen.parallel import ALONE
from gen.training import Training


@dataclass(frozen=True)
class Origin:
    """Where one training begins, and the config that then holds."""

    digest: str
    """Of all that lies at the start: an input of the training."""
    config: ModelConfig
    words: str
    """For people: whose weights, and why no champion's where one was asked for."""
    model: Path | None = None
    """The folder with the champion's weights; None for random ones."""

    def enter(self, training: Training) -> None:
        """Give `training`, which has not begun, the champion's weights. Moments and memory stay fresh."""
        if self.model is None:
            return
        weights = safetensors.torch.load_file(self.model / artifact.WEIGHTS)
        _copy(weights, training.average.source.state_dict())
        _copy(weights, training.average.network.state_dict())
        learnt = critics(training.trainer.networks, training.average.source)
        if learnt:
            _copy(safetensors.torch.load_file(self.model / artifact.CRITICS), learnt)


def find(path: Path, config: ModelConfig, where: str, shape: Shape, classes: Classes | None = None) -> Origin:
    """The origin that lies at `path`, for a model whose block stands at `where` and whose images have `shape`.

    `classes` are there where the model is `conditional`. A champion that does not fit is told and left aside. Raises
    UserError where `path` is missing or was changed.
    """
    drawn = config.begun_from(champion=False, where=where)
    if config.init == RANDOM:
        if not path.is_file():
            raise UserError(f"{path} is missing. It comes with the project: restore it with `git checkout {path}`.")
        return Origin(files.sha256_of_file(path), drawn, "random weights")
    if not path.is_dir():
        raise UserError(f"{path} is missing. Pin the champion with `genflows start {path.name}`, or run `dvc pull`.")
    pinned, digest = pin.read(path), files.manifest_digest(path)
    if pinned.champion is None:
        return Origin(digest, drawn, f"random weights: `{config.champion_of}` had no champion when this was pinned")
    misfit = _misfit(path / pin.MODEL, config, shape, classes)
    if misfit:
        return Origin(digest, drawn, f"random weights and without refresh: the champion {pinned.champion} {misfit}")
    refreshed = config.begun_from(champion=True, where=where)
    return Origin(digest, refreshed, f"the champion {pinned.champion}", path / pin.MODEL)


def critics(networks: Mapping[str, nn.Module], published: nn.Module) -> dict[str, Tensor]:
    """The live tensors of the networks that learn beside the published one, by name."""
    return {
        f"{name}.{key}": tensor
        for name, network in networks.items()
        if network is not published
        for key, tensor in network.state_dict().items()
    }


def _misfit(model: Path, config: ModelConfig, shape: Shape, classes: Classes | None) -> str | None:
    """Why a model's networks cannot take the champion's weights; None where they can."""
    champion = files.read_json(model / artifact.CONFIG)
    if champion["family"] != config.family:
        return f"is of family `{champion['family']}`, not `{config.family}`"
    for key in config.shaping:
        # A champion from before there was the key is what its default is.
        default = type(config).model_fields[key].get_default(call_default_factory=True)
        before, now = champion["config"].get(key, default), getattr(config, key)
        if before != now:
            return f"has `{key}` {before}, not {now}"
    if classes and champion["classes"]["names"] != list(classes.names):
        return "knows other classes, or in another order"
    network = config.build(shape, torch.Generator(), classes)
    networks = config.trainer(network, shape, torch.Generator(), ALONE).networks
    wanted = [network.state_dict(), critics(networks, network)]
    found = [_shapes(model / name) for name in (artifact.WEIGHTS, artifact.CRITICS)]
    if found != [{name: list(tensor.shape) for name, tensor in tensors.items()} for tensors in wanted]:
        return "has other networks: those of another image size or of another version of genflows"
    return None


def _shapes(path: Path) -> dict[str, list[int]]:
    """Shapes of the tensors in a file, by name; none where there is no file."""
    if not path.exists():
        return {}
    with safe_open(path, framework="pt") as tensors:
        return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118


@torch.no_grad()
def _copy(found: Mapping[str, Tensor], live: Mapping[str, Tensor]) -> None:
    for name, tensor in live.items():
        tensor.copy_(found[name])
