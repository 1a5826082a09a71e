"""GANs with all that they may remember: a training that is broken off goes on to the same bytes."""

from pathlib import Path

import pytest

from gen import artifact, config, files, unfinished, use
from gen.errors import LeftError
from gen.exporting import export
from gen.steps import train as step
from gen.workspace import Workspace
from tests.gen import fabricated

COMMON = """, dataset: digits, init: random, latent_dim: 8, images: 160, batch: 8, learning_rate: 0.001,
          log_every: 16, checkpoint_every: 64, ema_half_life: 50"""
BLOCKS = {
    "spectral": "network: dcgan, width: 4, norm: spectral, loss: hinge, discriminator_steps: 2, "
    "discriminator_learning_rate: 0.002, augment: [colour, translation, cutout], augment_target: 0.6",
    "dense": "network: mlp, widths: [16, 32], loss: wasserstein, gradient_penalty: 10, augment: [translation]",
    "projected": "network: dcgan, width: 4, norm: spectral, loss: hinge, discriminator_steps: 2, classes: projection",
    "pictured": "network: resnet, width: 2, blocks: 1, loss: relativistic, r1: 1, r2: 1, classes: embedding",
    "residual": "network: resnet, width: 2, blocks: 1, loss: relativistic, r1: 1, r2: {value: 1, to: 0.1}",
}


def workspace(root: Path, name: str) -> Workspace:
    made, _ = fabricated.workspace(root)
    head, _, rest = fabricated.PARAMS.partition("models:\n")
    judge = rest[rest.index("judge:") :]
    files.write(made.params_file, f"{head}models:\n  dcgan: {{family: gan, {BLOCKS[name]}{COMMON}}}\n{judge}")
    return made


def train(made: Workspace, leave_after: int = 10**9) -> None:
    asked = iter(range(10**9))
    params = config.load(made.params_file)
    step.train(made, params, "dcgan", code={}, say=lambda _: None, leaving=lambda: next(asked) >= leave_after)


@pytest.mark.parametrize("name", BLOCKS)
def test_it_goes_on_to_the_same_bytes_and_is_published(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = workspace(tmp_path / "whole", name), workspace(tmp_path / "broken", name)
    train(whole)
    monkeypatch.setattr(unfinished, "INTERVAL", 0.0)
    for steps in (1, 0, 2):
        with pytest.raises(LeftError):
            train(broken, leave_after=steps)
    train(broken)
    digests = [files.manifest_digest(made.train("dcgan")) for made in (whole, broken)]
    assert digests[0] == digests[1]
    images = artifact.load(whole.train("dcgan")).generate(3, seed=0)
    assert images.shape == (3, 16, 16, 1)
    exported = export(use.load(whole.train("dcgan")), "torch", tmp_path / "generator.pt2")
    assert exported["difference"] < 1e-5
