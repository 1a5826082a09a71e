"""The one contract of all families: shapes, range, same seed same bytes, learning, configuration."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gen import families
from gen.classes import Labels
from gen.config import Dataset
from gen.errors import UserError
from gen.families.base import ModelConfig, Reconstructor, Sampler, Translator
from gen.families.cyclegan import ImagePool
from gen.images import Pixels
from gen.networks import pyramid
from gen.noise import noise
from gen.parallel import ALONE
from gen.training import Average, Record, Training, begin, fit

BLOCKS: dict[str, dict[str, Any]] = {
    "gan": {"network": "dcgan", "latent_dim": 8, "width": 4},
    "penalised": {
        "family": "gan", "network": "dcgan", "width": 4, "norm": "none",
        "loss": "relativistic", "r1": 1.0, "r2": 1.0,
    },
    "spectral": {
        "family": "gan", "network": "dcgan", "width": 4, "norm": "spectral", "loss": "hinge",
        "discriminator_steps": 2, "discriminator_learning_rate": 0.002,
        "augment": ["colour", "translation", "cutout"], "augment_target": 0.6,
    },
    "dense": {
        "family": "gan", "network": "mlp", "latent_dim": 8, "widths": [16, 32],
        "gradient_penalty": 10.0, "learning_rate": 0.0002,
    },
    "residual": {
        "family": "gan", "network": "resnet", "latent_dim": 8, "width": 2, "blocks": 1,
        "loss": "relativistic", "r1": 1.0, "r2": 1.0,
    },
    "projected": {
        "family": "gan", "network": "dcgan", "latent_dim": 8, "width": 4, "norm": "spectral", "classes": "projection",
        "discriminator_steps": 2, "augment": ["translation"],
    },
    "paired": {
        "family": "gan", "network": "resnet", "latent_dim": 8, "width": 2, "blocks": 1, "classes": "projection",
        "loss": "relativistic", "r1": 1.0, "r2": 1.0,
    },
    "pictured": {
        "family": "gan", "network": "mlp", "latent_dim": 8, "widths": [16, 32], "classes": "embedding",
        "gradient_penalty": 10.0, "learning_rate": 0.0002,
    },
    "vae": {"network": "convolutional", "latent_dim": 4, "width": 4},
    "gaussian": {"family": "vae", "network": "convolutional", "width": 4, "likelihood": "gaussian"},
    "dense-vae": {
        "family": "vae", "network": "mlp", "latent_dim": 4, "widths": [16, 8],
        "free_bits": 0.02, "binarisation": "static",
    },
    "mixed": {"family": "vae", "network": "convolutional", "latent_dim": 4, "width": 4, "components": 3},
    "logistic": {"family": "vae", "network": "convolutional", "width": 4, "likelihood": "discretised-logistic"},
    "planar": {
        "family": "vae", "network": "convolutional", "latent_dim": 3, "width": 4, "posterior": "planar", "flows": 2,
    },
    "weighted": {
        "family": "vae", "network": "mlp", "latent_dim": 5, "widths": [16], "binarisation": "dynamic",
        "importance_samples": 3, "posterior": "iaf", "flows": 2, "flow_width": 12,
        "beta": {"value": 1, "warm_up": 0.25},
    },
    "conditional-vae": {
        "family": "vae", "network": "convolutional", "latent_dim": 4, "width": 4, "classes": "embedding",
        "free_bits": 0.02,
    },
    "conditional-flow": {
        "family": "vae", "network": "mlp", "latent_dim": 3, "widths": [16], "classes": "embedding",
        "importance_samples": 2, "posterior": "planar", "flows": 2,
    },
    "cyclegan": {"network": "translator", "width": 2, "blocks": 1, "halvings": 1, "pool": 4},
    "unet": {"family": "cyclegan", "network": "unet", "width": 2, "halvings": 1, "pool": 4},
}  # fmt: skip
COMMON = {
    "dataset": "d",
    "init": "random",
    "images": 64,
    "batch": 8,
    "learning_rate": 0.001,
    "ema_half_life": 16,
    "log_every": 16,
}


def config(name: str, **changes: Any) -> ModelConfig:
    return families.parse_block({"family": name, **COMMON, **BLOCKS[name], **changes}, f"models.{name}")


def ramps(settings: ModelConfig, shape: tuple[int, int, int] = (1, 28, 28)) -> list[Pixels]:
    """Images of different brightness for each of the domains that a model trains on."""
    rng = np.random.default_rng(0)
    domains = 2 if settings.task == "translate" else 1
    ramp = np.linspace(0, 1, shape[2])[None, None, :, None] * np.ones((1, shape[1], 1, shape[0]))
    return [(rng.integers(64, 256, (16, 1, 1, 1)) * ramp).astype(np.uint8) for _ in range(domains)]


def labels(settings: ModelConfig) -> Labels | None:
    """Of those that know classes: the brighter ones of the images."""
    if not settings.conditional:
        return None
    return Labels(["dark", "bright"], (ramps(settings)[0].max((1, 2, 3)) > 159).astype(np.int64))


def built(settings: ModelConfig, shape: tuple[int, int, int]) -> nn.Module:
    """The published network, before its training."""
    known = labels(settings)
    return settings.build(shape, torch.Generator().manual_seed(0), known.classes if known else None)


def begun(settings: ModelConfig, shape: tuple[int, int, int] = (1, 28, 28)) -> Training:
    """A training on them, before its first step."""
    return begin(settings, shape, ramps(settings, shape), ALONE, "float32", labels(settings))


def train(settings: ModelConfig, shape: tuple[int, int, int]) -> tuple[nn.Module, list[Record]]:
    training = begun(settings, shape)
    records = [moment.record for moment in fit(training) if moment.record]
    return training.average.network, records


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_images_have_the_shape_and_range_of_the_data(name: str, shape: tuple[int, int, int]) -> None:
    network = built(config(name), shape).eval()
    pictures = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made: list[Tensor] = []
    if isinstance(network, Sampler):
        made.append(network.sample(noise(3, network.noise_dim, seed=0)))
    if isinstance(network, Reconstructor):
        made.append(network.reconstruct(pictures))
        nll, kl = network.evidence(pictures, noise(3, network.latent_dim, seed=0))
        assert nll.shape == kl.shape == (3,)
        assert (kl >= 0).all() or name in ("planar", "weighted", "conditional-flow"), "of one sample it is an estimate"
        assert network.log_weights(pictures, noise(6, network.latent_dim, seed=0).view(3, 2, -1)).shape == (3, 2)
        assert network.codes(pictures).shape == (3, network.latent_dim)
    if isinstance(network, Translator):
        made += [network.translate(pictures), network.translate_back(pictures)]
    assert made
    for images in made:
        assert images.shape == (3, *shape)
        assert images.abs().max() <= 1


@pytest.mark.parametrize("name", BLOCKS)
def test_same_seed_same_bytes_whatever_else_draws(name: str) -> None:
    first, records = train(config(name), (1, 28, 28))
    torch.rand(7)  # the global generator is no one's
    second, again = train(config(name), (1, 28, 28))
    other, _ = train(config(name, seed=50), (1, 28, 28))
    assert records == again
    state, repeated, different = (network.state_dict() for network in (first, second, other))
    assert all(torch.equal(state[key], repeated[key]) for key in state)
    assert not all(torch.equal(state[key], different[key]) for key in state)


@pytest.mark.parametrize("name", ["vae", "gaussian", "dense-vae", "logistic", "planar", "weighted", "conditional-vae"])
def test_a_vae_learns_one_batch(name: str) -> None:
    _, records = train(config(name, images=16 * 200, batch=16, learning_rate=0.003, log_every=16), (1, 28, 28))
    assert records[-1].losses["nll"] < 0.95 * records[0].losses["nll"]


@pytest.mark.parametrize(("name", "apart"), [("gan", 1), ("dense", 0.1), ("residual", 1)])
def test_a_discriminator_learns_to_tell_noise_from_a_generator(name: str, apart: float) -> None:
    _, records = train(config(name, images=16 * 60, batch=16, discriminator_learning_rate=0.003), (1, 28, 28))
    assert records[-1].losses["real_logit"] > records[-1].losses["fake_logit"] + apart


@pytest.mark.parametrize("bound", [{"norm": "spectral"}, {"norm": "none", "gradient_penalty": 10}])
def test_a_critic_of_bounded_slope_tells_noise_from_a_generator(bound: dict[str, Any]) -> None:
    rates = {"learning_rate": 1e-6, "discriminator_learning_rate": 0.001}
    settings = config("gan", loss="wasserstein", **bound, **rates, images=16 * 60, batch=16)
    _, records = train(settings, (1, 28, 28))
    # No two images are further apart than 56; under spectral norm a strided convolution stretches by up to 2.
    assert -56 * 4 < records[-1].losses["discriminator"] < -0.1
    assert begun(settings).trainer.signs({"real_logit": 30.0, "fake_logit": 0.0}) == []


def test_a_translator_learns_to_come_back() -> None:
    _, records = train(config("cyclegan", images=8 * 150, batch=8, learning_rate=0.003), (1, 28, 28))
    assert records[-1].losses["cycle"] < 0.8 * records[0].losses["cycle"]


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("gan", {"latent": 3}, r"models\.gan\.latent` is not a known key. Did you mean `latent_dim`"),
        ("gan", {"latent_dim": "64"}, r"models\.gan\.latent_dim` is '64', but .*integer"),
        ("gan", {"loss": "non-saturatin"}, "Did you mean `non-saturating`"),
        ("gan", {"r1": 1.0}, "batch norm does not go with r1"),
        ("gan", {"loss": "relativistic"}, "batch norm does not go with"),
        ("gan", {"gradient_penalty": 10.0}, "batch norm does not go with .*gradient_penalty"),
        ("gan", {"loss": "wasserstein"}, "wasserstein loss needs .*set `gradient_penalty: 10` and norm to `none`"),
        ("penalised", {"loss": "wasserstein", "r1": 0}, "wasserstein loss needs"),
        ("penalised", {"loss": "wasserstein", "r1": {"value": 1, "to": 0}}, "wasserstein loss needs"),
        ("dense", {"width": 4}, "`network: mlp` has no `width`; remove it. It has: widths, norm"),
        ("gan", {"blocks": 2}, "`network: dcgan` has no `blocks`"),
        ("residual", {"widths": [4]}, "`network: resnet` has no `widths`"),
        ("dense", {"widths": [0]}, r"widths\.0` is 0"),
        ("dense", {"widths": []}, r"widths` is \[\]"),
        ("dense", {"norm": "batch"}, "`norm: batch` does not go with `network: mlp`"),
        ("residual", {"norm": "spectral"}, "`norm: spectral` does not go with `network: resnet`"),
        ("gan", {"network": "resmet"}, "Did you mean `resnet`"),
        ("gan", {"augment": ["colours"]}, "Did you mean `colour`"),
        (
            "gan",
            {"augment": ["colour", "cutout", "colour"]},
            r"models\.gan\.augment`: it is \['colour', 'cutout', 'colour'\], .* set it to \['colour', 'cutout'\]",
        ),
        ("gan", {"augment_target": 0.6}, "`augment_target` goes with `augment`"),
        ("spectral", {"loss": "least-squares"}, "`augment_target` goes with .* the losses non-saturating and hinge"),
        ("gan", {"classes": "projected"}, "Did you mean `projection`"),
        ("gan", {"discriminator_steps": 0}, r"discriminator_steps` is 0"),
        ("gan", {"discriminator_learning_rate": 0}, r"discriminator_learning_rate`: it must be greater than 0"),
        ("gan", {"beta2": 1.0}, "`beta2` must stay below 1"),
        ("gan", {"beta2": {"value": 0.9, "to": 1.5}}, "`beta2` must stay below 1"),
        ("gan", {"ema_half_life": {"value": 0, "to": 100}}, "cannot grow from 0"),
        ("gan", {"batch": 0}, r"models\.gan\.batch` is 0"),
        ("vae", {"learning_rate": -1.0}, r"models\.vae\.learning_rate`: it is -1"),
        ("vae", {"family": "vea"}, "Did you mean `vae`"),
        ("vae", {"network": "mpl"}, "Did you mean `mlp`"),
        ("vae", {"network": "mlp"}, "network `mlp` needs `widths`"),
        ("vae", {"widths": [400]}, "no other network takes them"),
        ("dense-vae", {"widths": [0]}, r"models\.dense-vae\.widths\.0` is 0"),
        ("dense-vae", {"width": 16}, "network `mlp` knows no `width`"),
        ("vae", {"binarisation": "dynamical"}, "Did you mean `dynamic`"),
        ("gaussian", {"binarisation": "static"}, "`binarisation` static needs the likelihood bernoulli"),
        ("vae", {"classes": "projection"}, r"models\.vae\.classes` is 'projection'. Valid: none, embedding"),
        ("mixed", {"classes": "embedding"}, "cannot choose both a component and a class; set it to 0"),
        ("vae", {"posterior": "planar"}, "needs `flows`"),
        ("vae", {"flows": 3}, "diagonal has none"),
        ("vae", {"posterior": "iaf", "flows": 3}, "iaf needs `flow_width`"),
        ("planar", {"flow_width": 3}, "no other posterior takes it"),
        ("dense-vae", {"importance_samples": 5}, "`free_bits` needs the KL of each latent"),
        ("planar", {"free_bits": 0.5}, "`free_bits` needs the KL of each latent"),
        ("cyclegan", {"network": "dcgan"}, r"models\.cyclegan\.network` is 'dcgan'"),
    ],
)
def test_an_impossible_config_names_the_key_and_the_way_out(name: str, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        config(name, **changes)


def test_a_dataset_that_does_not_fit_is_refused_before_training() -> None:
    digits = Dataset(source={"kind": "mnist-5k"}, size=28, channels=1, extractor="d")
    drawings = Dataset(source={"kind": "derived"}, size=28, channels=1, extractor="d")
    odd = Dataset(source={"kind": "folder"}, size=50, channels=3, extractor="d")
    with pytest.raises(UserError, match="1 domain, but family `cyclegan` needs 2"):
        config("cyclegan").check_dataset(digits, "models.c")
    with pytest.raises(UserError, match="2 domains, but family `vae` needs 1"):
        config("vae").check_dataset(drawings, "models.v")
    for network in ("gan", "residual"):
        with pytest.raises(UserError, match="50 px cannot be halved"):
            config(network).check_dataset(odd, "models.g")
    config("dense").check_dataset(odd, "models.g")
    config("dense-vae", binarisation="none").check_dataset(odd, "models.d")
    config("vae", binarisation="static").check_dataset(digits, "models.v")
    with pytest.raises(UserError, match="`models.v.binarisation` is dynamic, but `d` has images in colour"):
        config("dense-vae", binarisation="dynamic").check_dataset(odd, "models.v")


def test_noise_of_an_image_depends_on_seed_and_place_alone() -> None:
    every = noise(10, 4, seed=3)
    assert torch.equal(every[6:], noise(4, 4, seed=3, start=6))
    assert not torch.equal(every, noise(10, 4, seed=4))
    assert abs(float(noise(2000, 4, seed=0).std()) - 1) < 0.03


def test_an_average_halves_a_weight_in_its_half_life() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 0.0)
    average = Average(layer, config("vae", ema_half_life=100))
    nn.init.constant_(layer.weight, 1.0)
    for _ in range(10):
        average.update(10, progress=0)
    torch.testing.assert_close(average.network.weight.item(), 0.5)


def test_the_pool_gives_back_older_images_about_half_of_the_time() -> None:
    pool = ImagePool(10, (1, 1, 1), torch.Generator().manual_seed(0), torch.device("cpu"))
    older = 0
    for number in range(1, 501):
        given = float(pool.exchange(torch.full((1, 1, 1, 1), float(number))))
        older += given < number
    assert 200 < older < 290
    assert (pool.images > 0).all()


@pytest.mark.parametrize(("size", "expected"), [(28, (7, 2)), (32, (4, 3)), (64, (4, 4)), (128, (4, 5)), (48, (6, 3))])
def test_pyramids(size: int, expected: tuple[int, int]) -> None:
    assert pyramid(size) == expected
