"""A mixture of normals fitted to codes: what images are drawn from where codes do not lie as the prior says.

Ex-post density estimation (Ghosh et al. 2020, arXiv 1903.12436, section 4).
"""

import torch
from torch import Tensor, nn

from gen.choice import Choice

REGULAR = 1e-6
"""Added to every variance, so that a component on few codes keeps one."""


class Mixture(nn.Module):
    """K normals over codes [d]. It has no weights: its shares, means and factors of covariances are buffers."""

    means: Tensor
    factors: Tensor

    def __init__(self, components: int, dimension: int) -> None:
        """All of them standard normals, until they are fitted."""
        super().__init__()
        self.choice = Choice(components)
        self.register_buffer("means", torch.zeros(components, dimension))
        self.register_buffer("factors", torch.eye(dimension).repeat(components, 1, 1))

    def forward(self, noise: Tensor) -> Tensor:
        """Standard normal [N, d + 1] to codes [N, d]; the last number chooses the component."""
        chosen = self.choice(noise[:, -1])
        codes: Tensor = self.means[chosen] + (self.factors[chosen] @ noise[:, :-1, None]).squeeze(2)
        return codes

    @torch.no_grad()
    def fit(self, codes: Tensor, seed: int) -> None:
        """Become the mixture that makes codes [N, d] likely, N at least K: by EM, from starts that `seed` draws."""
        from sklearn.mixture import GaussianMixture

        fitted = GaussianMixture(
            len(self.means), init_params="k-means++", max_iter=200, reg_covar=REGULAR, random_state=seed
        ).fit(codes.double().cpu().numpy())
        self.choice.tell(torch.from_numpy(fitted.weights_))
        self.means.copy_(torch.from_numpy(fitted.means_))
        self.factors.copy_(torch.linalg.cholesky(torch.from_numpy(fitted.covariances_)))
