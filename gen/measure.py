"""A published generator against the reference of its dataset: figures, class shares and pictures.

`evaluate` and `judge` both measure through here, so that what is promoted is what is reported.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gen.arithmetic import tensor_cores
from gen.artifact import Published
from gen.config import Judge
from gen.datasets import Prepared
from gen.errors import TooFewImagesError
from gen.families.base import Reconstructor, Sampler, Translator
from gen.images import Pixels, grid, side_by_side, to_float
from gen.metrics import likelihood, manifold, memorisation, translation
from gen.metrics.card import Card, Figure
from gen.metrics.distribution import VERSIONS
from gen.metrics.halves import half_samples, whole_first
from gen.reference import REPORT, Reference, subsets

UNITS = {
    "frechet": "squared feature distance",
    "kernel": "squared MMD",
    "precision": "share of generated images",
    "recall": "share of real images",
    "density": "real balls around an image, over k",
    "coverage": "share of real images",
    "authenticity": "share of generated images",
    "near_duplicates": "share of generated images",
    "copying": "z of distances to the training images",
    "copied_share": "share of generated images",
    "copied_closely": "share of generated images",
}
PIXELS = "uint8 / 127.5 - 1"
BATCH = 256
ROWS = 12
"""Images that a picture of inputs and outputs shows."""


@dataclass(frozen=True)
class Measurement:
    """All that was measured of one generator."""

    figures: tuple[Figure, ...]
    rank_by: str
    """Name of the figure that generators of its task are ranked by."""
    shares: list[float] | None
    """Share of each class among the generated images, by the extractor; None where it knows no classes."""
    labels: list[str]
    """Names of those classes."""

    @property
    def deciding(self) -> Figure:
        """The figure called `rank_by`."""
        return self.named[self.rank_by]

    @property
    def named(self) -> dict[str, Figure]:
        """The figures by name."""
        return {figure.name: figure for figure in self.figures}

    def to_json(self) -> dict[str, Any]:
        """As it stands in metrics.json."""
        return {
            "rank_by": self.rank_by,
            "figures": [figure.to_json() for figure in self.figures],
            "classes": None if self.shares is None else {"labels": self.labels, "shares": self.shares},
        }


@tensor_cores(False)
def measure(published: Published, prepared: Prepared, reference: Reference, settings: Judge) -> Measurement:
    """Measure a generator on the split `report`.

    A generator with a weight that is not finite gets NaN for every figure. Raises TooFewImagesError when a distance
    would be measured with no more images than features.
    """
    inputs = prepared.images(REPORT, prepared.domains[0])[: settings.samples]
    if isinstance(published.network, Sampler):
        made = published.generate(settings.samples, settings.seed, batch=BATCH)
    else:
        made = published.translate(inputs, batch=BATCH)
    features = reference.extractor.features(made)
    counted = features[: reference.count]
    figures = [
        *_distances(counted, reference, settings),
        *_manifold(counted, reference, settings),
        *_memorisation(counted, made[: reference.count], prepared, reference, settings),
    ]
    pairs = prepared.pairs(REPORT)
    if isinstance(published.network, Translator) and pairs is not None:
        figures.append(_pair_error(made, pairs[: len(made)], inputs[: len(made)], reference, settings))
    if isinstance(published.network, Reconstructor):
        train = prepared.images("train", prepared.target)
        # Sums of whole numbers: exact, in whatever pieces they are read.
        total = sum(block.sum(0, np.float64) for block in train.blocks())
        mean_image = (total / len(train)).round().astype(np.uint8)
        figures.append(
            _reconstruction_error(published.reconstruct(inputs, BATCH), inputs, mean_image, reference, settings)
        )
        figures.append(_negative_elbo(published.network, inputs, published.device, reference, settings))
    if not _is_finite(published.network):
        figures = [replace(figure, value=float("nan"), halves=None, deviation=None, parts={}) for figure in figures]
    by_pairs = any(figure.name == "pair_error" for figure in figures)
    return Measurement(
        figures=tuple(figures),
        rank_by="pair_error" if by_pairs else "frechet",
        shares=reference.extractor.shares(features),
        labels=reference.extractor.labels,
    )


def pictures(published: Published, prepared: Prepared, settings: Judge, count: int = 64) -> dict[str, Pixels]:
    """What a generator makes, to look at: by name, the one that shows its task first. Equal seeds show equal noise.

    `samples` of a sampler; `reconstructions` (input, output) of an autoencoder; `translations` (input, output, and
    the true image where it is known) of a translator.
    """
    shown: dict[str, Pixels] = {}
    inputs = prepared.images(REPORT, prepared.domains[0])[:ROWS]
    if isinstance(published.network, Sampler):
        shown["samples"] = grid(published.generate(count, settings.seed))
    if isinstance(published.network, Translator):
        pairs = prepared.pairs(REPORT)
        true = [] if pairs is None else [pairs[:ROWS]]
        shown["translations"] = side_by_side(inputs, published.translate(inputs), *true)
    if isinstance(published.network, Reconstructor):
        shown["reconstructions"] = side_by_side(inputs, published.reconstruct(inputs))
    return shown


def _distances(generated: NDArray[np.float32], reference: Reference, settings: Judge) -> list[Figure]:
    counts = {"generated": len(generated), "real": len(reference.features)}
    return [
        Figure(
            name=name,
            value=distance.value,
            unit=UNITS[name],
            card=_feature_card(name, VERSIONS[name], counts, reference, settings),
            floor=reference.floor[name],
            baseline=reference.baseline[name],
            halves=distance.halves,
        )
        for name, distance in reference.distances(generated, settings.seed, settings.resamples).items()
    ]


def _manifold(generated: NDArray[np.float32], reference: Reference, settings: Judge) -> list[Figure]:
    """Fidelity and coverage, with those of the half-samples that the distances have."""
    counts = {"generated": len(generated), "real": len(reference.features)}
    halves = subsets(len(reference.features), len(generated), settings.seed, settings.resamples)
    in_real, in_generated = map(whole_first, halves)
    return [
        Figure(
            name=name,
            value=float(values[0]),
            unit=UNITS[name],
            card=_feature_card(name, manifold.VERSION, counts, reference, settings),
            floor=reference.floor[name],
            baseline=reference.baseline[name],
            halves=values[1:],
            lower_is_better=False,
        )
        for name, values in manifold.manifold(reference.features, generated, in_real, in_generated).items()
    ]


def _memorisation(
    generated: NDArray[np.float32], made: Pixels, prepared: Prepared, reference: Reference, settings: Judge
) -> list[Figure]:
    """Copies of the training images of the domain that generated images are to look like."""
    found = memorisation.memorisation(generated, reference.train, reference.features)
    equal = memorisation.equal_pixels(made, prepared.images("train", prepared.target).blocks())
    counts = {"generated": len(generated), "train": len(reference.train), "held_out": len(reference.features)}
    cards = {
        name: _feature_card(name, memorisation.VERSION, counts, reference, settings)
        for name in ("authenticity", "near_duplicates", "copying", "copied_share", "copied_closely")
    }
    means = [
        _mean_figure(UNITS[name], cards[name], images.astype(np.float64))
        for name, images in (("authenticity", found.authentic), ("near_duplicates", found.near | equal))
    ]
    exact = float(equal.mean())
    figures = [
        replace(means[0], lower_is_better=False),
        replace(means[1], parts={"exact": exact, "close": means[1].value - exact}),
        Figure("copying", found.copying, UNITS["copying"], cards["copying"], lower_is_better=None, deviation=1.0),
        *(
            Figure(name, share.value, UNITS[name], cards[name], deviation=share.deviation)
            for name, share in (("copied_share", found.copied), ("copied_closely", found.copied_closely))
        ),
    ]
    return [replace(figure, floor=reference.floor[figure.name]) for figure in figures]


def _pair_error(
    translated: Pixels, true: Pixels, untranslated: Pixels, reference: Reference, settings: Judge
) -> Figure:
    errors, idle = (_by_batch(translation.pair_errors, images, true) for images in (translated, untranslated))
    card = _card("pair_error", translation.VERSION, {"pairs": len(true)}, reference, settings)
    return _mean_figure("MSE in [-1, 1]", card, errors, baseline=float(idle.mean()))


def _reconstruction_error(
    reconstructed: Pixels, images: Pixels, mean_image: Pixels, reference: Reference, settings: Judge
) -> Figure:
    errors = _by_batch(likelihood.reconstruction_errors, reconstructed, images)
    idle = _by_batch(likelihood.reconstruction_errors, np.broadcast_to(mean_image, images.shape), images)
    card = _card("reconstruction_error", likelihood.VERSION, {"images": len(images)}, reference, settings)
    return _mean_figure("MSE in [-1, 1]", card, errors, baseline=float(idle.mean()))


def _negative_elbo(
    network: Reconstructor, pixels: Pixels, device: str, reference: Reference, settings: Judge
) -> Figure:
    generator = torch.Generator().manual_seed(settings.seed)
    with torch.inference_mode():
        terms = [
            network.evidence(images, torch.randn(len(images), network.latent_dim, generator=generator).to(device))
            for images in _batches(pixels, device)
        ]
    nll, kl = (torch.cat(parts) for parts in zip(*terms, strict=True))
    card = replace(
        _card("negative_elbo", likelihood.VERSION, {"images": len(pixels)}, reference, settings),
        protocol=f"{network.likelihood} likelihood, 1 posterior sample",
    )
    figure = _mean_figure("nats per image", card, likelihood.negative_elbos(nll, kl).double().cpu().numpy())
    return replace(figure, parts={"nll": float(nll.mean()), "kl": float(kl.mean())})


def _mean_figure(unit: str, card: Card, values: NDArray[np.float64], baseline: float | None = None) -> Figure:
    """The figure that is a mean of one value for each image [N]."""
    if len(values) < 2:
        raise TooFewImagesError(
            f"The figure `{card.metric}` was asked of {len(values)} images; 2 are needed to know its spread. "
            "Bring more images, or raise the dataset's share `report`."
        )
    masks = half_samples(len(values), card.resamples, torch.Generator().manual_seed(card.seed))
    halves = (masks @ values) / masks.sum(1)
    return Figure(card.metric, float(values.mean()), unit, card, baseline=baseline, halves=halves)


def _card(metric: str, version: int, counts: dict[str, int], reference: Reference, settings: Judge) -> Card:
    return Card(
        metric=metric,
        version=version,
        split=REPORT,
        data=reference.data,
        counts=counts,
        seed=settings.seed,
        resamples=settings.resamples,
        preprocessing=PIXELS,
        dtype="float32, summed in float64",
    )


def _feature_card(metric: str, version: int, counts: dict[str, int], reference: Reference, settings: Judge) -> Card:
    extractor = reference.extractor
    return replace(
        _card(metric, version, counts, reference, settings),
        preprocessing=extractor.description.preprocessing,
        extractor=extractor.digest,
        dtype="float32 features, float64 statistics",
    )


def _by_batch(errors: Callable[[Tensor, Tensor], Tensor], made: Pixels, true: Pixels) -> NDArray[np.float64]:
    """One error for each pair of images [N]."""
    batches = zip(_batches(made), _batches(true), strict=True)
    return torch.cat([errors(*pair) for pair in batches]).double().numpy()


def _batches(pixels: Pixels, device: str = "cpu") -> Iterator[Tensor]:
    """Images uint8 [N, H, W, C] as float batches [B, C, H, W] in [-1, 1]."""
    for start in range(0, len(pixels), BATCH):
        yield to_float(torch.tensor(pixels[start : start + BATCH], device=device))


def _is_finite(network: nn.Module) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values())
