"""The mixture that images are drawn from where codes do not lie as the prior says."""

import pytest
import torch
from torch import Tensor

from gen import exporting
from gen.autoencoder import Autoencoder
from gen.errors import BadParamsError
from gen.mixture import Mixture
from gen.noise import noise
from gen.training import fit
from gen.use import Model
from tests.gen.test_families import begun, config

SHARES = torch.tensor([0.5, 0.3, 0.2])
MEANS = torch.tensor([[-6.0, 0.0], [6.0, 1.0], [0.0, 8.0]])
FACTORS = torch.tensor([[[1.0, 0.0], [0.8, 0.3]], [[0.5, 0.0], [0.0, 0.5]], [[0.2, 0.0], [-0.1, 1.0]]])


def true() -> Mixture:
    mixture = Mixture(3, 2)
    mixture.choice.tell(SHARES)
    mixture.means.copy_(MEANS)
    mixture.factors.copy_(FACTORS)
    return mixture


def test_noise_becomes_codes_of_each_component_as_often_as_its_share() -> None:
    codes = true()(noise(20_000, 3, seed=0))
    nearest = torch.cdist(codes, MEANS).argmin(1)
    for component, share in enumerate(SHARES):
        own = codes[nearest == component]
        assert len(own) / len(codes) == pytest.approx(float(share), abs=0.02)
        torch.testing.assert_close(own.mean(0), MEANS[component], rtol=0, atol=0.06)
        wanted = FACTORS[component] @ FACTORS[component].T
        torch.testing.assert_close(torch.cov(own.T), wanted, rtol=0, atol=0.06)


def test_a_mixture_is_found_again_in_its_codes() -> None:
    found = Mixture(3, 2)
    found.fit(true()(noise(10_000, 3, seed=1)), seed=0)
    order = torch.cdist(MEANS, found.means).argmin(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    torch.testing.assert_close(found.means[order], MEANS, rtol=0, atol=0.1)
    covariances = found.factors @ found.factors.mT
    torch.testing.assert_close(covariances[order], FACTORS @ FACTORS.mT, rtol=0, atol=0.1)
    shares = torch.diff(torch.special.ndtr(found.choice.edges), prepend=torch.zeros(1), append=torch.ones(1))
    torch.testing.assert_close(shares[order], SHARES, rtol=0, atol=0.02)


def test_one_component_is_the_normal_of_the_codes() -> None:
    codes = true()(noise(500, 3, seed=2))
    one = Mixture(1, 2)
    one.fit(codes, seed=0)
    torch.testing.assert_close(one.means[0], codes.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        one.factors[0] @ one.factors[0].T, torch.cov(codes.T, correction=0), rtol=1e-4, atol=1e-4
    )


def test_unfitted_it_is_the_prior() -> None:
    drawn = noise(5, 4, seed=0)
    assert torch.equal(Mixture(7, 3)(drawn), drawn[:, :3])


def settled(name: str, **changes: object) -> tuple[Autoencoder, list[Tensor]]:
    """A VAE after a short training, its mixture fitted, and the batches it was fitted to."""
    training = begun(config(name, images=16 * 60, batch=16, learning_rate=0.003, components=2, **changes))
    for _ in fit(training):
        pass
    network = training.average.network
    assert isinstance(network, Autoencoder)
    batches = [training.batches.at(start)[0] for start in (0, 16, 32)]
    network.settle(batches)
    return network, batches


def test_images_are_drawn_where_the_codes_of_real_ones_lie() -> None:
    network, batches = settled("vae")
    moved = torch.tensor([5.0, 0.0, -3.0, 0.0])
    before = network.mixture(noise(2000, network.noise_dim, seed=0)).mean(0)  # type: ignore[misc]
    network.encoder.mean.bias.data += moved  # type: ignore[union-attr,operator]
    network.settle(batches)
    after = network.mixture(noise(2000, network.noise_dim, seed=0)).mean(0)  # type: ignore[misc]
    torch.testing.assert_close(after - before, moved, rtol=0, atol=0.1)


def test_behind_a_flow_the_codes_are_those_that_are_decoded() -> None:
    network, (images, *_) = settled("planar")
    drawn = torch.randn(len(images), network.latent_dim, generator=torch.Generator().manual_seed(0))
    codes = network._drawn(images, torch.Generator().manual_seed(0))
    nll, _ = network.evidence(images, drawn)
    assert torch.equal(network._nll(images, codes), nll)


def test_a_bound_is_that_of_the_prior_whatever_is_drawn_from() -> None:
    network, (images, *_) = settled("vae")
    plain, _ = settled("vae")
    plain.mixture = None
    drawn = noise(len(images), network.latent_dim, seed=0)
    for one, other in zip(network.evidence(images, drawn), plain.evidence(images, drawn), strict=True):
        assert torch.equal(one, other)


def test_codes_that_are_not_finite_leave_the_mixture_as_it_was() -> None:
    network, (images, *_) = settled("vae")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.settle([torch.full_like(images, torch.nan)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_it_is_exported_with_its_choice() -> None:
    network, _ = settled("vae")
    model = Model("mixed", "vae", "sample", "d", (1, 28, 28), network.eval(), "cpu", digest="")
    for kind in exporting.available():
        _, facts = exporting.exported(model, kind)
        assert facts["input"]["shape"] == ["N", network.latent_dim + 1]
        assert facts["difference"] <= exporting.TOLERANCE


def test_settling_changes_no_weight_and_repeats_to_the_bit() -> None:
    network, batches = settled("vae")
    weights = [weight.clone() for weight in network.parameters()]
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.settle(batches)
    assert all(torch.equal(*pair) for pair in zip(weights, network.parameters(), strict=True))
    assert all(torch.equal(tensor, first[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("components", [-1, 1001])
def test_an_impossible_number_of_components_names_the_key(components: int) -> None:
    with pytest.raises(BadParamsError, match=r"models\.vae\.components"):
        config("vae", components=components)


def test_as_many_images_as_components_are_needed() -> None:
    assert config("vae", components=300, batch=8).least_images == 300
    assert config("vae", components=3, batch=8).least_images == 8
    assert config("vae").least_images == 8
