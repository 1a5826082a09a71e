"""A published model as one file for other programs: ONNX, or torch's own exported program.

Both take any number of inputs at once, hold no pickle and no path of this machine, and are held against the model
itself before they are written.
"""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram

from gen import files
from gen.errors import UserError
from gen.families.base import Sampler
from gen.noise import noise
from gen.use import Model

if TYPE_CHECKING:
    import onnx

Format = Literal["onnx", "torch"]
ONNX = ("onnx", "onnxruntime", "onnxscript")
"""Packages of the extra `export`; torch's exporter needs the last."""
Run = Callable[[Tensor], NDArray[np.float32]]
INPUTS = 64
SEED = 0
TOLERANCE = 1e-4
"""Largest difference to the model itself, of values in [-1, 1], with which a file is written."""


class Forward(nn.Module):
    """One thing that a published network does, as the one thing that a module does."""

    def __init__(self, network: nn.Module, what: str) -> None:
        """`what`: the name of the network's method."""
        super().__init__()
        self.network = network
        self.what = what

    def forward(self, inputs: Tensor) -> Tensor:
        """Noise [N, noise_dim] or images [N, C, H, W] to images [N, C, H, W] in [-1, 1]."""
        images: Tensor = getattr(self.network, self.what)(inputs)
        return images


def export(model: Model, kind: Format, out: Path, *, back: bool = False) -> dict[str, Any]:
    """Write `model` (on the CPU) to `out`, and beside it OUT.json: what it is, and how far it is off, as returned.

    A generator takes standard normal noise [N, noise_dim], a translator images [N, C, H, W] in [-1, 1] of domain A, or
    of B with `back`. Raises UserError, and writes nothing, when its outputs differ from the model's by more than
    TOLERANCE, or the packages for ONNX are not installed.
    """
    data, facts = exported(model, kind, back=back)
    files.write(out, data)
    files.write_json(out.with_name(f"{out.name}.json"), facts)
    return facts


def available() -> list[Format]:
    """The formats whose packages are installed."""
    return ["torch", "onnx"] if all(map(find_spec, ONNX)) else ["torch"]


def exported(model: Model, kind: Format, *, back: bool = False) -> tuple[bytes, dict[str, Any]]:
    """The file that `export` writes, and what it says of it. Raises UserError as it does."""
    samples = isinstance(model.network, Sampler)
    what = "sample" if samples else "translate_back" if back else "translate"
    name = "noise" if samples else "images"
    forward, inputs = Forward(model.network, what).eval(), fixed_inputs(model)
    with _quiet():
        program = torch.export.export(forward, (inputs,), dynamic_shapes=({0: Dim("batch", min=1)},))
        data, run, versions = _onnx(program, model, name) if kind == "onnx" else _torch(program)
        difference = _difference(forward, run, inputs)
    if not difference <= TOLERANCE:
        raise UserError(
            f"`{model.name}` as {kind} differs from the model itself by {difference:.2g}, more than {TOLERANCE:g}, on "
            f"{INPUTS} fixed inputs, so nothing was written. Try the other --format, or another version of torch."
        )
    facts = {
        "format": kind,
        "model": {name: getattr(model, name) for name in ("name", "family", "dataset", "digest")},
        "does": what,
        "input": {"name": name, "shape": ["N", *inputs.shape[1:]], "type": "float32"},
        "output": {"name": "out", "shape": ["N", *model.shape], "type": "float32", "range": [-1, 1]},
        "checked": {"inputs": INPUTS, "seed": SEED, "tolerance": TOLERANCE},
        "difference": difference,
        "sha256": files.sha256(data),
        "versions": {"torch": str(torch.__version__), **versions},
    }
    return data, facts


def fixed_inputs(model: Model) -> Tensor:
    """INPUTS inputs of `model`, always the same: noise, or images of noise between -1 and 1."""
    if isinstance(model.network, Sampler):
        return noise(INPUTS, model.network.noise_dim, SEED)
    return noise(INPUTS, int(np.prod(model.shape)), SEED).reshape(INPUTS, *model.shape).tanh()


def _torch(program: ExportedProgram) -> tuple[bytes, Run, dict[str, str]]:
    """The exported program of torch: JSON and raw tensors in an archive."""
    # They would be a pickle.
    program.example_inputs = None
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    loaded = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    return buffer.getvalue(), lambda inputs: np.asarray(loaded(inputs).detach().numpy()), {}


def _onnx(program: ExportedProgram, model: Model, name: str) -> tuple[bytes, Run, dict[str, str]]:
    if "onnx" not in available():
        raise UserError(
            f"ONNX needs packages that are not installed ({', '.join(ONNX)}). Install the extra `export` "
            "(`pip install 'genflows[export]'`), or use --format torch."
        )
    import onnx
    import onnxruntime

    made = torch.onnx.export(
        program, input_names=[name], output_names=["out"], dynamo=True, verbose=False, optimize=True
    )
    assert made is not None
    proto = _without_traces(made.model_proto)
    onnx.helper.set_model_props(proto, {"model": model.name, "digest": model.digest})
    onnx.checker.check_model(proto, full_check=True)
    data = proto.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    return data, lambda inputs: np.asarray(session.run(None, {name: inputs.numpy()})[0]), versions


def _without_traces(proto: "onnx.ModelProto") -> "onnx.ModelProto":
    """The same graph without where in which file each node came from."""
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output, proto.graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for function in proto.functions:
        function.ClearField("metadata_props")
        for node in function.node:
            node.ClearField("metadata_props")
    return proto


def _difference(forward: nn.Module, run: Run, inputs: Tensor) -> float:
    """The largest, for all inputs at once and for the first alone; not a number where an output is none."""
    found = []
    with torch.no_grad():
        for some in (inputs, inputs[:1]):
            expected = forward(some).numpy()
            found.append(np.abs(run(some) - expected).max())
    return float(np.max(found))


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what exporters say of their own insides."""
    talkers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [talker.level for talker in talkers]
    try:
        for talker in talkers:
            talker.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for talker, level in zip(talkers, levels, strict=True):
            talker.setLevel(level)
