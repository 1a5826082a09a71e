"""What an architecture of a frozen network is: how it is built, what it sees, and what it gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn


class Network(nn.Module):
    """A network that gives features. Its state, by names, is what a file of weights has to hold."""

    def features(self, images: Tensor) -> Tensor:
        """What `Architecture.prepare` gave for N images, to float32 [N, d]."""
        raise NotImplementedError

    def logits(self, features: Tensor) -> Tensor:
        """Features [N, d] to [N, classes]; asked only where the architecture has labels."""
        raise NotImplementedError


@dataclass(frozen=True)
class Official:
    """The file of weights that an architecture's authors published."""

    address: str
    sha256: str

    @property
    def name(self) -> str:
        """Of the file."""
        return self.address.rpartition("/")[2]


@dataclass(frozen=True)
class Architecture:
    """A kind of network. Its name is the one that it is registered under."""

    taps: Mapping[str, int]
    """Features of an image, by the name of the place in the network where they are taken."""
    build: Callable[[str], Network]
    """The network up to a tap, with weights of any values."""
    prepare: Callable[[Tensor], Tensor]
    """Stored images [N, H, W, C] to what the network takes."""
    preprocessing: str
    """The same in words. Like name, tap and weights they name the space of the features: other arithmetic, other words.
    """
    channels: tuple[int, ...] = (1, 3)
    """What it takes: 1 for grey, 3 for RGB, 2 for points."""
    smallest: int = 1
    largest: int | None = None
    """Height and width that it takes, in pixels; None where there is no bound."""
    labels: tuple[str, ...] = ()
    """Names of the classes that it tells apart; none where it has no head."""
    batch: int = 256
    """Images that go through it at once."""
    official: Official | None = None
    """Published weights: a safetensors file, or tensors as torch saves them. Downloaded only when asked for."""

    def takes(self, height: int, width: int, channels: int) -> bool:
        """Whether images of this shape can go through it."""
        fits = self.smallest <= min(height, width) and (self.largest is None or max(height, width) <= self.largest)
        return fits and channels in self.channels

    @property
    def taken(self) -> str:
        """What it takes, in words."""
        if self.smallest == self.largest:
            size = f"{self.largest} x {self.largest} pixels"
        elif self.largest is not None:
            size = f"at most {self.largest} x {self.largest} pixels"
        else:
            size = "any size" if self.smallest == 1 else f"at least {self.smallest} x {self.smallest} pixels"
        return f"{' or '.join(colours(channels) for channels in self.channels)} images of {size}"


def colours(channels: int) -> str:
    """A number of channels in words."""
    return {1: "grey", 2: "point", 3: "RGB"}.get(channels, f"{channels}-channel")
