"""Weights from elsewhere: a file's bytes to tensors by name, and those into a network."""

import io
from collections.abc import Mapping

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gen.errors import UserError
from gen.extractors.architecture import Architecture, Network

SHOWN = 3
"""Names of tensors that an error tells before it goes on with a number."""


def unpack(data: bytes, digest: str, architecture: Architecture, name: str) -> dict[str, Tensor]:
    """The tensors in a file called `name` whose SHA-256 is `digest`. Raises UserError where it is no safetensors file.

    The one exception is the file that the architecture's authors published, known by its digest: torch reads it.
    """
    if architecture.official and digest == architecture.official.sha256:
        # Bytes that are known, and even so nothing but tensors is built from them.
        published: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return published
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise UserError(
            f"{name} cannot be read as safetensors ({error}): it is cut short, damaged, or of another format. Get it "
            "again, or convert it where you trust it: files with code in them (pickles, .pth, .pt) are not opened here."
        ) from None


def fill(architecture: Architecture, tap: str, tensors: Mapping[str, Tensor], name: str) -> tuple[Network, list[str]]:
    """The network up to `tap` with the weights of a file called `name`, and the tensors that it has no place for.

    Raises UserError where tensors that it needs are missing, have other shapes, or are not finite.
    """
    network = architecture.build(tap)
    state = network.state_dict()
    missing = [key for key in state if key not in tensors]
    if missing:
        raise UserError(
            f"{name} holds no {_some(missing)}, which the tap `{tap}` needs. {_reached(architecture, tensors)}"
        )
    wrong = [
        f"{key} is {list(tensors[key].shape)} and not {list(place.shape)}"
        for key, place in state.items()
        if tensors[key].shape != place.shape
    ]
    if wrong:
        raise UserError(f"{name} does not fit the architecture: {_some(wrong)}. Name the architecture that it is for.")
    broken = [key for key in state if not bool(torch.isfinite(tensors[key]).all())]
    if broken:
        raise UserError(f"{name} holds numbers that are not finite, in {_some(broken)}. Get it again.")
    network.load_state_dict({key: tensors[key] for key in state})
    return network, sorted(set(tensors) - set(state))


def _reached(architecture: Architecture, tensors: Mapping[str, Tensor]) -> str:
    reached = [tap for tap in architecture.taps if architecture.build(tap).state_dict().keys() <= tensors.keys()]
    if not reached:
        return "It is for another architecture, or its tensors have other names."
    return f"It reaches the taps {', '.join(reached)}: take one of these, or a file that goes further."


def _some(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
