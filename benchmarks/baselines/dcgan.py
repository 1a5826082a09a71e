"""The training loop of PyTorch's DCGAN tutorial: DataLoader, a discriminator pass a side, losses read at each step."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gen.images import Pixels, to_float


class Images(Dataset[Tensor]):
    """Images one by one, in [-1, 1], as ToTensor and Normalize(0.5, 0.5) make them."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels

    def __len__(self) -> int:  # noqa: D105
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:  # noqa: D105
        # Rounded as ours are: a game of two networks amplifies the last bit of its input.
        return to_float(torch.from_numpy(self.pixels[index][None]))[0].to(torch.get_default_dtype())


def loader(pixels: Pixels, order: Sequence[int], batch: int) -> DataLoader[Tensor]:
    """Batches in a given order, so that both loops see the same."""
    return DataLoader(Images(pixels), batch_size=batch, sampler=order)


def train(
    generator: nn.Module,
    discriminator: nn.Module,
    batches: DataLoader[Tensor],
    noises: Iterator[Tensor],
    learning_rate: float,
) -> list[tuple[float, float]]:
    """One pass; returns the losses of discriminator and generator of each step."""
    criterion = nn.BCEWithLogitsLoss()
    optimiser_d = torch.optim.Adam(discriminator.parameters(), lr=learning_rate, betas=(0.5, 0.999))
    optimiser_g = torch.optim.Adam(generator.parameters(), lr=learning_rate, betas=(0.5, 0.999))
    losses = []
    for real in batches:
        discriminator.zero_grad()
        label = torch.full((len(real),), 1.0)
        error_real = criterion(discriminator(real).view(-1), label)
        error_real.backward()
        fake = generator(next(noises))
        label.fill_(0.0)
        error_fake = criterion(discriminator(fake.detach()).view(-1), label)
        error_fake.backward()
        optimiser_d.step()
        generator.zero_grad()
        label.fill_(1.0)
        error = criterion(discriminator(fake).view(-1), label)
        error.backward()
        optimiser_g.step()
        losses.append((error_real.item() + error_fake.item(), error.item()))
    return losses
