"""Tensors on disk, as safetensors: no code in them, and nothing half-written."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from gen import files


def packed(tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> bytes:
    """Tensors by name in the format safetensors, in the plain layout: the only one that it has.

    `facts` is text by name that stands before them.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(state, dict(facts) if facts else None)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write tensors by name, and `facts` with them, atomically. Raises OSError where they cannot be written."""
    # Through bytes: the library's own writing to a file says in an error of its own that a disk is full.
    files.write(path, packed(tensors, facts))
