"""fid-inception: the InceptionV3 in which the Frechet inception distance is defined (Heusel et al. 2017).

The network of Szegedy et al. 2015 (arXiv 1512.00567) as in the graph of 2015-12-05, which differs from later ones:
averages over windows count no padding, and the pool of the very last block takes maxima. Weights have the names of
the PyTorch port of that graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.extractors.architecture import Architecture, Network, Official
from gen.extractors.resize import resize_bilinear

NAME = "fid-inception"
SIDE = 299
"""Pixels that every image is resized to, each way."""
EPSILON = 1e-3
"""What keeps its norms from dividing by 0."""


@dataclass(frozen=True)
class Layer:
    """A convolution without bias, a norm by fixed statistics, and a ReLU."""

    name: str
    """In its block."""
    channels: int
    """That it makes."""
    height: int = 1
    width: int = 1
    stride: int = 1
    padded: bool = True
    """With zeros, so that a stride of 1 keeps the size."""


Step = tuple[Layer, ...]
"""Layers that see the same maps; what they make is stacked."""


@dataclass(frozen=True)
class Block:
    """Branches that see the same maps, and a pool of 3 x 3 as the last of them; what they make is stacked."""

    name: str
    branches: tuple[tuple[Step, ...], ...]
    pool: Literal["average", "maximum", "halving"]
    """`halving` takes maxima, two positions apart."""
    projected: int = 0
    """Channels that the pool is brought to by a layer `branch_pool`; 0 where it keeps its own."""

    @property
    def projection(self) -> tuple[Layer, ...]:
        """The layer behind the pool, where there is one."""
        return (Layer("branch_pool", self.projected),) if self.projected else ()

    def channels(self, before: int) -> int:
        """That it makes of `before` channels."""
        branches = sum(layer.channels for branch in self.branches for layer in branch[-1])
        return branches + (self.projected or before)


def _chain(*layers: Layer) -> tuple[Step, ...]:
    return tuple((layer,) for layer in layers)


def _block5(name: str, projected: int) -> Block:
    return Block(
        f"Mixed_{name}",
        (
            _chain(Layer("branch1x1", 64)),
            _chain(Layer("branch5x5_1", 48), Layer("branch5x5_2", 64, 5, 5)),
            _chain(Layer("branch3x3dbl_1", 64), Layer("branch3x3dbl_2", 96, 3, 3), Layer("branch3x3dbl_3", 96, 3, 3)),
        ),
        "average",
        projected,
    )


def _block6(name: str, narrow: int) -> Block:
    return Block(
        f"Mixed_{name}",
        (
            _chain(Layer("branch1x1", 192)),
            _chain(Layer("branch7x7_1", narrow), Layer("branch7x7_2", narrow, 1, 7), Layer("branch7x7_3", 192, 7, 1)),
            _chain(
                Layer("branch7x7dbl_1", narrow),
                Layer("branch7x7dbl_2", narrow, 7, 1),
                Layer("branch7x7dbl_3", narrow, 1, 7),
                Layer("branch7x7dbl_4", narrow, 7, 1),
                Layer("branch7x7dbl_5", 192, 1, 7),
            ),
        ),
        "average",
        192,
    )


def _block7(name: str, pool: Literal["average", "maximum"]) -> Block:
    """Two of its branches end in two layers side by side."""
    single = (Layer("branch3x3_2a", 384, 1, 3), Layer("branch3x3_2b", 384, 3, 1))
    double = (Layer("branch3x3dbl_3a", 384, 1, 3), Layer("branch3x3dbl_3b", 384, 3, 1))
    return Block(
        f"Mixed_{name}",
        (
            _chain(Layer("branch1x1", 320)),
            (*_chain(Layer("branch3x3_1", 384)), single),
            (*_chain(Layer("branch3x3dbl_1", 448), Layer("branch3x3dbl_2", 384, 3, 3)), double),
        ),
        pool,
        192,
    )


HALVING_6A = Block(
    "Mixed_6a",
    (
        _chain(Layer("branch3x3", 384, 3, 3, 2, padded=False)),
        _chain(
            Layer("branch3x3dbl_1", 64),
            Layer("branch3x3dbl_2", 96, 3, 3),
            Layer("branch3x3dbl_3", 96, 3, 3, 2, padded=False),
        ),
    ),
    "halving",
)
HALVING_7A = Block(
    "Mixed_7a",
    (
        _chain(Layer("branch3x3_1", 192), Layer("branch3x3_2", 320, 3, 3, 2, padded=False)),
        _chain(
            Layer("branch7x7x3_1", 192),
            Layer("branch7x7x3_2", 192, 1, 7),
            Layer("branch7x7x3_3", 192, 7, 1),
            Layer("branch7x7x3_4", 192, 3, 3, 2, padded=False),
        ),
    ),
    "halving",
)
PARTS: dict[str, tuple[Layer | Block | Literal["halving"], ...]] = {
    "64": (
        Layer("Conv2d_1a_3x3", 32, 3, 3, 2, padded=False),
        Layer("Conv2d_2a_3x3", 32, 3, 3, padded=False),
        Layer("Conv2d_2b_3x3", 64, 3, 3),
        "halving",
    ),
    "192": (Layer("Conv2d_3b_1x1", 80), Layer("Conv2d_4a_3x3", 192, 3, 3, padded=False), "halving"),
    "768": (
        *(_block5(name, projected) for name, projected in (("5b", 32), ("5c", 64), ("5d", 64))),
        HALVING_6A,
        *(_block6(name, narrow) for name, narrow in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192))),
    ),
    "2048": (HALVING_7A, _block7("7b", "average"), _block7("7c", "maximum")),
}
"""What lies between a tap and the one before it, by the tap's name."""


class Norm(nn.Module):
    """A batch norm whose statistics are given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [N, C, H, W] to the same shape."""
        statistics = (self.running_mean, self.running_var, self.weight, self.bias)
        return functional.batch_norm(maps, *statistics, training=False, eps=EPSILON)


class Convolution(nn.Module):
    """One layer."""

    def __init__(self, before: int, layer: Layer) -> None:
        super().__init__()
        size = (layer.height, layer.width)
        padding = (layer.height // 2, layer.width // 2) if layer.padded else 0
        self.conv = nn.Conv2d(before, layer.channels, size, layer.stride, padding, bias=False)
        self.bn = Norm(layer.channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [N, before, H, W] to [N, channels, H', W'], all >= 0."""
        normed: Tensor = self.bn(self.conv(maps))
        return functional.relu_(normed)


class Branches(nn.Module):
    """One block."""

    def __init__(self, before: int, block: Block) -> None:
        super().__init__()
        self.block = block
        for branch in block.branches:
            channels = before
            for step in branch:
                for layer in step:
                    self.add_module(layer.name, Convolution(channels, layer))
                channels = sum(layer.channels for layer in step)
        for layer in block.projection:
            self.add_module(layer.name, Convolution(before, layer))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [N, before, H, W] to [N, block.channels(before), H', W']."""
        return torch.cat([*(self._along(branch, maps) for branch in self.block.branches), self._pooled(maps)], 1)

    def _along(self, branch: Sequence[Step], maps: Tensor) -> Tensor:
        for step in branch:
            made = [self.get_submodule(layer.name)(maps) for layer in step]
            maps = made[0] if len(made) == 1 else torch.cat(made, 1)
        return maps

    def _pooled(self, maps: Tensor) -> Tensor:
        if self.block.pool == "average":
            maps = functional.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)
        elif self.block.pool == "maximum":
            maps = functional.max_pool2d(maps, 3, 1, 1)
        else:
            maps = functional.max_pool2d(maps, 3, 2)
        return self._along([self.block.projection], maps) if self.block.projection else maps


class Inception(Network):
    """The network up to one of its taps."""

    def __init__(self, tap: str) -> None:
        super().__init__()
        taps = list(PARTS)
        self.parts = tuple(chain.from_iterable(PARTS[name] for name in taps[: taps.index(tap) + 1]))
        channels = 3
        for part in self.parts:
            if isinstance(part, Layer):
                self.add_module(part.name, Convolution(channels, part))
                channels = part.channels
            elif isinstance(part, Block):
                self.add_module(part.name, Branches(channels, part))
                channels = part.channels(channels)

    def features(self, images: Tensor) -> Tensor:
        """Images [N, 3, 299, 299] in [-1, 1] to the maps at the tap, averaged over positions: [N, d], all >= 0."""
        maps = images
        for part in self.parts:
            if isinstance(part, Layer | Block):
                maps = self.get_submodule(part.name)(maps)
            else:
                maps = functional.max_pool2d(maps, 3, 2)
        return maps.mean((2, 3))


def prepare(pixels: Tensor) -> Tensor:
    """Images uint8 [N, H, W, C] to float32 [N, 3, 299, 299] in [-1, 1), grey ones repeated, in channels_last memory."""
    resized = resize_bilinear(pixels.float(), SIDE, SIDE)
    return resized.sub_(128).div_(128).expand(-1, -1, -1, 3).permute(0, 3, 1, 2)


OFFICIAL = Official(
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)
"""The PyTorch port of the graph of 2015-12-05; its name holds the beginning of its SHA-256."""

ARCHITECTURE = Architecture(
    taps={name: int(name) for name in PARTS},
    build=Inception,
    prepare=prepare,
    preprocessing="grey to RGB; bilinear to 299 x 299 as TensorFlow 1 (source = target * in / out); (x - 128) / 128",
    # Maps of the first layers take some ten megabytes an image.
    batch=16,
    official=OFFICIAL,
)
