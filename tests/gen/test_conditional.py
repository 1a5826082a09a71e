"""Networks that know classes: what is told of them is what the papers say, and what is asked for is what is made."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gen import families
from gen.choice import Choice
from gen.classes import LETTERS, MOST, Classes, Labels
from gen.errors import UserError
from gen.families.base import Sampler
from gen.families.gan import GanTrainer
from gen.networks import conditional, dcgan, mlp, resnet, spectral
from gen.networks.conditional import Condition
from gen.noise import noise
from gen.parallel import ALONE
from gen.training import Training, begin, fit
from tests.gen import test_families

CLASSES = Classes(names=("dark", "grey", "bright"), shares=(0.25, 0.25, 0.5))
IMAGES = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 2 - 1
OF = torch.tensor([2, 0, 1, 2])
CRITICS = {
    "dcgan": lambda channels: dcgan.Discriminator(channels, 28, 4, batch_norm=False),
    "mlp": lambda channels: mlp.Discriminator(channels, 28, [8, 6]),
    "resnet": lambda channels: resnet.Discriminator(channels, 28, 2, 1),
}


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", CRITICS)
def test_a_projection_adds_the_product_of_the_features_and_the_direction_of_the_class(name: str) -> None:
    critic = CRITICS[name](1)
    network = conditional.Projected(critic, 3)
    network.initialise(seeded())
    expected = critic(IMAGES) + torch.stack(
        [network.directions.weight[of] @ features for of, features in zip(OF, critic.features(IMAGES), strict=True)]
    )
    torch.testing.assert_close(network(IMAGES, OF), expected)
    with torch.no_grad():
        network.directions.weight.zero_()
    torch.testing.assert_close(network(IMAGES, OF), critic(IMAGES))


@pytest.mark.parametrize("name", CRITICS)
def test_a_picture_of_the_class_is_one_channel_more(name: str) -> None:
    critic = CRITICS[name](2)
    network = conditional.Joined(critic, 3, 28)
    network.initialise(seeded())
    pictures = network.pictures.weight[OF].reshape(4, 1, 28, 28)
    torch.testing.assert_close(network(IMAGES, OF), critic(torch.cat([IMAGES, pictures], 1)))
    assert not torch.allclose(network(IMAGES, OF), network(IMAGES, OF.roll(1)))


def test_under_spectral_norm_the_directions_are_bounded_too() -> None:
    network = conditional.Projected(CRITICS["dcgan"](1), 3)
    network.initialise(seeded())
    spectral.constrain(network, seeded())
    assert isinstance(network.directions, nn.Linear)
    torch.testing.assert_close(
        float(torch.linalg.svdvals(network.directions.weight.detach())[0]), 1.0, rtol=0.05, atol=0
    )


def test_the_last_number_of_the_noise_joins_the_description_of_its_class() -> None:
    condition = Condition(CLASSES, 5)
    condition.initialise(seeded())
    drawn = noise(400, 6, seed=0)
    joined = condition(drawn)
    chosen = condition.choice(drawn[:, -1])
    assert torch.equal(joined[:, :5], drawn[:, :5])
    assert torch.equal(joined[:, 5:], condition.embedding.weight[chosen])
    assert torch.equal(joined, condition.joined(drawn[:, :5], chosen))
    # Five standard errors of the largest.
    torch.testing.assert_close(
        torch.bincount(chosen) / 400, torch.tensor(CLASSES.shares), rtol=0, atol=5 * (0.25 / 400) ** 0.5
    )
    assert list(condition.state_dict()) == ["embedding.weight"], "shares stand in the config"


@pytest.mark.parametrize("name", ["projected", "paired", "pictured"])
def test_real_and_generated_images_are_judged_as_of_the_class_of_the_real_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = test_families.begun(test_families.config(name))
    trainer = training.trainer
    assert isinstance(trainer, GanTrainer)
    made, judged = watch(trainer, monkeypatch)
    training.step()
    asked = training.batches.at(0)[1].chunk(training.batches.updates)
    assert [of.tolist() for of in made] == [of.tolist() for of in asked]
    # Each update of the discriminator judges both, and the penalty what lies between; then the generator's update.
    assert {tuple(of.tolist()) for of in judged} == {tuple(of.tolist()) for of in asked}
    assert torch.equal(judged[-1], asked[-1])


def watch(trainer: GanTrainer, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], list[Tensor]]:
    """The classes that images are made of, and those that they are judged as, from now on."""
    made: list[Tensor] = []
    judged: list[Tensor] = []
    for told, module in ((made, trainer.generator), (judged, trainer.discriminator)):
        name = "of" if told is made else "forward"
        plain = getattr(module, name)

        def spied(first: Tensor, classes: Tensor, told: Any = told, plain: Any = plain) -> Tensor:
            told.append(classes)
            result: Tensor = plain(first, classes=classes)
            return result

        monkeypatch.setattr(module, name, spied)
    return made, judged


def toy(block: dict[str, Any]) -> Training:
    """On plain images that are nearly black, or nearly white three times as often, by their class."""
    rng = np.random.default_rng(0)
    each = (rng.random(256) < 0.75).astype(np.int64)
    pixels = (each * 200 + rng.integers(0, 56, 256))[:, None, None, None] * np.ones((1, 8, 8, 1))
    common = {"dataset": "d", "init": "random", "batch": 32}
    settings = families.parse_block({**common, **block}, "models.toy")
    return begin(settings, (1, 8, 8), [pixels.astype(np.uint8)], ALONE, "float32", Labels(["dark", "bright"], each))


GAN = {"family": "gan", "network": "mlp", "latent_dim": 4, "widths": [32, 32], "images": 32 * 300}
TOYS = {
    kind: {**GAN, "classes": kind, "loss": "relativistic", "r1": 0.1, "r2": 0.1, "learning_rate": 0.002, "beta1": 0.0}
    for kind in ("projection", "embedding")
}
TOYS["vae"] = {
    "family": "vae", "network": "mlp", "latent_dim": 4, "widths": [32], "images": 32 * 200, "learning_rate": 0.003,
    "classes": "embedding",
}  # fmt: skip


@pytest.mark.parametrize("name", TOYS)
def test_a_short_training_learns_what_each_class_looks_like(name: str) -> None:
    training = toy(TOYS[name])
    for _ in fit(training):
        pass
    network = training.average.network.eval()
    assert isinstance(network, Sampler)
    choice = Choice.of([1 / 4, 3 / 4])
    drawn = noise(64, network.noise_dim, seed=0)
    with torch.no_grad():
        for thing, sign in ((0, -1), (1, 1)):
            drawn[:, -1] = choice.number(thing)
            means = network.sample(drawn).mean((1, 2, 3))
            assert (sign * means > 0).float().mean() > 0.95, means


def test_shares_are_those_of_the_images() -> None:
    labels = Labels(["a", "b", "c"], np.array([0, 2, 2, 2]))
    assert labels.classes == Classes(names=("a", "b", "c"), shares=(0.25, 0, 0.75))


@pytest.mark.parametrize(
    "names", [[str(number) for number in range(MOST + 1)], ["a" * LETTERS, "b"]], ids=["too many", "too long"]
)
def test_more_classes_than_a_model_may_know_are_refused(names: list[str]) -> None:
    with pytest.raises(UserError, match="a model may know 5,000 classes and 100,000 letters"):
        _ = Labels(names, np.arange(len(names))).classes
