"""A published model of the default DCGAN's size (32 wide, 28 px), drawn and not trained: that costs the same."""

from pathlib import Path

import torch

from gen import artifact, families, files, mlmodel
from gen.tensors import write_tensors

SHAPE = (1, 28, 28)
BLOCK = {
    "family": "gan", "dataset": "digits", "network": "dcgan", "init": "random", "latent_dim": 64, "width": 32,
    "images": 1, "batch": 1, "learning_rate": 0.0002,
}  # fmt: skip


def published(folder: Path, seed: int = 0) -> None:
    """Write it into `folder`, with weights of `seed`, as a retrain would for the registry."""
    network = families.parse_block(BLOCK, "benchmark").build(SHAPE, torch.Generator().manual_seed(seed))
    with files.fresh_folder(folder) as new:
        write_tensors(new / artifact.WEIGHTS, network.state_dict())
        facts = {"format": 1, "model": "dcgan", "family": "gan", "task": "sample", "dataset": "digits"}
        files.write_json(new / artifact.CONFIG, {**facts, "shape": SHAPE, "config": BLOCK})
        files.write(new / mlmodel.MLMODEL, mlmodel.text("sample"))
