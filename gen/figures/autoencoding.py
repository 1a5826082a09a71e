"""How well an autoencoder explains images that it has not seen."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gen.families.base import Reconstructor
from gen.figures.subject import BATCH, Subject, batches, by_batch, halves_of, mean_figure, mean_image
from gen.metrics import likelihood, similarity
from gen.metrics.card import Figure
from gen.metrics.halves import whole_first

MOST = 1000
"""Images that the importance-weighted bound is measured on: each takes as long as one reconstruction for each code."""
SEEN = {
    "none": "images as they are",
    "static": "images binarised once",
    "dynamic": "images binarised anew in each step of training, once here",
}
"""What the likelihood is of, by the model's binarisation."""


def autoencoding(subject: Subject, network: Reconstructor) -> list[Figure]:
    """Its reconstructions, its bounds on the likelihood, and how much of its code it uses."""
    return [
        *_reconstructions(subject),
        _negative_elbo(subject, network),
        _negative_iwae(subject, network),
        _active_units(subject, network),
    ]


def _reconstructions(subject: Subject) -> list[Figure]:
    """Doing nothing is the mean of the training images."""
    images = subject.inputs
    made = subject.published.reconstruct(images, BATCH)
    flat = np.broadcast_to(mean_image(subject.prepared), images.shape)
    counts = {"images": len(images)}
    idle, ours = (by_batch(likelihood.reconstruction_errors, one, images) for one in (flat, made))
    card = subject.card("reconstruction_error", likelihood.VERSION, counts)
    error = mean_figure("MSE in [-1, 1]", card, ours, baseline=float(idle.mean()))
    if subject.prepared.box is not None:  # of one pixel there is neither a peak nor a structure
        return [error]
    card = subject.card("reconstruction_psnr", similarity.VERSION, counts, "of the mean error of all images")
    assert error.halves is not None
    value, nothing = similarity.peak_signal_to_noise(np.array([error.value, idle.mean()]))
    halves = similarity.peak_signal_to_noise(error.halves)
    psnr = Figure(card.metric, float(value), "dB", card, baseline=float(nothing), halves=halves, lower_is_better=False)
    idle, ours = (by_batch(similarity.structural_similarities, one, images) for one in (flat, made))
    side = similarity.window(min(images.shape[1:3]))
    card = subject.card("reconstruction_ssim", similarity.VERSION, counts, f"window {side} x {side}")
    ssim = mean_figure("1 for equal images", card, ours, baseline=float(idle.mean()))
    return [error, psnr, replace(ssim, lower_is_better=False)]


def _negative_elbo(subject: Subject, network: Reconstructor) -> Figure:
    with torch.inference_mode():
        terms = [
            network.evidence(images, noise[:, 0])
            for images, noise in _with_noise(subject, network, len(subject.inputs), 1)
        ]
    nll, kl = (torch.cat(parts) for parts in zip(*terms, strict=True))
    protocol = _protocol(network, 1)
    card = subject.card("negative_elbo", likelihood.VERSION, {"images": len(subject.inputs)}, protocol)
    figure = mean_figure("nats per image", card, likelihood.negative_elbos(nll, kl).cpu().double().numpy())
    return replace(figure, parts={"nll": float(nll.mean()), "kl": float(kl.mean())})


def _negative_iwae(subject: Subject, network: Reconstructor) -> Figure:
    samples = subject.settings.posterior_samples
    with torch.inference_mode():
        bounds = [
            likelihood.negative_iwaes(network.log_weights(images, noise).cpu())
            for images, noise in _with_noise(subject, network, MOST, samples)
        ]
    found = torch.cat(bounds).numpy()
    card = subject.card("negative_iwae", likelihood.VERSION, {"images": len(found)}, _protocol(network, samples))
    return mean_figure("nats per image", card, found)


def _protocol(network: Reconstructor, samples: int) -> str:
    plural = "s" if samples > 1 else ""
    return f"{network.likelihood} likelihood of {SEEN[network.binarisation]}, {samples} posterior sample{plural}"


def _with_noise(subject: Subject, network: Reconstructor, most: int, samples: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The first `most` images [B, C, H, W] with noise for `samples` codes of each [B, samples, latent_dim]."""
    generator, device = torch.Generator().manual_seed(subject.settings.seed), subject.published.device
    for images in batches(subject.inputs[:most], device, max(BATCH // samples, 1)):
        yield images, torch.randn(len(images), samples, network.latent_dim, generator=generator).to(device)


def _active_units(subject: Subject, network: Reconstructor) -> Figure:
    """Doing nothing is a code that says nothing."""
    with torch.inference_mode():
        codes = [network.codes(images).cpu() for images in batches(subject.inputs, subject.published.device)]
    protocol = f"codes without noise vary by more than {likelihood.ACTIVE}"
    card = subject.card("active_units", likelihood.VERSION, {"images": len(subject.inputs)}, protocol)
    counted = likelihood.active_units(torch.cat(codes).numpy(), whole_first(halves_of(card, len(subject.inputs))))
    unit = f"of {network.latent_dim} latents"
    return Figure(card.metric, float(counted[0]), unit, card, baseline=0.0, halves=counted[1:], lower_is_better=False)
