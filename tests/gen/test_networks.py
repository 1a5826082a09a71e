"""Networks do what their papers say of them."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gen.families.trainer import frozen
from gen.networks import dcgan, mlp, resnet, spectral


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def constrained() -> dcgan.Discriminator:
    network = dcgan.Discriminator(1, 28, 4, batch_norm=False)
    network.initialise(seeded())
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


def test_a_dense_network_has_the_layers_that_it_is_told() -> None:
    generator, discriminator = mlp.Generator(100, 1, 28, [256, 512]), mlp.Discriminator(1, 28, [256, 512])
    for network, shapes in (
        (generator, [(256, 100), (512, 256), (784, 512)]),
        (discriminator, [(512, 784), (256, 512), (1, 256)]),
    ):
        assert [tuple(layer.weight.shape) for layer in network.layers if isinstance(layer, nn.Linear)] == shapes


@torch.no_grad()
def test_a_dense_network_passes_signals_on_as_large_as_they_are() -> None:
    generator, discriminator = mlp.Generator(256, 3, 17, [256] * 6), mlp.Discriminator(3, 17, [256] * 6)
    for network in (generator, discriminator):
        network.initialise(seeded())
    before_tanh = generator.layers[:-2](torch.randn(64, 256, generator=seeded(1)))
    assert 0.6 < float(before_tanh.square().mean()) < 1.6
    before_logit = discriminator.layers[:-1](torch.randn(64, 3, 17, 17, generator=seeded(1)))
    assert 0.6 < float(before_logit.square().mean()) < 1.6


@pytest.mark.parametrize("size", [28, 32, 64, pytest.param(128, marks=pytest.mark.long)])
@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_residual_networks_begin_as_chains_whose_signals_neither_grow_nor_die(size: int, channels: int) -> None:
    generator, discriminator = resnet.Generator(32, channels, size, 8, 2), resnet.Discriminator(channels, size, 8, 2)
    for network in (generator, discriminator):
        network.initialise(seeded())
        blocks = [block for block in network.modules() if isinstance(block, resnet.Block)]
        maps = torch.randn(2, blocks[0].first.in_channels, 4, 4, generator=seeded())
        assert torch.equal(blocks[0](maps), maps)
    images = generator(torch.randn(16, 32, generator=seeded(1)))
    assert images.shape == (16, channels, size, size)
    assert 0.1 < float(images.std()) < 1
    # Of one colour each: resampling leaves them as they are.
    colours = torch.randn(256, channels, 1, 1, generator=seeded(1)).expand(-1, -1, size, size)
    features, logits = discriminator.layers[:-2](colours), discriminator(colours)
    assert logits.shape == (256,)
    assert 0.2 < float(features.square().mean()) < 5
    torch.testing.assert_close(discriminator(colours[:1]), logits[:1])  # no image's logit hangs on the others


def test_residual_networks_resample_bilinearly() -> None:
    maps = torch.randn(2, 4, 8, 8, generator=seeded())
    up = next(layer for layer in resnet.Generator(4, 1, 8, 4, 1).layers if isinstance(layer, nn.Upsample))
    down = next(layer for layer in resnet.Discriminator(1, 8, 4, 1).layers if isinstance(layer, nn.AvgPool2d))
    torch.testing.assert_close(up(maps), interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False))
    torch.testing.assert_close(down(maps), interpolate(maps, scale_factor=0.5, mode="bilinear", align_corners=False))
    narrow = nn.Conv2d(4, 2, 1, bias=False)
    torch.testing.assert_close(narrow(up(maps)), up(narrow(maps)))
