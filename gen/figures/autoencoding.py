"""How well an autoencoder explains images that it has not seen."""

from dataclasses import replace

import numpy as np
import torch

from gen.families.base import Reconstructor
from gen.figures.subject import BATCH, Subject, batches, by_batch, mean_figure, mean_image
from gen.metrics import likelihood
from gen.metrics.card import Figure


def autoencoding(subject: Subject, network: Reconstructor) -> list[Figure]:
    """The error of its reconstructions, and its bound on the likelihood."""
    return [_reconstruction_error(subject), _negative_elbo(subject, network)]


def _reconstruction_error(subject: Subject) -> Figure:
    """Doing nothing is the mean of the training images."""
    images = subject.inputs
    errors = by_batch(likelihood.reconstruction_errors, subject.published.reconstruct(images, BATCH), images)
    flat = np.broadcast_to(mean_image(subject.prepared), images.shape)
    idle = by_batch(likelihood.reconstruction_errors, flat, images)
    card = subject.card("reconstruction_error", likelihood.VERSION, {"images": len(images)})
    return mean_figure("MSE in [-1, 1]", card, errors, baseline=float(idle.mean()))


def _negative_elbo(subject: Subject, network: Reconstructor) -> Figure:
    generator, device = torch.Generator().manual_seed(subject.settings.seed), subject.published.device
    with torch.inference_mode():
        terms = [
            network.evidence(images, torch.randn(len(images), network.latent_dim, generator=generator).to(device))
            for images in batches(subject.inputs, device)
        ]
    nll, kl = (torch.cat(parts) for parts in zip(*terms, strict=True))
    protocol = f"{network.likelihood} likelihood, 1 posterior sample"
    card = subject.card("negative_elbo", likelihood.VERSION, {"images": len(subject.inputs)}, protocol)
    figure = mean_figure("nats per image", card, likelihood.negative_elbos(nll, kl).double().cpu().numpy())
    return replace(figure, parts={"nll": float(nll.mean()), "kl": float(kl.mean())})
