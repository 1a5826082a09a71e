"""In bfloat16 a training repeats to the bit, goes the way of float32, and keeps in float32 what must be."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gen import config
from gen.families.trainer import Trainer
from gen.steps.train import train
from gen.training import Training, fit
from tests.gen import fabricated, test_families
from tests.gen.test_families import BLOCKS, begun
from tests.gen.test_training import GOLDEN

SUPPORTED = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
needs_bfloat16 = pytest.mark.skipif(not SUPPORTED, reason="this processor has no instructions for bfloat16")


def reduced(name: str) -> Training:
    training = begun(test_families.config(name, images=160, log_every=8))
    training.trainer.precision = "bfloat16"
    return training


@needs_bfloat16
@pytest.mark.parametrize("name", BLOCKS)
def test_it_goes_the_way_of_float32_and_repeats_to_the_bit(name: str) -> None:
    trainings = [reduced(name), reduced(name)]
    curves = [
        [next(iter(moment.record.losses.values())) for moment in fit(training) if moment.record]
        for training in trainings
    ]
    assert curves[0] == curves[1]
    assert curves[0] != GOLDEN[name]
    assert curves[0] == pytest.approx(GOLDEN[name], rel=0.1)
    assert {tensor.dtype for tensor in trainings[0].tensors().values() if tensor.is_floating_point()} == {torch.float32}


@needs_bfloat16
def test_penalties_are_of_passes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    run = Trainer.run

    def watched(self: Trainer, network: object, batch: Tensor, *, precise: bool = False) -> Tensor:
        seen.append(precise)
        return run(self, network, batch, precise=precise)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "run", watched)
    reduced("penalised").step()
    # The generator; the discriminator on both sides with R1 and R2; and in the generator's update.
    assert seen == [False, True, True, False, False]


@needs_bfloat16
def test_params_choose_it(tmp_path: Path) -> None:
    workspace, _ = fabricated.workspace(tmp_path)
    weights = []
    for precision in ("float32", "bfloat16"):
        changed = fabricated.PARAMS.replace("machine: {", f"machine: {{precision: {precision}, ")
        workspace.params_file.write_text(changed)
        train(workspace, config.load(workspace.params_file), "vae", code={}, say=lambda _: None)
        weights.append((workspace.train("vae") / "model.safetensors").read_bytes())
    assert weights[0] != weights[1]


def test_where_it_would_be_slower_it_is_refused(tmp_path: Path) -> None:
    fabricated.workspace(tmp_path)
    (tmp_path / "dvc.yaml").touch()
    params = fabricated.PARAMS.replace("machine: {", "machine: {precision: bfloat16, ")
    (tmp_path / "params.yaml").write_text(params)
    # As on a processor that has no instructions for it.
    program = "from gen import __main__; __main__._has_bfloat16 = lambda _: False; "
    program += "raise SystemExit(__main__.main(['train', 'vae']))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "`machine.precision` is bfloat16, but this machine's cpu has no instructions for it" in done.stderr
