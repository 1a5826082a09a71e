"""A model that is loaded for serving, who it is, and its answers as JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gen import use
from gen.balanced import DRAWS, SURE, Draw
from gen.errors import UserError
from gen.families.base import Reconstructor, Sampler, Translator
from gen.features import Extractor
from gen.images import Pixels
from gen.serving import pictures
from gen.use import Model

MOST_OF_CLASS = 256
"""Images of a seed that are of a class: to find the last one all before it have to be made and looked at."""


@dataclass(frozen=True)
class Served:
    """One verified model in memory."""

    published: Model
    name: str
    """The registered model's, or the model's own where it is not registered."""
    number: int | None = None
    """Of the registered version."""
    champion_since: str | None = None
    """ISO 8601, UTC; None where it is no champion, or nobody recorded when it became one."""

    @property
    def label(self) -> str:
        """What people call it: NAME/NUMBER, or the model's name."""
        return self.name if self.number is None else f"{self.name}/{self.number}"

    @property
    def abilities(self) -> list[str]:
        """Which of generate, reconstruct and translate it can do."""
        kinds = {"generate": Sampler, "reconstruct": Reconstructor, "translate": Translator}
        return [what for what, kind in kinds.items() if isinstance(self.published.network, kind)]

    def facts(self) -> dict[str, Any]:
        """What GET /version says."""
        return {
            "version": self.label,
            "name": self.name,
            "number": self.number,
            "digest": self.published.digest,
            "champion_since": self.champion_since,
            **{fact: getattr(self.published, fact) for fact in ("family", "task", "dataset", "shape")},
            "model": self.published.name,
            "abilities": self.abilities,
            "classes": list(self.published.classes.names) if self.published.classes else None,
        }

    def generated(self, count: int, seed: int, start: int, truncation: float = 1.0) -> bytes:
        """The answer to /generate. Raises UserError when the model makes no images from noise."""
        return self._answer(self.published.sample(count, seed, start, truncation))

    def of_class(
        self,
        label: str,
        count: int,
        seed: int,
        start: int,
        truncation: float,
        tell: Callable[[Model], Extractor] | None,
    ) -> bytes:
        """The answer to /generate with a class: images that a model which knows classes makes of it.

        Of any other model: those images of the seed that the extractor, which `tell` gives, is sure are of it. Raises
        UserError where there is no such class or no extractor, or too few images are of it.
        """
        if self.published.classes:
            return self._answer(self.published.sample(count, seed, start, truncation, label))
        if tell is None:
            raise UserError("Nothing tells classes apart here. Ask without `class`, or serve from a workspace.")
        extractor, each = tell(self.published), start + count
        if each > MOST_OF_CLASS:
            raise UserError(
                f"Of a class that a classifier tells the first {MOST_OF_CLASS} images of a seed are to be had, and not "
                f"number {each - 1}. Take another seed."
            )
        draw = Draw(self.published, extractor, each, seed, SURE, DRAWS * each, truncation, label)
        return self._answer(np.stack([kept.pixels for kept in draw])[start:])

    def translated(self, images: Sequence[str], back: bool) -> bytes:
        """The answer to /translate. Raises UndecodableError, and UserError when the model does not translate."""
        pixels = pictures.pixels_of(images, self.published.shape)
        # One by one: what becomes of an image does not depend on those that it came with.
        return self._answer(self.published.translate(pixels, back=back, batch=1))

    def reconstructed(self, images: Sequence[str]) -> bytes:
        """The answer to /reconstruct. Raises UndecodableError, and UserError when the model has no encoder."""
        pixels = pictures.pixels_of(images, self.published.shape)
        return self._answer(self.published.reconstruct(pixels, batch=1))

    def warm(self) -> None:
        """Use it once, so that nobody's request is the slow first one, and a network that fails does so here."""
        channels, height, width = self.published.shape
        blank = np.zeros((1, height, width, channels), np.uint8)
        for ability in self.abilities:
            if ability == "generate":
                self.published.sample(1, seed=0)
            else:
                getattr(self.published, ability)(blank, batch=1)

    def _answer(self, made: Pixels) -> bytes:
        return json.dumps({"images": pictures.encoded(made), "version": self.label}).encode()


def load(folder: Path, device: str, identity: Mapping[str, Any] | None = None) -> Served:
    """Verify `folder`, load its model onto `device` and warm it; `identity` is what the registry says of it.

    Raises UserError when the folder does not verify, its weights do not fit its config, or it makes no images.
    """
    model = use.load(folder, device)
    model.require_images("serving over HTTP")
    served = Served(model, **(identity or {"name": model.name}))
    served.warm()
    return served
