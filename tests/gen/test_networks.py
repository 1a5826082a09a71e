"""Networks do what their papers say of them."""

import copy

import torch
from torch import Tensor, nn

from gen.families.trainer import frozen
from gen.networks import dcgan, initialise, spectral


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def constrained() -> dcgan.Discriminator:
    network = dcgan.Discriminator(1, 28, 4, "spectral")
    initialise(network, seeded())
    spectral.constrain(network, seeded())
    return network


def largest(network: nn.Module) -> list[float]:
    """The largest singular value of each layer, by a decomposition."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return [float(torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]) for layer in layers]


def buffers(network: nn.Module) -> list[Tensor]:
    return [buffer.clone() for buffer in network.buffers()]


def test_under_spectral_norm_every_layer_has_the_largest_singular_value_one() -> None:
    network = constrained()
    torch.testing.assert_close(largest(network), [1.0] * 3, rtol=0.05, atol=0)
    for _ in range(200):
        spectral.advance(network)
    torch.testing.assert_close(largest(network), [1.0] * 3, rtol=1e-4, atol=0)


def test_spectral_norm_follows_its_weight() -> None:
    network = constrained()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("original"):
                weight.mul_(-3)
    torch.testing.assert_close(largest(network), [1.0] * 3, rtol=0.05, atol=0)


def test_the_gradient_of_spectral_norm_is_that_of_the_quotient() -> None:
    weight = torch.randn(3, 4, dtype=torch.float64, generator=seeded()).requires_grad_()
    norm = spectral.SpectralNorm(weight.float(), seeded()).double()
    for _ in range(200):
        norm.iterate(weight)
    made = norm(weight).square().sum()
    expected = weight.square().sum() / torch.linalg.svdvals(weight)[0] ** 2
    torch.testing.assert_close(made, expected)
    (gradient,), (quotient,) = (torch.autograd.grad(value, weight) for value in (made, expected))
    torch.testing.assert_close(gradient, quotient)


def test_a_pass_moves_nothing_and_an_update_moves_the_vectors() -> None:
    network, images = constrained(), torch.rand(2, 1, 28, 28, generator=seeded())
    before = buffers(network)
    with frozen(network):
        network(images).sum()
    with torch.autocast("cpu", torch.bfloat16):
        network(images).sum().backward()
    assert all(torch.equal(one, other) for one, other in zip(before, buffers(network), strict=True))
    spectral.advance(network)
    assert not all(torch.equal(one, other) for one, other in zip(before, buffers(network), strict=True))


def test_a_constrained_network_takes_the_state_of_another() -> None:
    network, images = constrained(), torch.rand(2, 1, 28, 28, generator=seeded())
    other = copy.deepcopy(network)
    with torch.no_grad():
        for tensor in other.state_dict().values():
            tensor.add_(1)
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(images), other(images))
