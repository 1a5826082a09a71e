"""The published model: safetensors, JSON, pictures and a card in a folder with a manifest, verified before it loads.

`verify` imports neither torch nor mlflow, and nothing in the folder is ever run.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from gen import files, mlmodel, untrusted
from gen.classes import Classes
from gen.errors import UserError
from gen.families import FAMILIES
from gen.plane import Box
from gen.strict import Strict
from gen.untrusted import refused

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gen.families.base import Sampler
    from gen.images import Pixels

WEIGHTS = "model.safetensors"
CRITICS = "critics.safetensors"
"""What a training of the same kind goes on with, beside the weights; whoever only uses the model passes it over."""
SEEN = "seen.safetensors"
"""What it was trained on (gen.seen); models that were published before that was kept hold none."""
CONFIG = "config.json"
CARD = "card.md"
GRID = "grid.png"
"""A card for people, and pictures; a run folder, and models that were published before there were any, hold none."""
SIGNATURE = "manifest.sig"
"""Of whoever vouches for it (gen.signing). The manifest does not list it: it is made of the manifest."""
SIGNATURE_BYTES = 64
SIDE = Annotated[int, Field(ge=1, le=2**14)]
MIB = 2**20
LARGEST = {
    r"(model|critics|seen)\.safetensors": 4096 * MIB,
    r"journal\.jsonl": 256 * MIB,
    r"(config|run)\.json|card\.md|MLmodel": MIB,
    r"grid\.png|samples/[0-9]{1,19}\.png": 64 * MIB,
}
"""The files that a published model may hold, by pattern, and the most bytes of each."""
SIZES = ("latent_dim", "width", "widths", "blocks", "flows", "flow_width", "components")
"""Keys of a config by which a network grows: a number, or a list of such. It has at least as many weights as each."""
PNG = b"\x89PNG\r\n\x1a\n"
TYPES = {"F32": "float32", "I64": "int64"}
"""Types of the tensors of our networks, as safetensors and as torch calls them."""


class Config(Strict):
    """What config.json holds: all that is needed to build the network that the weights fit."""

    format: Literal[1]
    model: str
    family: str
    task: Literal["sample", "translate"]
    dataset: str
    shape: tuple[SIDE, SIDE, SIDE]
    config: dict[str, Any]
    classes: Classes | None = None
    """What a conditional model knows of them; the key is missing in all others."""
    box: Box | None = None
    """Of a model of points: the part of the plane that its [-1, 1] stands for."""


def verify(folder: Path, beside: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Check that `folder` is a whole, unchanged published model, and return its config.json.

    It may also hold files called as `beside` says, which are not read, and a signature (gen.signing). Raises UserError
    when a file is missing, changed, too large, a link or of a kind that has no place in a model, when config.json is
    not what this version writes or asks for more than there are weights, or MLmodel names anything but our loader.
    """
    listed = _listed(folder)
    found = untrusted.sizes(folder)
    if found.get(SIGNATURE, SIGNATURE_BYTES) != SIGNATURE_BYTES:
        raise refused(folder / SIGNATURE, f"a signature has {SIGNATURE_BYTES} bytes")
    found = {name: size for name, size in found.items() if name not in {files.MANIFEST, SIGNATURE, *beside}}
    for name in sorted(listed.keys() | found.keys()):
        if listed.get(name, {}).get("bytes") != found.get(name):
            why = "is missing" if name not in found else "was changed" if name in listed else "is not in the manifest"
            raise UserError(f"{folder / name} {why}: the folder is not what was written. {_RESTORE}")
    for name in (WEIGHTS, CONFIG):
        if name not in listed:
            raise UserError(f"{folder} holds no {name}: it is no published model. Name a folder runs/train/MODEL.")
    for name in sorted(listed):
        # Last, for it takes longest: all that is read is within its bounds.
        if files.sha256_of_file(folder / name) != listed[name]["sha256"]:
            raise UserError(f"{folder / name} was changed: the folder is not what was written. {_RESTORE}")
    return _sound(folder, listed)


_RESTORE = "Restore it with `dvc checkout --force` (or fetch the version from the registry again)."


def _listed(folder: Path) -> Mapping[str, Any]:
    """The files that the manifest lists, each with its size and SHA-256; all of them may stand in a model."""
    path = folder / files.MANIFEST
    if path.is_symlink() or not path.is_file():
        raise UserError(f"{path} is missing: {folder} is no published model. {_RESTORE}")
    manifest = untrusted.json_object(path)
    if path.read_text(encoding="utf-8") != files.canonical_json(manifest):
        raise UserError(f"{path} was changed. {_RESTORE}")
    listed = manifest.get("files")
    if not isinstance(listed, dict) or len(manifest) > 1 or len(listed) > untrusted.MOST_FILES:
        raise refused(path, "it is no list of files")
    for name, entry in listed.items():
        largest = next((size for pattern, size in LARGEST.items() if re.fullmatch(pattern, name)), None)
        if largest is None:
            raise UserError(
                f"{folder / name} has no place in a published model, which is weights, JSON and pictures alone. "
                "Do not load it; fetch the version again, or train it anew with `dvc repro`."
            )
        match entry:
            case {"bytes": int(size), "sha256": str(), **others} if not others and 0 <= size <= largest:
                continue
        raise refused(folder / name, f"the manifest gives it an impossible size (at most {largest:,} bytes) or digest")
    return listed


def _sound(folder: Path, listed: Mapping[str, Any]) -> dict[str, Any]:
    """The config, after every file was looked into as far as that is possible without running anything."""
    config = _config(folder / CONFIG)
    tensors = {name: untrusted.tensors(folder / name) for name in listed if name.endswith(".safetensors")}
    weights = sum(tensor.count for tensor in tensors[WEIGHTS].values())
    for key in SIZES:
        size = config["config"].get(key)
        sizes = [] if size is None else size if isinstance(size, list) else [size]
        if not (len(sizes) <= weights and all(type(one) is int and 0 <= one <= weights for one in sizes)):
            raise refused(folder / CONFIG, f"its `{key}` is {str(size)[:40]}, but there are {weights:,} weights")
    named = len(config["classes"]["names"]) if config["classes"] else 0
    if named > weights:
        raise refused(folder / CONFIG, f"it names {named:,} classes, but there are {weights:,} weights")
    for name in listed:
        if name.endswith(".png") and not _begins(folder / name, PNG):
            raise refused(folder / name, "it is no PNG")
    if mlmodel.MLMODEL in listed and (folder / mlmodel.MLMODEL).read_bytes() != mlmodel.text(config["task"]).encode():
        raise refused(folder / mlmodel.MLMODEL, "it is not the file that genflows writes, which names our loader alone")
    return config


def _config(path: Path) -> dict[str, Any]:
    untrusted.json_object(path)
    try:
        config = Config.model_validate_json(path.read_bytes()).model_dump()
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UserError(
            f"{path} is not of the format that this version reads ({faults[:300]}). "
            "Update genflows to the version that wrote it."
        ) from None
    if config["family"] not in FAMILIES or config["config"].get("family") != config["family"]:
        raise refused(path, "its family is none that this version knows, or stands there in two ways")
    if (config["box"] is None) != (config["shape"] != (2, 1, 1)):
        raise refused(path, "points have the shape 2, 1, 1 and a `box`, and nothing else has either")
    return config


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


@dataclass(frozen=True)
class Published:
    """A loaded model, ready for use. Images are uint8 [N, H, W, C] in and out; points are as gen.plane has them."""

    name: str
    family: str
    task: str
    dataset: str
    shape: tuple[int, int, int]
    """Channels, height, width."""
    network: "nn.Module"
    device: str
    classes: Classes | None = field(default=None, kw_only=True)
    """Those that it makes images of as asked; None where it knows none."""
    box: Box | None = field(default=None, kw_only=True)
    """Where it makes points: what they are mapped back to the plane with."""

    @property
    def sampler(self) -> "Sampler":
        """The network, where it makes images from noise. Raises UserError where it does not."""
        from gen.families.base import Sampler

        if not isinstance(self.network, Sampler):
            raise UserError(
                f"`{self.name}` ({self.family}) makes no images from noise. Use `genflows translate` with it."
            )
        return self.network

    def generate(self, count: int, seed: int, batch: int = 256) -> "Pixels":
        """The first `count` images of `seed`; the noise of each depends on seed and number alone.

        Raises UserError when the model makes no images from noise.
        """
        import torch

        from gen.noise import noise

        latents = noise(count, self.sampler.noise_dim, seed)
        return self._run(self.sampler.sample, torch.split(latents, batch))

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

    def settle(self, blocks: "Iterable[Pixels]") -> None:
        """Fit what is not trained by steps to training images in blocks, read only where there is such a part."""
        from gen.families.base import Settled

        if isinstance(self.network, Settled):
            self.network.settle(batch.to(self.device) for block in blocks for batch in self._batches(block, len(block)))

    def _batches(self, pixels: "Pixels", batch: int) -> "Iterator[Tensor]":
        import torch

        from gen.images import stored_as, to_float

        channels, height, width = self.shape
        if pixels.dtype != stored_as(channels) or pixels.shape[1:] != (height, width, channels):
            raise UserError(
                f"`{self.name}` takes {stored_as(channels).__name__} images of {height} x {width} x {channels}, not "
                f"{pixels.dtype} {' x '.join(map(str, pixels.shape[1:]))}. Resize them and match the channels first."
            )
        for start in range(0, len(pixels), batch):
            yield to_float(torch.from_numpy(pixels[start : start + batch]))

    def _run(self, network: "Callable[[Tensor], Tensor]", batches: "Iterable[Tensor]") -> "Pixels":
        import torch

        from gen.images import stored_as, to_pixels

        channels, height, width = self.shape
        with torch.inference_mode():
            made = [to_pixels(network(batch.to(self.device))) for batch in batches if len(batch)]
        return np.concatenate([np.empty((0, height, width, channels), stored_as(channels)), *made])


def load(folder: Path, device: str = "cpu", beside: frozenset[str] = frozenset()) -> Published:
    """Verify `folder` (runs/train/MODEL, or a fetched version) and load its network onto `device`, in eval mode.

    `beside` is as in `verify`. Raises UserError when the folder does not verify, or its weights do not fit its config.
    """
    config = verify(folder, beside)

    import safetensors.torch
    import torch
    from safetensors import SafetensorError

    from gen import families

    try:
        block = families.parse_block(config["config"], "config")
        classes = Classes(**config["classes"]) if config["classes"] else None
        if block.conditional != (classes is not None):
            raise ValueError("it names classes and knows none, or knows classes and names none")
        # First without memory: what the config asks for is allocated only where it is what the weights are.
        with torch.device("meta"):
            _require_fit(block.build(config["shape"], torch.Generator(), classes), untrusted.tensors(folder / WEIGHTS))
        network = block.build(config["shape"], torch.Generator(), classes)
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS, device="cpu"))
    except (UserError, SafetensorError, RuntimeError, ValueError) as error:
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
        classes=classes,
        box=config["box"] and Box(**config["box"]),
    )


def _require_fit(network: "nn.Module", found: Mapping[str, untrusted.Tensor]) -> None:
    """Raise ValueError unless the tensors in a file are those of a network: names, shapes and types."""
    wanted = {name: (tuple(each.shape), str(each.dtype)) for name, each in network.state_dict().items()}
    given = {name: (each.shape, f"torch.{TYPES.get(each.kind, each.kind)}") for name, each in found.items()}
    for name in sorted(wanted.keys() | given.keys()):
        if wanted.get(name) != given.get(name):
            raise ValueError(f"tensor {name[:80]} is {given.get(name)}, not {wanted.get(name)}")
