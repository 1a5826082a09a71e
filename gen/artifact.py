"""The published model: safetensors and JSON in a folder with a manifest, verified before anything is loaded.

`verify` imports neither torch nor mlflow, and nothing in the folder is ever run.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ValidationError

from gen import files
from gen.errors import UserError
from gen.strict import Strict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gen.images import Pixels

WEIGHTS = "model.safetensors"
CRITICS = "critics.safetensors"
"""What a training of the same kind goes on with, beside the weights; whoever only uses the model passes it over."""
SEEN = "seen.safetensors"
"""What it was trained on (gen.seen); models that were published before that was kept hold none."""
CONFIG = "config.json"
ALLOWED = re.compile(r"(model|critics|seen)\.safetensors|config\.json|run\.json|journal\.jsonl|samples/[0-9]+\.png")


class Config(Strict):
    """What config.json holds: all that is needed to build the network that the weights fit."""

    format: Literal[1]
    model: str
    family: str
    task: Literal["sample", "translate"]
    dataset: str
    shape: tuple[int, int, int]
    config: dict[str, Any]


def verify(folder: Path) -> dict[str, Any]:
    """Check that `folder` is a whole, unchanged published model, and return its config.json.

    Raises UserError when a file is missing, changed, a link or of a kind that has no place in a model, or when
    config.json is not what this version writes.
    """
    listed = files.verify(folder)
    for name in sorted(listed):
        if not ALLOWED.fullmatch(name):
            raise UserError(
                f"{folder / name} has no place in a published model, which is weights and JSON alone. "
                "Do not load it; fetch the version again, or train it anew with `dvc repro`."
            )
    for name in (WEIGHTS, CONFIG):
        if name not in listed:
            raise UserError(f"{folder} holds no {name}: it is no published model. Name a folder runs/train/MODEL.")
    try:
        return Config.model_validate_json((folder / CONFIG).read_bytes()).model_dump()
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UserError(
            f"{folder / CONFIG} is not of the format that this version reads ({faults}). "
            "Update genflows to the version that wrote it."
        ) from None


@dataclass(frozen=True)
class Published:
    """A loaded model, ready for use. Images are uint8 [N, H, W, C] in and out."""

    name: str
    family: str
    task: str
    dataset: str
    shape: tuple[int, int, int]
    """Channels, height, width."""
    network: "nn.Module"
    device: str

    def generate(self, count: int, seed: int, start: int = 0, batch: int = 256) -> "Pixels":
        """Images number `start` to `start + count - 1` of `seed`; the noise of each depends on seed and number alone.

        Raises UserError when the model makes no images from noise.
        """
        import torch

        from gen.families.base import Sampler
        from gen.noise import noise

        if not isinstance(self.network, Sampler):
            raise UserError(
                f"`{self.name}` ({self.family}) makes no images from noise. Use `genflows translate` with it."
            )
        latents = noise(count, self.network.latent_dim, seed, start)
        return self._run(self.network.sample, torch.split(latents, batch))

    def translate(self, pixels: "Pixels", back: bool = False, batch: int = 256) -> "Pixels":
        """Images of domain A to domain B, or of B to A with `back`.

        Raises UserError when the model does not translate, or the images are not of its shape.
        """
        from gen.families.base import Translator

        if not isinstance(self.network, Translator):
            raise UserError(f"`{self.name}` ({self.family}) does not translate. Name a model of the task `translate`.")
        return self._run(self.network.translate_back if back else self.network.translate, self._batches(pixels, batch))

    def reconstruct(self, pixels: "Pixels", batch: int = 256) -> "Pixels":
        """Images encoded and decoded again.

        Raises UserError when the model has no encoder, or the images are not of its shape.
        """
        from gen.families.base import Reconstructor

        if not isinstance(self.network, Reconstructor):
            raise UserError(f"`{self.name}` ({self.family}) cannot encode images. Name a model of family `vae`.")
        return self._run(self.network.reconstruct, self._batches(pixels, batch))

    def _batches(self, pixels: "Pixels", batch: int) -> "Iterator[Tensor]":
        import torch

        from gen.images import to_float

        channels, height, width = self.shape
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (height, width, channels):
            raise UserError(
                f"`{self.name}` takes uint8 images of {height} x {width} x {channels}, not {pixels.dtype} "
                f"{' x '.join(map(str, pixels.shape[1:]))}. Resize them and match the channels first."
            )
        for start in range(0, len(pixels), batch):
            yield to_float(torch.from_numpy(pixels[start : start + batch]))

    def _run(self, network: "Callable[[Tensor], Tensor]", batches: "Iterable[Tensor]") -> "Pixels":
        import torch

        from gen.images import to_uint8

        channels, height, width = self.shape
        with torch.inference_mode():
            made = [to_uint8(network(batch.to(self.device))) for batch in batches if len(batch)]
        return np.concatenate([np.empty((0, height, width, channels), np.uint8), *made])


def load(folder: Path, device: str = "cpu") -> Published:
    """Verify `folder` (runs/train/MODEL, or a fetched version) and load its network onto `device`, in eval mode.

    Raises UserError when the folder does not verify, or its weights do not fit its config.
    """
    config = verify(folder)

    import safetensors.torch
    import torch
    from safetensors import SafetensorError

    from gen import families

    try:
        block = families.parse_block(config["config"], "config")
        network = block.build(config["shape"], torch.Generator())
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS, device="cpu"))
    except (UserError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{folder} cannot be loaded: its config or weights do not fit the networks of this version "
            f"({' '.join(str(error).split())[:300]}). Use the version of genflows that wrote it, or train it anew."
        ) from error
    return Published(
        name=config["model"],
        family=config["family"],
        task=config["task"],
        dataset=config["dataset"],
        shape=config["shape"],
        network=network.to(device, memory_format=torch.channels_last).eval(),  # type: ignore[call-overload]
        device=device,
    )
