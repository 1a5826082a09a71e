"""train@MODEL: prepared images in, a published network with its journal and sample grids out."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gen import files, images
from gen.config import Params
from gen.datasets import Prepared, batches
from gen.errors import UserError
from gen.families.base import ModelConfig, Sampler, Translator, noise
from gen.runs import Identity, provenance
from gen.training import Average, Record, fit
from gen.workspace import Workspace

GRID = 64
"""Images of a sample grid."""


def train(
    workspace: Workspace, params: Params, name: str, code: Mapping[str, str], say: Callable[[str], None] = print
) -> None:
    """Train the model called `name` and write runs/train/NAME and runs/provenance/NAME.json.

    `code` holds the digests of the first-party modules that this command imports; with params and data they make
    the key under which the run is known. Raises UserError for a dataset that the family cannot be trained on, for
    fewer images than a batch, and for a training that diverges.
    """
    config = params.model(name)
    prepared = Prepared(workspace.prepared(config.dataset))
    domains = [prepared.images("train", domain) for domain in prepared.domains]
    _check(config, name, prepared, [len(pixels) for pixels in domains])
    identity = Identity(
        command=f"python -m gen train {name}",
        params={"model": config.model_dump(), "machine": params.machine.model_dump()},
        inputs={workspace.prepared(config.dataset).relative_to(workspace.root).as_posix(): prepared.digest},
        code=code,
    )
    device = torch.device(params.machine.device)
    # One stream each for weights, order and noise, so that none moves when another draws more.
    weights, order, randomness = (torch.Generator().manual_seed(3 * config.seed + stream) for stream in range(3))
    network = config.build(prepared.shape, weights)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = config.trainer(network, prepared.shape, randomness)
    average = Average(network, config.ema_half_life)
    show = _viewer(average.network, prepared, device)
    facts = {"model": name, "images": config.images, "threads": params.machine.threads}
    with (
        files.fresh_folder(workspace.train(name)) as folder,
        provenance(workspace.provenance(name), workspace.root, facts),
    ):
        journal = files.Journal(folder / "journal.jsonl")
        images.write_png(folder / "samples" / f"{0:09d}.png", show())
        shown = 0
        for record in fit(trainer, average, batches(domains, config.batch, order, device), config):
            journal.append({"images": record.images, "losses": record.losses})
            say(_line(name, record, config))
            if record.images // config.sample_every > shown // config.sample_every or record.images >= config.images:
                images.write_png(folder / "samples" / f"{record.images:09d}.png", show())
                shown = record.images
        journal.close()
        _publish(folder, name, config, prepared, average.network)
        identity.write(folder)


def _check(config: ModelConfig, name: str, prepared: Prepared, counts: list[int]) -> None:
    wanted = 2 if config.task == "translate" else 1
    if len(counts) != wanted:
        raise UserError(
            f"Model `{name}` needs a dataset of {wanted} domain{'s' * (wanted > 1)}, but `{config.dataset}` has "
            f"{len(counts)} ({', '.join(prepared.domains)}). Name another dataset under models.{name}.dataset."
        )
    if min(counts) < config.batch:
        raise UserError(
            f"Model `{name}` trains on batches of {config.batch} images, but the train split of `{config.dataset}` has "
            f"only {min(counts)}. Lower models.{name}.batch or bring more images."
        )


def _viewer(network: nn.Module, prepared: Prepared, device: torch.device) -> Callable[[], images.Pixels]:
    """A function that draws the same grid each time: the same noise, or the same inputs beside their translations."""
    if isinstance(network, Sampler):
        fixed = noise(GRID, network.latent_dim, seed=0).to(device)
        return lambda: images.grid(_quietly(network, network.sample, fixed))
    assert isinstance(network, Translator)
    pixels = prepared.images("select", prepared.domains[0])[: GRID // 2]
    inputs = images.to_float(torch.from_numpy(pixels).to(device))

    def draw() -> images.Pixels:
        pairs = zip(pixels, _quietly(network, network.translate, inputs), strict=True)
        return images.grid(np.stack([image for pair in pairs for image in pair]), columns=8)

    return draw


@torch.no_grad()
def _quietly(network: nn.Module, function: Callable[[Tensor], Tensor], argument: Tensor) -> images.Pixels:
    """Run a network for show: in evaluation mode, without a trace in the training that goes on."""
    training = network.training
    network.eval()
    try:
        return images.to_uint8(function(argument))
    finally:
        network.train(training)


def _line(name: str, record: Record, config: ModelConfig) -> str:
    losses = "  ".join(f"{loss} {value:.4g}" for loss, value in record.losses.items())
    return f"{name}  {record.images:>9,} / {config.images:,} images  {losses}"


def _publish(folder: Path, name: str, config: ModelConfig, prepared: Prepared, network: nn.Module) -> None:
    """Write what others load: weights, and all that is needed to build the network they fit."""
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    files.write_json(
        folder / "config.json",
        {
            "format": 1,
            "model": name,
            "family": config.family,
            "task": config.task,
            "dataset": config.dataset,
            "shape": list(prepared.shape),
            "config": config.model_dump(),
        },
    )
