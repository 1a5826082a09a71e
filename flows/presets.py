"""Presets: recipes that are known to work, fitted to the images of a folder, as blocks of a params.yaml.

Their numbers come from the papers named in docs/how-to/your-own-images.md, and from what was measured here; budgets are
a beginning for two CPU cores: `genflows init --minutes` fits them to a machine.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flows.looking import Look
from gen.errors import BadParamsError

Block = dict[str, Any]
SIZES = (32, 64, 128)
"""Sides that every network can be built for; 28 too, where that is what the images have."""
FEATURES = (64, 32, 16, 8)
"""Features of an extractor. A Frechet distance needs more images than that: twice as many are asked for."""
REPORTED = 0.2
"""Share of the images that figures are measured on."""


@dataclass(frozen=True)
class Preset:
    """One recipe."""

    about: str
    """What it is for, in a few words."""
    largest: int
    """Side of the images, in pixels, that it begins with at most."""
    model: Callable[[Look, int], Block]
    """The model's block, but for its dataset, for images of a size."""
    drawing: str | None = None
    """What the images are translated from, where the folder has one domain; None for noise or two domains."""
    translates: bool = False
    labelled: bool = False
    """Whether it needs labels: sub-folders of the folder."""


def _gan(_: Look, size: int) -> Block:
    return {
        "family": "gan", "network": "dcgan", "latent_dim": 64 if size <= 32 else 128, "width": 32, "norm": "batch",
        "loss": "non-saturating", "images": 120_000, "batch": 64, "learning_rate": 0.0002, "beta1": 0.5,
        "ema_half_life": 10_000, "log_every": 5000, "checkpoint_every": 30_000,
    }  # fmt: skip


def _stable_gan(look: Look, size: int) -> Block:
    return _gan(look, size) | {
        "norm": "none", "loss": "relativistic", "r1": 10.0, "r2": 10.0, "beta1": 0.0,
        "beta2": {"value": 0.9, "to": 0.99}, "learning_rate": {"value": 0.0002, "to": 0.00005},
    }  # fmt: skip


def _spectral_gan(look: Look, size: int) -> Block:
    return _gan(look, size) | {
        "norm": "spectral", "loss": "hinge", "beta1": 0.0, "beta2": 0.9,
        "learning_rate": {"value": 0.0002, "to": 0},
    }  # fmt: skip


def _wasserstein_gan(look: Look, size: int) -> Block:
    return _gan(look, size) | {
        "norm": "none", "loss": "wasserstein", "gradient_penalty": 10.0, "discriminator_steps": 5,
        "learning_rate": 0.0001, "beta1": 0.0, "beta2": 0.9,
    }  # fmt: skip


def _class_gan(look: Look, size: int) -> Block:
    return _gan(look, size) | {"classes": "projection"}


def _few_images_gan(look: Look, size: int) -> Block:
    return _gan(look, size) | {"augment": ["colour", "translation", "cutout"]}


def _vae(look: Look, size: int) -> Block:
    return {
        "family": "vae", "network": "convolutional", "latent_dim": 16 if size <= 32 else 64, "width": 16,
        "likelihood": "bernoulli" if look.grey else "gaussian", "images": 120_000, "batch": 64,
        "learning_rate": {"value": 0.001, "to": 0, "after": 0.5}, "log_every": 5000, "checkpoint_every": 30_000,
    }  # fmt: skip


def _translator(identity: float, network: str = "translator") -> Callable[[Look, int], Block]:
    def block(_: Look, size: int) -> Block:
        blocks = {"blocks": 3 if size <= 32 else 6} if network == "translator" else {}
        return {
            "family": "cyclegan", "network": network, "width": 16, **blocks, "halvings": 2 if size < 128 else 3,
            "cycle": 10.0, "identity": identity, "pool": 50, "images": 3200, "batch": 4,
            "learning_rate": {"value": 0.0002, "to": 0, "after": 0.5}, "beta1": 0.5, "log_every": 200,
            "checkpoint_every": 800,
        }  # fmt: skip

    return block


PRESETS: Mapping[str, Preset] = {
    "gan": Preset("images from noise: the quickest to fair pictures", 64, _gan),
    "stable-gan": Preset("images from noise: slower, and holds all modes", 64, _stable_gan),
    "spectral-gan": Preset("images from noise: a discriminator of bounded slope", 64, _spectral_gan),
    "wasserstein-gan": Preset("images from noise: an estimated distance, five batches a step", 64, _wasserstein_gan),
    "class-gan": Preset("images of each class, where sub-folders are labels", 64, _class_gan, labelled=True),
    "few-images": Preset("images from noise, learnt of some hundreds", 64, _few_images_gan),
    "vae": Preset("images from noise, reconstructions, a code for each image", 64, _vae),
    "style": Preset("between two folders, trainA/ and trainB/", 128, _translator(0.5), translates=True),
    "denoise": Preset("noisy images to clean ones", 64, _translator(0.5, "unet"), "noisy", translates=True),
    "deblur": Preset("blurred images to sharp ones", 64, _translator(0.5), "blurred", translates=True),
    "colourise": Preset("grey images to coloured ones", 64, _translator(0.0, "unet"), "grey", translates=True),
    "edges": Preset("edge drawings to images", 64, _translator(0.0), "edges", translates=True),
}


def blocks(names: list[str], look: Look) -> tuple[dict[str, Block], dict[str, Block]]:
    """The blocks `datasets` and `models` of a params.yaml for the images of a folder.

    Raises BadParamsError for a preset that the folder's images cannot be used for.
    """
    wanted = [(name, PRESETS[name]) for name in dict.fromkeys(names)]
    for name, preset in wanted:
        _require_fit(name, preset, look)
    size, base = _size(look, min(preset.largest for _, preset in wanted)), _dataset_name(look)
    datasets, models = {base: _dataset(look, size, base)}, {}
    for name, preset in wanted:
        dataset = f"{preset.drawing}2{base}" if preset.drawing else base
        if preset.drawing:
            source = {"kind": "derived", "of": base, "drawing": preset.drawing}
            datasets[dataset] = {**datasets[base], "source": source, "extractor": base}
        family, *rest = preset.model(look, size).items()
        models[name] = dict([family, ("dataset", dataset), rest[0], ("init", "random"), *rest[1:], ("seed", 0)])
    return datasets, models


def _require_fit(name: str, preset: Preset, look: Look) -> None:
    two = look.layout == "domains"
    if two != (preset.translates and preset.drawing is None):
        has = "has two domains (trainA/, trainB/)" if two else "has one domain"
        fitting = [each for each, other in PRESETS.items() if (other.translates and other.drawing is None) == two]
        raise BadParamsError(
            f"The preset `{name}` ({preset.about}) is not for {look.path}, which {has}. For it: {', '.join(fitting)}."
        )
    if preset.labelled and look.layout != "labels":
        raise BadParamsError(
            f"The preset `{name}` ({preset.about}) is not for {look.path}, which has no sub-folders that could be "
            "labels. Put the images of each class into one, or take the preset `gan`."
        )
    if preset.drawing == "grey" and look.grey:
        raise BadParamsError(f"The preset `{name}` has nothing to learn from {look.path}, for its images are grey.")


def _size(look: Look, largest: int) -> int:
    """The largest size that the images fill, and at least the smallest."""
    if look.side == 28:
        return 28
    return max(size for size in SIZES if size == SIZES[0] or size <= min(look.side, largest))


def _dataset(look: Look, size: int, name: str) -> Block:
    reported = look.files * REPORTED / (2 if look.layout == "domains" else 1)
    features = next((count for count in FEATURES if reported > 2 * count), FEATURES[-1])
    return {
        "source": {"kind": "folder", "path": look.path}, "size": size, "channels": 1 if look.grey else 3,
        "extractor": name, "feature_dim": features, "select": 0.1, "report": REPORTED,
    }  # fmt: skip


def _dataset_name(look: Look) -> str:
    """What the folder is called, as a name of params.yaml has to be."""
    last = look.path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-") or "images"
