"""`python -m gen STEP [NAME]`: one step of the pipeline, from the workspace's root. dvc.yaml calls nothing else."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gen.errors import PartedError, UserError, describe

if TYPE_CHECKING:
    from gen.config import Machine, Params

THIS = (sys.executable, "-m", "gen")
STEPS = ("ingest", "extractor", "prepare", "reference", "train", "evaluate", "compare", "speed")
USAGE = f"usage: python -m gen {{{','.join(STEPS)}}} [NAME], or python -m gen join"


def main(arguments: Sequence[str]) -> int:
    """Run one step; returns the exit code: 0, 1 for an error that the user can mend, 2 for a wrong call."""
    match arguments:
        case ["join"]:
            return _join()
        case [step, *rest] if step in STEPS and len(rest) == (step != "compare"):
            try:
                return _run(step, rest[0] if rest else "")
            except KeyboardInterrupt:
                sys.stderr.write(f"{step}: interrupted; the same command does it again.\n")
                return 130
            except Exception as error:
                message = describe(error)
                if message is None or os.environ.get("GENFLOWS_DEBUG"):
                    raise
                if not _is_told_elsewhere(error):
                    sys.stderr.write(f"{step}: {message}\n")
                return error.exit_code if isinstance(error, UserError) else 1
        case _:
            sys.stderr.write(USAGE + "\n")
            return 2


def _run(step: str, name: str) -> int:
    from gen import config, orphan, workers
    from gen.workspace import Workspace

    orphan.watch()
    workspace = Workspace.find()
    params = config.load(workspace.params_file)
    match step:
        case "ingest":
            from gen.steps.ingest import ingest

            ingest(workspace, params, name, _say, workers.hired())
        case "prepare":
            from gen.steps.prepare import prepare

            prepare(workspace, params, name, workers.hired())
        case "extractor":
            from gen.steps.extractor import extractor

            settle(params.machine)
            extractor(workspace, params, name, say=_say)
        case "reference":
            from gen.steps.reference import reference

            settle(params.machine)
            reference(workspace, params, name, workers.hired())
        case "train":
            from gen.leaving import Leave

            leave = Leave()
            # One of several has nothing to keep before its first step, and waits for the others where it hears nothing.
            if "RANK" not in os.environ:
                leave.listen()
            from gen.steps.train import possible, train

            _settle_training(params.machine)
            if _needs_company(params):
                # What none of them could do is told once, before they are there.
                possible(workspace, params, name)
                return _in_company([step, name], params.machine.processes, leave.wanted)
            train(workspace, params, name, _code(params, name), say=_say, leaving=leave.wanted)
        case "evaluate":
            from gen.steps.evaluate import evaluate

            settle(params.machine)
            evaluate(workspace, params, name, _code(params, name))
        case "compare":
            from gen.steps.compare import compare

            compare(workspace, params)
        case "speed":
            # No step of the pipeline: it leaves nothing behind. But it runs in processes like a training's.
            _settle_training(params.machine)
            if _needs_company(params):
                return _in_company([step, name], params.machine.processes, lambda: False)
            from gen import parallel
            from gen.speed import measure

            model = params.model(name)
            with parallel.team(parallel.own_device(params.machine.device)) as team:
                speed = measure(model, params.dataset(model.dataset), params.machine.precision, team)
                if team.leads:
                    _say(f"{speed:.6g}")
    return 0


def _is_told_elsewhere(error: Exception) -> bool:
    """Whether another process of the same training says what went wrong: the one that did, or who started them all."""
    if not isinstance(error, PartedError):
        return False
    from gen.parallel import MEETING, leads

    return not leads() or MEETING in os.environ


def _join() -> int:
    """Take part in the trainings that another machine leads, until asked to leave."""
    from gen.leaving import Leave
    from gen.machines import Machines, join

    leave = Leave()
    leave.listen()
    try:
        machines = Machines.told()
    except UserError as error:
        sys.stderr.write(f"join: {error}\n")
        return error.exit_code
    if machines is None:
        sys.stderr.write("join: PET_NNODES is not set: this machine is told of no other that it could join.\n")
        return 2
    join(machines, leave.wanted, _say)
    return 0


def _in_company(step: list[str], processes: int, leaving: Callable[[], bool]) -> int:
    """Run a step in several processes, of this machine or of several."""
    from gen.launch import launch
    from gen.machines import Machines, lead

    machines = Machines.told()
    return lead(machines, step, processes, leaving) if machines else launch([*THIS, *step], processes, leaving)


def _needs_company(params: "Params") -> bool:
    """Whether this process has to start those that train together, and is not one of them."""
    return params.machine.processes > 1 and "RANK" not in os.environ


def settle(machine: "Machine") -> None:
    """Make the process's own settings: threads, and arithmetic that repeats to the bit."""
    # cuBLAS reads it when it starts; without it deterministic matrix products are refused on CUDA.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.set_num_threads(machine.threads)
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory before it is written, so filling it first would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # Trainings alone compute in TF32, where they are to.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "params.yaml: `machine.device` is cuda, but torch sees no CUDA device. Install torch with CUDA (see the "
            "README) and check the driver with `nvidia-smi`, or set `machine.device` to cpu."
        )


def _settle_training(machine: "Machine") -> None:
    """The same for a training, which alone computes in `machine.precision`."""
    settle(machine)
    if machine.precision == "bfloat16" and not _has_bfloat16(machine.device):
        raise UserError(
            f"params.yaml: `machine.precision` is bfloat16, but this machine's {machine.device} has no instructions "
            "for it and would be many times slower than in float32. Set `machine.precision` to float32."
        )


def _has_bfloat16(device: str) -> bool:
    """Whether products of bfloat16 are faster there than those of float32."""
    import torch

    if device == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device == "mps" or (torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False))


def _code(params: "Params", model: str) -> dict[str, str]:
    """Digests of the code that the step imports, the model's family included."""
    from gen.runs import imported_code

    params.model(model)
    return imported_code()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
