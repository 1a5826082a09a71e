"""Exported files: what they compute is what the model computes, and they hold nothing else."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gen import config, exporting, files, use
from gen.errors import UserError
from gen.use import Model
from tests.gen import fabricated

MODELS = ("dcgan", "resnet", "mlp", "vae", "edges2digits", "unet")
MORE = """\
models:
  resnet: {family: gan, dataset: digits, network: resnet, init: random, latent_dim: 8, width: 4, blocks: 1,
           images: 32, batch: 16, learning_rate: 0.0002}
  mlp: {family: gan, dataset: digits, network: mlp, init: random, latent_dim: 8, widths: [16, 32],
        images: 32, batch: 16, learning_rate: 0.0002}
  unet: {family: cyclegan, dataset: edges2digits, network: unet, init: random, width: 4, halvings: 1,
         images: 8, batch: 4, learning_rate: 0.0004}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    made, _ = fabricated.workspace(tmp_path_factory.mktemp("workspace"))
    files.write(made.params_file, fabricated.PARAMS.replace("models:\n", MORE))
    for model in MODELS:
        fabricated.trained(made, config.load(made.params_file), model)
    return {model: use.load(made.train(model)) for model in MODELS}


def own(model: Model, inputs: torch.Tensor, *, back: bool = False) -> NDArray[np.float32]:
    """What the model itself makes of inputs."""
    network = model.network
    what = "sample" if model.task == "sample" else "translate_back" if back else "translate"
    with torch.no_grad():
        return np.asarray(getattr(network, what)(inputs).numpy())


@pytest.mark.parametrize("name", MODELS)
def test_torchs_file_computes_the_same_for_any_number_and_holds_no_pickle(
    models: dict[str, Model], name: str, tmp_path: Path
) -> None:
    model, out = models[name], tmp_path / "model.pt2"
    facts = exporting.export(model, "torch", out)
    program = torch.export.load(out).module()
    for count in (1, 7, 64):
        inputs = exporting.fixed_inputs(model)[:count]
        np.testing.assert_allclose(program(inputs).detach().numpy(), own(model, inputs), atol=1e-4)
    assert facts == files.read_json(tmp_path / "model.pt2.json")
    assert facts["difference"] <= exporting.TOLERANCE
    assert facts["sha256"] == files.sha256_of_file(out)
    with zipfile.ZipFile(out) as archive:
        content = {entry.partition("/")[2]: archive.read(entry) for entry in archive.namelist()}
    # Inputs to show what it takes would be a pickle; weights are raw bytes and may begin with anything.
    pickled = [name for name, of in content.items() if "/weight_" not in name and of.startswith((b"\x80", b"PK"))]
    assert pickled == []
    assert "data/sample_inputs/model.pt" not in content or not content["data/sample_inputs/model.pt"]
    telling = sorted(set(re.findall(rb"/[^\s\"]*\.py", content["models/model.json"])))
    assert telling == [], "it tells where the code lies"


@pytest.mark.parametrize(
    ("name", "back"), [*((name, False) for name in MODELS), ("edges2digits", True), ("unet", True)]
)
def test_onnx_computes_the_same_for_any_number(models: dict[str, Model], name: str, back: bool, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, out = models[name], tmp_path / "model.onnx"
    facts = exporting.export(model, "onnx", out, back=back)
    session = runtime.InferenceSession(out.read_bytes(), providers=["CPUExecutionProvider"])
    for count in (1, 7, 64):
        inputs = exporting.fixed_inputs(model)[:count]
        (made,) = session.run(["out"], {facts["input"]["name"]: inputs.numpy()})
        np.testing.assert_allclose(made, own(model, inputs, back=back), atol=1e-4)
    assert session.get_modelmeta().custom_metadata_map == {"model": name, "digest": model.digest}
    assert re.findall(rb"/[^\s\"]*\.py", out.read_bytes()) == [], "it tells where the code lies"
    assert json.loads((tmp_path / "model.onnx.json").read_text()) == facts


def test_a_file_that_differs_from_the_model_is_not_written(
    models: dict[str, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exporting._torch

    def off(*arguments: object) -> object:
        data, run, versions = real(*arguments)  # type: ignore[arg-type]
        return data, lambda inputs: run(inputs) + np.float32(2e-4), versions

    monkeypatch.setattr(exporting, "_torch", off)
    with pytest.raises(UserError, match=r"differs from the model itself by 0\.0002"):
        exporting.export(models["dcgan"], "torch", tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []
