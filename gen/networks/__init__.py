"""Networks: modules only. Each file holds what one `network:` of params.yaml names."""

import math

import torch
from torch import Tensor, nn


class Drawable(nn.Module):
    """A network that knows how its weights are drawn."""

    def initialise(self, generator: torch.Generator) -> None:
        """Draw them from `generator`; those on the device `meta`, which have no memory, stay as they are."""
        raise NotImplementedError


class Critic(Drawable):
    """Images [N, C, S, S] to logits [N]: high means real."""

    layers: nn.Sequential
    """The last of them makes a logit of features, [N, F] to [N, 1]."""

    def features(self, images: Tensor) -> Tensor:
        """What the logit is made of: [N, F]."""
        features: Tensor = self.layers[:-1](images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, S, S] to logits [N]."""
        logits: Tensor = self.layers(images)
        return logits.squeeze(1)


def initialise(module: nn.Module, generator: torch.Generator, std: float = 0.02) -> None:
    """Weights normal(0, std), scales of norms 1, every bias 0 (DCGAN, arXiv 1511.06434, section 4).

    All randomness comes from `generator`, so equal seeds give equal networks whatever else has run. Layers on the
    device `meta`, which have no memory, stay as they are.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and not layer.weight.is_meta:
            nn.init.normal_(layer.weight, std=std, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


LEAK = 0.2
"""Slope of a leaky ReLU below 0."""
GAIN = math.sqrt(2 / (1 + LEAK**2))
"""What a layer's weights are larger by, for the leaky ReLU that it feeds or is fed by takes that of the signal."""


def initialise_by_fan_in(layer: nn.Conv2d | nn.Linear, generator: torch.Generator, gain: float = 1.0) -> None:
    """Weights normal(0, gain / sqrt(inputs of one output)), every bias 0 (He et al. 2015, arXiv 1502.01852, 2.2).

    With `gain` 1 what comes out is as large as what goes in; GAIN makes up for a leaky ReLU. As for the rest as
    `initialise`.
    """
    if layer.weight.is_meta:
        return
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()), generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Flatten(nn.Module):
    """Maps [N, C, H, W] to rows [N, H * W * C], in the order in which channels_last memory holds them: no copy.

    Nor does its gradient come in another layout than the maps have, which would slow the layers before it.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] to [N, H * W * C]."""
        return maps.permute(0, 2, 3, 1).flatten(1)


class Unflatten(nn.Module):
    """The way back, to square maps."""

    def __init__(self, channels: int, side: int) -> None:
        """Of rows of `side` * `side` * `channels` values."""
        super().__init__()
        self.channels = channels
        self.side = side

    def forward(self, rows: Tensor) -> Tensor:
        """[N, H * W * C] to [N, C, H, W]."""
        return rows.view(-1, self.side, self.side, self.channels).permute(0, 3, 1, 2)


def pyramid(size: int) -> tuple[int, int]:
    """Side of the smallest feature map (7 or 4 to 7 pixels) and the number of doublings from it to `size`.

    28 -> (7, 2), 32 -> (4, 3), 64 -> (4, 4), 128 -> (4, 5). Raises ValueError for a size that no doubling reaches.
    """
    side, doublings = size, 0
    while side > 7 and side % 2 == 0:
        side, doublings = side // 2, doublings + 1
    if side > 7 or doublings == 0:
        raise ValueError(
            f"images of {size} px cannot be halved down to 4-7 px; use a size like 28, 32, 64 or 128 for this network"
        )
    return side, doublings
