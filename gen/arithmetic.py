"""How CUDA multiplies: a setting of the whole process, made for a block alone."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def tensor_cores(used: bool) -> Iterator[None]:
    """Whether products and convolutions of float32 on CUDA are of TF32 inside the block (10 bits instead of 23)."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = used
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
