"""What MLflow calls to load a published model (gen.mlmodel): verified first, and as a table in, PNGs out.

For `mlflow.pyfunc.load_model` and `mlflow models serve`. It imports no mlflow.
"""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gen import signing, use
from gen.errors import UserError
from gen.images import Pixels, png
from gen.use import Model

BESIDE = frozenset({"registered_model_meta"})
"""What MLflow writes into a folder that it has downloaded. It is not read."""
MOST_IMAGES = 1024
"""Of one call."""
LARGEST_PNG = 2**24
"""Characters of one image that comes in."""


class Served:
    """A published model as MLflow sees one."""

    def __init__(self, published: Model) -> None:
        """Of a verified one."""
        self.published = published

    def predict(self, table: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Images for each row of a pandas table, as a table with one column `png` (PNG, base64).

        A model of the task `sample` takes columns `n` and `seed` (0 where there is none) and gives the images
        0 to n - 1 of each row's seed, one after the other. One of the task `translate` takes a column `png` and the
        param `back`. Raises UserError for what it cannot do.
        """
        import pandas as pd

        made = self._sampled(table) if self.published.task == "sample" else self._translated(table, params or {})
        return pd.DataFrame({"png": [base64.b64encode(png(image)).decode() for image in made]})

    def _sampled(self, table: Any) -> list[Pixels]:
        rows = [{"seed": 0} | row for row in table.to_dict("records")]
        if not all(row["n"] >= 0 for row in rows) or sum(row["n"] for row in rows) > MOST_IMAGES:
            raise UserError(f"`n` is a number from 0 to {MOST_IMAGES}, of all rows together. Ask for fewer at a time.")
        if not all(0 <= row["seed"] < 2**63 for row in rows):
            raise UserError("`seed` is a whole number from 0 to 2^63 - 1. Choose another.")
        return [image for row in rows for image in self.published.sample(int(row["n"]), int(row["seed"]))]

    def _translated(self, table: Any, params: Mapping[str, Any]) -> list[Pixels]:
        texts = list(table["png"])
        if len(texts) > MOST_IMAGES:
            raise UserError(f"One call takes at most {MOST_IMAGES} images, not {len(texts)}. Send them in parts.")
        if not texts:
            return []
        images = np.stack([self._decoded(text) for text in texts])
        return list(self.published.translate(images, back=bool(params.get("back")), batch=1))

    def _decoded(self, text: str) -> Pixels:
        """One image that came in, uint8 [H, W, C], of the size that the model takes."""
        channels, height, width = self.published.shape
        try:
            data = base64.b64decode(text if len(text) <= LARGEST_PNG else "?", validate=True)
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                # Before it is decoded: a small file may hold a huge picture.
                if image.size == (width, height):
                    return np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(height, width, channels)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            pass
        raise UserError(f"`png` holds what is no PNG of {width} x {height} pixels in base64. Convert and resize it.")


def _load_pyfunc(path: str) -> Served:
    """The entry point that MLflow looks for: verify the folder `path`, then load it."""
    folder = Path(path)
    signing.require_trusted(folder)
    model = use.load(folder, beside=BESIDE)
    model.require_images("a table of PNGs, as MLflow gets it,")
    return Served(model)
