"""What an extractor's config.json says: what it takes, what it is, and where it comes from."""

from typing import Any, Literal

from pydantic import Field

from gen.extractors import fourier, registry, strided
from gen.extractors.architecture import Architecture
from gen.strict import Strict, parse


class Taught(Strict):
    """One that was trained here, on a dataset."""

    format: Literal[1] = 1
    architecture: Literal["strided-cnn"] = "strided-cnn"
    preprocessing: Literal["uint8 / 127.5 - 1, no resize"] = "uint8 / 127.5 - 1, no resize"
    size: int = Field(ge=8, le=256)
    channels: Literal[1, 3]
    dimension: int = Field(ge=8, le=1024)
    """Features of an image."""
    meaning: Literal["labels", "rotations"]
    """What it was taught to tell apart."""
    labels: list[str]
    """Names of its classes."""
    accuracy: float
    """Share of the split `select` that it classifies rightly, to three digits."""
    dataset: str
    """Name of the dataset whose split `train` it was trained on."""
    data: str
    """Digest of that dataset's snapshot."""

    @property
    def known_as(self) -> str:
        """What its classifier is called where a figure is named by it."""
        return self.dataset

    @property
    def tap(self) -> str:
        """The place in the network where features are taken."""
        return strided.TAP

    @property
    def used(self) -> dict[str, Any]:
        """How the weights are used: with them it names the space of the features."""
        return self.model_dump(include={"architecture", "preprocessing", "size", "channels", "dimension"})

    def built_as(self) -> Architecture:
        """Its architecture."""
        return strided.architecture(self.size, self.channels, self.dimension, self.labels)


class Drawn(Strict):
    """One for points, that was drawn by chance."""

    format: Literal[1] = 1
    architecture: Literal["fourier"] = "fourier"
    preprocessing: Literal["points in [-1, 1]"] = "points in [-1, 1]"
    dimension: int = Field(ge=8, le=1024)
    """Features of a point."""
    meaning: Literal["nothing"] = "nothing"
    labels: list[str] = Field(default_factory=list, max_length=0)
    seed: int
    """That its frequencies were drawn with."""

    @property
    def known_as(self) -> str:
        """What it is called."""
        return self.architecture

    @property
    def tap(self) -> str:
        """The place in the network where features are taken."""
        return fourier.TAP

    @property
    def used(self) -> dict[str, Any]:
        """How the frequencies are used: with them it names the space of the features."""
        return self.model_dump(include={"architecture", "preprocessing", "dimension"})

    def built_as(self) -> Architecture:
        """Its architecture."""
        return fourier.architecture(self.dimension)


class Imported(Strict):
    """One whose weights came from elsewhere."""

    format: Literal[1] = 1
    architecture: str
    """The name that it is registered under."""
    preprocessing: str
    tap: str
    """The place in the network where features are taken."""
    dimension: int = Field(ge=1)
    """Features of an image."""
    meaning: Literal["labels", "nothing"]
    """What its head tells apart; nothing where it has none."""
    labels: list[str]
    """Names of its classes."""
    file: str
    """Name of the file that the weights came in."""
    sha256: str
    """Of that file."""

    @property
    def known_as(self) -> str:
        """What its classifier is called where a figure is named by it."""
        return self.architecture

    @property
    def used(self) -> dict[str, Any]:
        """How the weights are used: with them it names the space of the features."""
        return self.model_dump(include={"architecture", "preprocessing", "tap", "dimension"})

    def built_as(self) -> Architecture:
        """Its architecture. Raises UserError where none is registered under its name."""
        return registry.find(self.architecture)


Description = Taught | Drawn | Imported


def read(values: Any, where: str) -> Description:
    """Check the values of a config.json. Raises UserError that names the key, the value and the way out."""
    match values.get("architecture") if isinstance(values, dict) else None:
        case strided.NAME:
            return parse(Taught, values, where)
        case fourier.NAME:
            return parse(Drawn, values, where)
        case _:
            return parse(Imported, values, where)
