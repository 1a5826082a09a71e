"""Networks that know classes, made of those that do not."""

import torch
from torch import Tensor, nn

from gen.choice import Choice
from gen.classes import Classes
from gen.networks import Critic, Drawable, initialise_by_fan_in

SOFT = 0.1
"""How large the descriptions of classes begin, where a code is of size 1. As large as a code they speak louder than it,
for they say the same in every batch: a GAN of few images then made one picture of each class, whatever the code."""


class Condition(Drawable):
    """A learned description of each class, joined to a code; a number of the noise chooses the class.

    The description has as many numbers as the code (as Karras et al. 2020, arXiv 2006.06676, have it).
    """

    log_shares: Tensor
    """Of each class, [K]."""

    def __init__(self, classes: Classes, dimension: int) -> None:
        """For codes of `dimension` numbers."""
        super().__init__()
        self.count = len(classes.names)
        self.choice = Choice.of(classes.shares)
        self.embedding = nn.Embedding(self.count, dimension)
        log_shares = torch.tensor(classes.shares, dtype=torch.float64).log()
        self.register_buffer("log_shares", log_shares.to(torch.get_default_dtype()), persistent=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the descriptions: normal(0, SOFT)."""
        _draw(self.embedding, generator, SOFT)

    def joined(self, codes: Tensor, classes: Tensor) -> Tensor:
        """Codes [N, dimension] and classes [N] to [N, 2 * dimension]."""
        return torch.cat([codes, self.embedding(classes)], 1)

    def forward(self, noise: Tensor) -> Tensor:
        """Standard normal [N, dimension + 1], whose last number chooses, to the same."""
        return self.joined(noise[:, :-1], self.choice(noise[:, -1]))


def told(codes: Tensor, condition: Condition | None, classes: Tensor | None) -> Tensor:
    """Codes [N, dimension], joined by the descriptions of their classes [N] where there is a condition."""
    if condition is None:
        return codes
    assert classes is not None
    return condition.joined(codes, classes)


class Projected(Drawable):
    """A critic whose logit also has <v_y, features>, with a learned v_y for each class y.

    Miyato and Koyama 2018, arXiv 1802.05637, section 3.
    """

    def __init__(self, critic: Critic, count: int) -> None:
        """Of a critic, for `count` classes."""
        super().__init__()
        self.critic = critic
        last = critic.layers[-1]
        assert isinstance(last, nn.Linear)
        # The rows of its weights are the v_y.
        self.directions = nn.Linear(last.in_features, count, bias=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        self.critic.initialise(generator)
        initialise_by_fan_in(self.directions, generator)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """Images [N, C, S, S] of classes [N] to logits [N]."""
        features = self.critic.features(images)
        logits: Tensor = self.critic.layers[-1](features) + self.directions(features).gather(1, classes[:, None])
        return logits.squeeze(1)


class Joined(Drawable):
    """A critic that sees a learned picture of the class as a further channel of the image.

    Mirza and Osindero 2014, arXiv 1411.1784, section 3.2, where the class is a further input as well.
    """

    def __init__(self, critic: Critic, count: int, side: int) -> None:
        """Of a critic for one channel more than the images have, of `side` pixels; for `count` classes."""
        super().__init__()
        self.critic = critic
        self.side = side
        self.pictures = nn.Embedding(count, side**2)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        self.critic.initialise(generator)
        _draw(self.pictures, generator, 1.0)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """Images [N, C, S, S] of classes [N] to logits [N]."""
        pictures = self.pictures(classes).view(-1, 1, self.side, self.side)
        logits: Tensor = self.critic(torch.cat([images, pictures], 1))
        return logits


def _draw(embedding: nn.Embedding, generator: torch.Generator, std: float) -> None:
    if not embedding.weight.is_meta:
        nn.init.normal_(embedding.weight, std=std, generator=generator)
