"""Images to features: the frozen network that distances between sets of images are measured in.

It is a small classifier that was trained here (gen/teaching.py), or a network whose weights came from elsewhere. An
extractor folder holds weights.safetensors, config.json and manifest.json.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gen import files
from gen.errors import UserError
from gen.extractors import description as descriptions
from gen.extractors.architecture import Architecture, Network, colours
from gen.extractors.description import Description
from gen.images import Pixels
from gen.shards import Shards
from gen.tensors import packed, write_tensors

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Extractor:
    """A frozen network with its description, ready for use."""

    network: Network
    architecture: Architecture
    description: Description
    digest: str
    """Of the weights and of how they are used: it names the space that distances are measured in."""
    device: torch.device
    folder: Path | None = None
    """Where it was loaded from."""

    @classmethod
    def of(
        cls, network: Network, description: Description, device: torch.device, folder: Path | None = None
    ) -> "Extractor":
        """Freeze a network. Raises UserError where its architecture is not there, or another than described."""
        network = network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
        digest = files.digest({"weights": files.sha256(packed(network.state_dict())), "used": description.used})
        return cls(network, _architecture(description), description, digest, device, folder)

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> "Extractor":
        """Verify and load an extractor folder. Raises UserError when it is missing, changed, or does not fit."""
        if not (folder / files.MANIFEST).is_file():
            raise UserError(
                f"The extractor `{folder.name}` is not here yet: {folder} is missing. "
                f"Run `genflows extractor {folder.name}` (or `dvc pull`) and try again."
            )
        files.verify(folder)
        description = described(folder)
        network = _architecture(description).build(description.tap)
        try:
            network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        except (safetensors.SafetensorError, RuntimeError) as error:
            raise UserError(
                f"The weights in {folder} do not fit its {CONFIG} ({' '.join(str(error).split())[:200]}). "
                "Restore the folder from DVC, or delete it and run `genflows extractor`."
            ) from error
        return cls.of(network, description, torch.device(device), folder)

    def save(self, folder: Path) -> None:
        """Write weights and description into `folder`; the manifest is its maker's."""
        write_tensors(folder / WEIGHTS, self.network.state_dict())
        files.write_json(folder / CONFIG, self.description.model_dump())

    @property
    def dimension(self) -> int:
        """Features of an image."""
        return self.description.dimension

    @property
    def labels(self) -> list[str]:
        """Names of its classes; none where it tells none apart."""
        return self.description.labels

    @torch.inference_mode()
    def features(self, pixels: Pixels | Shards, batch: int | None = None) -> Features:
        """Images uint8 [N, H, W, C] to float32 [N, dimension], `batch` at once (what its architecture says).

        Raises UserError for images of a shape that it does not take.
        """
        _, height, width, channels = pixels.shape
        if not self.architecture.takes(height, width, channels):
            raise UserError(
                f"This extractor ({self.description.architecture}) takes {self.architecture.taken}, not "
                f"{colours(channels)} ones of {height} x {width}. Name another under `extractor:` of the dataset, "
                "train one on the dataset itself with `genflows extractor`, or import one that takes its images."
            )
        batch = batch or self.architecture.batch
        made = [
            self.network.features(self._prepared(pixels[start : start + batch])).cpu().numpy()
            for start in range(0, len(pixels), batch)
        ]
        return np.concatenate([np.empty((0, self.dimension), np.float32), *made])

    @torch.inference_mode()
    def probabilities(self, features: Features) -> Features:
        """What the classifier makes of features [N, dimension]: float32 [N, classes]. Each row sums to 1."""
        logits = self.network.logits(torch.from_numpy(features).to(self.device))
        return np.asarray(functional.softmax(logits, 1).cpu().numpy())

    def shares(self, features: Features, sure: float = 0.0) -> list[float] | None:
        """The share of each class among images with features [N, dimension]; None where it knows no labels.

        Only those count that are given their class with a probability above `sure`; None where there are none.
        """
        if self.description.meaning != "labels":
            return None
        probabilities = self.probabilities(features)
        classes = probabilities.argmax(1)[probabilities.max(1) > sure]
        if not len(classes):
            return None
        return [float(share) for share in np.bincount(classes, minlength=len(self.labels)) / len(classes)]

    def _prepared(self, pixels: Pixels) -> Tensor:
        return self.architecture.prepare(torch.from_numpy(pixels).to(self.device))


def described(folder: Path) -> Description:
    """What an extractor folder says of itself. Raises UserError where it says nothing that can be read."""
    return descriptions.read(files.read_json(folder / CONFIG), f"extractor {folder.name}")


def is_imported(folder: Path) -> bool:
    """Whether an extractor folder holds weights from elsewhere; not where there is none."""
    return (folder / CONFIG).is_file() and isinstance(described(folder), descriptions.Imported)


def _architecture(description: Description) -> Architecture:
    """The architecture of an extractor. Raises UserError where it is not there, or is not what it was."""
    architecture = description.built_as()
    now: Mapping[str, object] = {
        "preprocessing": architecture.preprocessing,
        "tap": description.tap if description.tap in architecture.taps else None,
        "dimension": architecture.taps.get(description.tap),
    }
    for key, value in now.items():
        if value != getattr(description, key):
            raise UserError(
                f"The architecture `{description.architecture}` is not what this extractor was imported with: its "
                f"{key} was `{getattr(description, key)}` and is `{value}`. Bring the package that registers it to the "
                "version of then, or import the weights again under another name."
            )
    return architecture
