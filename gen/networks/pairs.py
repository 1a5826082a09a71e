"""The generators and discriminators of GANs, by the names that params.yaml has for them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from gen.networks import Critic, Drawable

Name = Literal["dcgan", "mlp", "resnet"]
Norm = Literal["batch", "spectral", "none"]

OWN: dict[str, dict[str, Any]] = {
    "dcgan": {"width": 32, "norm": "batch"},
    "mlp": {"widths": [256, 512], "norm": "none"},
    "resnet": {"width": 16, "blocks": 2, "norm": "none"},
}
"""The keys that say how large each of them is and how its discriminator is normalised, as they are by default."""


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """A model's block with the keys of its own network filled in; raises ValueError where it has those of another."""
    network = str(values.get("network"))
    own = OWN.get(network, {})
    for key in ("width", "widths", "blocks"):
        if own and key not in own and values.get(key) is not None:
            raise ValueError(f"`network: {network}` has no `{key}`; remove it. It has: {', '.join(own)}")
    return {**values, **{key: default for key, default in own.items() if values.get(key) is None}}


class Pair(NamedTuple):
    """What makes both networks; weights are drawn by the `initialise` of each."""

    generator: Callable[[], Drawable]
    discriminator: Callable[[], Critic]


def pair(
    name: Name,
    shape: tuple[int, int, int],
    latent_dim: int,
    norm: Norm,
    width: int | None,
    widths: Sequence[int] | None,
    blocks: int | None,
) -> Pair:
    """The networks called `name` for images of `shape`. Of the last three each has those that OWN says.

    Only the file of the one that is asked for is imported. Raises ValueError, when they are made, for a size that they
    cannot be built for.
    """
    channels, size, _ = shape
    match name:
        case "dcgan":
            from gen.networks import dcgan

            assert width is not None
            return Pair(
                partial(dcgan.Generator, latent_dim, channels, size, width),
                partial(dcgan.Discriminator, channels, size, width, batch_norm=norm == "batch"),
            )
        case "mlp":
            from gen.networks import mlp

            assert widths is not None
            return Pair(
                partial(mlp.Generator, latent_dim, channels, size, widths),
                partial(mlp.Discriminator, channels, size, widths),
            )
        case "resnet":
            from gen.networks import resnet

            assert width is not None
            assert blocks is not None
            return Pair(
                partial(resnet.Generator, latent_dim, channels, size, width, blocks),
                partial(resnet.Discriminator, channels, size, width, blocks),
            )
