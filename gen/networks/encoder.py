"""What every encoder of the VAE ends with: the numbers of the posterior, each kind from a layer of its own."""

from torch import Tensor, nn


class Encoder(nn.Module):
    """Images [N, C, H, W] to the posterior's mean and log-variance, [N, latent_dim] each, from separate layers."""

    def __init__(self, trunk: nn.Module, hidden: int, latent_dim: int, context: int) -> None:
        """`trunk` makes [N, hidden] of images; `context`: numbers that a flow takes of each image, 0 without a flow."""
        super().__init__()
        self.trunk = trunk
        self.mean = nn.Linear(hidden, latent_dim)
        self.log_variance = nn.Linear(hidden, latent_dim)
        self.context = nn.Linear(hidden, context) if context else None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images in [-1, 1] to (mean, log_variance) of q(z|x), and the context [N, context] where there is a flow."""
        hidden = self.trunk(images)
        heads = (self.mean, self.log_variance, self.context)
        return tuple(head(hidden) for head in heads if head is not None)
