"""The FID InceptionV3 as the papers describe it, written out once more: functions of tensors, and no module."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

State = Mapping[str, Tensor]
Convolve = Callable[..., Tensor]


def features(state: State, images: Tensor) -> dict[str, Tensor]:
    """Images [N, 3, 299, 299] to the features of every tap that the weights reach: [N, d]."""

    def layer(name: str, maps: Tensor, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> Tensor:
        maps = functional.conv2d(maps, state[f"{name}.conv.weight"], stride=stride, padding=padding)
        mean, variance, scale, shift = (
            state[f"{name}.bn.{what}"] for what in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.relu(functional.batch_norm(maps, mean, variance, scale, shift, eps=0.001))

    taps: dict[str, Tensor] = {}
    x = layer("Conv2d_1a_3x3", images, stride=2)
    x = layer("Conv2d_2a_3x3", x)
    x = layer("Conv2d_2b_3x3", x, padding=(1, 1))
    x = functional.max_pool2d(x, 3, 2)
    taps["64"] = x.mean((2, 3))
    if "Conv2d_3b_1x1.conv.weight" not in state:
        return taps
    x = layer("Conv2d_4a_3x3", layer("Conv2d_3b_1x1", x))
    x = functional.max_pool2d(x, 3, 2)
    taps["192"] = x.mean((2, 3))
    if "Mixed_5b.branch1x1.conv.weight" not in state:
        return taps
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        x = _first(layer, name, x)
    x = _reduced(layer, "Mixed_6a", x)
    for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        x = _second(layer, name, x)
    taps["768"] = x.mean((2, 3))
    if "Mixed_7a.branch3x3_1.conv.weight" not in state:
        return taps
    x = _reduced_again(layer, "Mixed_7a", x)
    x = _third(layer, "Mixed_7b", x, _average(x))
    x = _third(layer, "Mixed_7c", x, functional.max_pool2d(x, 3, 1, 1))
    taps["2048"] = x.mean((2, 3))
    return taps


def _average(x: Tensor) -> Tensor:
    """Sums over windows of 3 x 3, over the number of positions of each that lie in the picture."""
    ones = torch.ones(1, 1, *x.shape[2:])
    kernel = torch.ones(1, 1, 3, 3)
    sums = functional.conv2d(x, kernel.expand(x.shape[1], -1, -1, -1), padding=1, groups=x.shape[1])
    return sums / functional.conv2d(ones, kernel, padding=1)


def _first(layer: Convolve, name: str, x: Tensor) -> Tensor:
    one = layer(f"{name}.branch1x1", x)
    five = layer(f"{name}.branch5x5_2", layer(f"{name}.branch5x5_1", x), padding=(2, 2))
    three = layer(f"{name}.branch3x3dbl_2", layer(f"{name}.branch3x3dbl_1", x), padding=(1, 1))
    three = layer(f"{name}.branch3x3dbl_3", three, padding=(1, 1))
    return torch.cat([one, five, three, layer(f"{name}.branch_pool", _average(x))], 1)


def _reduced(layer: Convolve, name: str, x: Tensor) -> Tensor:
    double = layer(f"{name}.branch3x3dbl_2", layer(f"{name}.branch3x3dbl_1", x), padding=(1, 1))
    double = layer(f"{name}.branch3x3dbl_3", double, stride=2)
    return torch.cat([layer(f"{name}.branch3x3", x, stride=2), double, functional.max_pool2d(x, 3, 2)], 1)


def _second(layer: Convolve, name: str, x: Tensor) -> Tensor:
    tall, wide = (3, 0), (0, 3)
    seven = layer(f"{name}.branch7x7_2", layer(f"{name}.branch7x7_1", x), padding=wide)
    seven = layer(f"{name}.branch7x7_3", seven, padding=tall)
    double = layer(f"{name}.branch7x7dbl_1", x)
    for number, padding in ((2, tall), (3, wide), (4, tall), (5, wide)):
        double = layer(f"{name}.branch7x7dbl_{number}", double, padding=padding)
    return torch.cat([layer(f"{name}.branch1x1", x), seven, double, layer(f"{name}.branch_pool", _average(x))], 1)


def _reduced_again(layer: Convolve, name: str, x: Tensor) -> Tensor:
    three = layer(f"{name}.branch3x3_2", layer(f"{name}.branch3x3_1", x), stride=2)
    seven = layer(f"{name}.branch7x7x3_2", layer(f"{name}.branch7x7x3_1", x), padding=(0, 3))
    seven = layer(f"{name}.branch7x7x3_4", layer(f"{name}.branch7x7x3_3", seven, padding=(3, 0)), stride=2)
    return torch.cat([three, seven, functional.max_pool2d(x, 3, 2)], 1)


def _third(layer: Convolve, name: str, x: Tensor, pooled: Tensor) -> Tensor:
    def both(maps: Tensor, wide: str, tall: str) -> Tensor:
        return torch.cat([layer(wide, maps, padding=(0, 1)), layer(tall, maps, padding=(1, 0))], 1)

    three = both(layer(f"{name}.branch3x3_1", x), f"{name}.branch3x3_2a", f"{name}.branch3x3_2b")
    double = layer(f"{name}.branch3x3dbl_2", layer(f"{name}.branch3x3dbl_1", x), padding=(1, 1))
    double = both(double, f"{name}.branch3x3dbl_3a", f"{name}.branch3x3dbl_3b")
    return torch.cat([layer(f"{name}.branch1x1", x), three, double, layer(f"{name}.branch_pool", pooled)], 1)
