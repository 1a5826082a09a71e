"""Tensors on disk, as safetensors: no code in them, and nothing half-written."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from gen import files


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors by name in the format safetensors, in the plain layout: the only one that it has."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(state)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name, atomically. Raises OSError where they cannot be written."""
    # Through bytes: the library's own writing to a file says in an error of its own that a disk is full.
    files.write(path, packed(tensors))
