"""A published model in use: images by their numbers, the same bytes however many are asked for at once.

It stands apart from `gen.artifact`, which trainings and evaluations go through, so that an edit of how models are used
trains none again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gen import artifact, files
from gen.artifact import Published
from gen.errors import BadParamsError, UserError
from gen.strict import nearest

if TYPE_CHECKING:
    from torch import Tensor

    from gen.images import Pixels

CHUNK = 8
"""Images made at once, always: the arithmetic of another batch may differ in the last bit. Few, so that one image does
not cost what many do."""


@dataclass(frozen=True)
class Model(Published):
    """A model that was verified and loaded. Images are as in gen.artifact.Published."""

    digest: str
    """Of the artifact's manifest: it names weights and config to the bit."""

    def require_images(self, what: str) -> None:
        """Raise UserError where it makes points of the plane, and `what` is for images alone."""
        if self.box is not None:
            raise UserError(
                f"`{self.name}` makes points of the plane, and {what} is for images. `genflows generate --out "
                "NAME.csv` writes its points as a table, NAME.png as a picture; in Python "
                "`model.box.outside(model.sample(64, seed=0))` gives them."
            )

    def sample(
        self, count: int, seed: int, start: int = 0, truncation: float = 1.0, label: str | None = None
    ) -> "Pixels":
        """Images number `start` to `start + count - 1` of `seed`: [count, H, W, C].

        The bytes of each depend on its number, the seed, the truncation and the class alone: not on how many are asked
        for. `truncation` scales the standard normal noise: 1 leaves it as the model knows it, less gives more usual and
        less varied images, 0 one image. With a `label` all are of that class, of a model that knows classes.

        Raises UserError when the model makes no images from noise, or none of that class.
        """
        from gen.images import stored_as

        chunks = list(self.chunks(count, seed, start, truncation, label))
        _, height, width = self.shape
        return np.concatenate([np.empty((0, height, width, self.shape[0]), stored_as(self.shape[0])), *chunks])

    def chunks(
        self, count: int, seed: int, start: int = 0, truncation: float = 1.0, label: str | None = None
    ) -> "Iterator[Pixels]":
        """The images of `sample`, at most CHUNK at a time, so that any number of them takes little memory."""
        end = start + count
        for first in range(start // CHUNK * CHUNK, end, CHUNK):
            made = self.from_noise(self.noise(CHUNK, seed, first, label), truncation)
            yield made[max(start - first, 0) : end - first]

    def noise(self, count: int, seed: int, start: int = 0, label: str | None = None) -> "Tensor":
        """What images number `start` and on of `seed` are made of: standard normal [count, noise_dim].

        With a `label` the last number of each is the one that chooses this class. Raises UserError when the model makes
        no images from noise, or none of that class.
        """
        from gen.noise import noise

        drawn = noise(count, self.sampler.noise_dim, seed, start)
        if label is not None:
            drawn[:, -1] = self._number(label)
        return drawn

    def _number(self, label: str) -> float:
        """The number of the noise that chooses a class."""
        import torch

        from gen.choice import Choice

        if self.classes is None:
            raise UserError(f"`{self.name}` knows no classes. Ask without one, or name a model that was trained with.")
        if label not in self.classes.names:
            raise BadParamsError(f"`{self.name}` knows no class `{label}`. {nearest(label, list(self.classes.names))}")
        choice, thing = Choice.of(self.classes.shares), self.classes.names.index(label)
        number = choice.number(thing)
        if choice(torch.tensor([number])).tolist() != [thing]:
            raise UserError(
                f"`{self.name}` has seen no image of class `{label}` in training, or hardly any, so it makes none. "
                "Bring more images of it and train again, or ask for another class."
            )
        return number

    def from_noise(self, noise: "Tensor", truncation: float = 1.0) -> "Pixels":
        """Images of noises [N, noise_dim]: [N, H, W, C]. Raises UserError when the model makes none from noise."""
        import torch

        from gen.noise import truncated

        return self._run(self.sampler.sample, torch.split(truncated(noise, truncation, self.sampler.choices), CHUNK))

    def walk(self, numbers: list[int], seed: int, steps: int, truncation: float = 1.0) -> "Pixels":
        """From each of K images of `seed` to the next, spherically in noise: [(K - 1) * steps + 1, H, W, C].

        The images with these numbers are in it as `sample` gives them. Raises UserError when the model makes no images
        from noise.
        """
        import torch

        from gen.interpolation import path

        noises = torch.cat([self.noise(1, seed, number) for number in numbers])
        made = self.from_noise(path(noises, steps, self.sampler.choices), truncation)
        # The same noise at another place of a batch may round a grey level the other way.
        made[::steps] = np.concatenate([self.sample(1, seed, number, truncation) for number in numbers])
        return made


def load(folder: Path, device: str = "cpu", beside: frozenset[str] = frozenset()) -> Model:
    """Verify an artifact's folder and load its network onto `device`; `beside` is as for `gen.artifact.load`.

    Raises UserError when the folder does not verify, or its weights do not fit its config.
    """
    published = artifact.load(folder, device, beside)
    return Model(**vars(published), digest=files.manifest_digest(folder))
