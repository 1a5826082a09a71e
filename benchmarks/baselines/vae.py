"""The training loop of PyTorch's VAE example: DataLoader, summed losses, the loss read at each step."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader


def train(
    encoder: nn.Module, decoder: nn.Module, batches: DataLoader[Tensor], noises: Iterator[Tensor], learning_rate: float
) -> list[float]:
    """One pass; returns the negative evidence bound of each step, in nats an image."""
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=learning_rate)
    losses = []
    for data in batches:
        optimiser.zero_grad()
        mean, log_variance = encoder(data)
        latents = mean + next(noises) * torch.exp(0.5 * log_variance)
        reconstruction = torch.sigmoid(decoder(latents))
        bce = functional.binary_cross_entropy(reconstruction, data * 0.5 + 0.5, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        loss = (bce + kl) / len(data)
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
    return losses
