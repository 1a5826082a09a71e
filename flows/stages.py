"""The pipeline's graph as DVC sees it, and its stages as DVC runs them."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from flows import children, logs
from flows.environment import child_environment
from flows.repository import repository
from gen import files
from gen.errors import BadParamsError, BusyError, UserError
from gen.strict import Strict, parse
from gen.workspace import Workspace

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage as DvcStage

Say = Callable[[str], None]
DVC = [sys.executable, "-m", "dvc"]


class StageFailedError(UserError):
    """A stage's command failed: its own last paragraph, and where all that it printed is kept."""


class Orchestration(Strict):
    """What a stage needs from whoever drives it: `meta: {prefect: ...}` in dvc.yaml."""

    retries: int = Field(default=0, ge=0)
    """How often it is tried again after a failure."""
    retry_delay_seconds: float = Field(default=10, ge=0)
    """How long to wait before that."""
    timeout_seconds: float | None = Field(default=None, gt=0)
    """When to give it up."""
    accelerator: bool = False
    """Whether it computes where networks live: off the CPU, one such stage runs at a time."""


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml."""

    address: str
    """`train@dcgan`."""
    command: str
    dependencies: tuple[str, ...]
    """Paths relative to the workspace."""
    outputs: tuple[str, ...]
    predecessors: frozenset[str]
    """Addresses of the stages whose outputs it reads."""
    orchestration: Orchestration


@dataclass(frozen=True)
class Change:
    """In what a stage differs from what dvc.lock says of its last run."""

    inputs: frozenset[str]
    """Dependencies that hold something else now: paths relative to the workspace."""
    otherwise: bool
    """Whether anything else differs: its command, params or outputs, a dependency that is new or gone, or all of it."""


def graph(workspace: Workspace) -> dict[str, Stage]:
    """All stages of dvc.yaml by their address, predecessors first. Raises UserError when DVC cannot read it."""
    with repository(workspace) as opened:
        return _stages(opened)


def changed(workspace: Workspace) -> dict[str, Change]:
    """What differs from dvc.lock, by the address of each stage whose own command, params, inputs or outputs do.

    Raises BusyError while another DVC works on the same files.
    """
    with repository(workspace) as opened:
        told = opened.status()
        return {
            _address(stage): _change(stage, told[stage.addressing])
            for stage in opened.index.stages
            if stage.cmd and stage.addressing in told
        }


def stale(stages: Mapping[str, Stage], changed: Collection[str], held: Collection[str] = ()) -> frozenset[str]:
    """The stages that may have to run: the changed ones and all that come after one of them, but none in `held`."""
    found: set[str] = set()
    for address, stage in stages.items():
        if address not in held and (address in changed or stage.predecessors & found):
            found.add(address)
    return frozenset(found)


def reproduce(workspace: Workspace, stage: Stage, stop: children.Stop, say: Say = print) -> bool:
    """Bring one stage up to date: `dvc repro --single-item`. Returns whether its command had to run.

    What the command prints goes to `say` and, with DVC's own words, to .genflows/logs/STAGE.log.
    Raises StageFailedError when it fails or takes longer than its timeout, StoppedError when `stop` asks.
    """
    command = [*DVC, "--wait-for-lock", "repro", "--single-item", stage.address]
    ran = False
    own = False
    for line in _logged(workspace, stage.address, command, stop, stage.orchestration.timeout_seconds):
        # DVC announces the command, then lets it print, then tells what it does with the outputs.
        if line.startswith("> "):
            ran = own = True
        elif line.startswith(("Generating lock file", "Updating lock file", "Use `dvc push`", "ERROR: ")):
            own = False
        elif own:
            say(line)
    return ran


def run_step(workspace: Workspace, step: str, name: str, stop: children.Stop, say: Say = print) -> None:
    """Run `python -m gen STEP NAME`, a step that is no stage (ingest, extractor). Raises StageFailedError."""
    for line in _logged(workspace, f"{step}@{name}", [sys.executable, "-m", "gen", step, name], stop):
        say(line)


@dataclass(frozen=True)
class Remote:
    """Where DVC keeps bytes for others."""

    name: str
    url: str
    """A folder, or an address that may hold a user."""
    verify: bool
    """Whether what is pulled is held against its digest."""


def remote(workspace: Workspace) -> Remote | None:
    """The default remote; None where there is none. Raises UserError where it is one that is not described."""
    with repository(workspace) as opened:
        name = opened.config["core"].get("remote")
        if name is None:
            return None
        found = opened.config["remote"].get(name)
        if found is None:
            raise UserError(f"DVC's default remote `{name}` is not described. `dvc remote add -d {name} URL` does it.")
        return Remote(name, str(found["url"]), bool(found.get("verify")))


def push(workspace: Workspace, stop: children.Stop) -> None:
    """Send what dvc.lock and the pointers name to the default remote; what it has is not sent again.

    Raises StageFailedError when that fails, StoppedError when `stop` asks.
    """
    for _ in _logged(workspace, "push", [*DVC, "push", "--quiet"], stop):
        pass


@contextlib.contextmanager
def exclusive(workspace: Workspace, *, wait: bool = False) -> Iterator[None]:
    """Be the only one who retrains, ingests or restores in a workspace. Raises BusyError unless `wait`."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.lock(workspace.private / "retrain.lock", wait=wait))
        except BlockingIOError:
            raise BusyError(
                f"Another retrain (or ingest) is at work in {workspace.root}. Nothing was changed. "
                "Wait for it to end, or run the command with --wait."
            ) from None
        yield


def _stages(opened: "Repo") -> dict[str, Stage]:
    import networkx

    network = opened.index.graph  # its edges lead from a stage to what it depends on
    # By name among equals: the order is the same on every machine.
    order = networkx.lexicographical_topological_sort(
        network.reverse(), key=lambda stage: f"{stage.path_in_repo}:{getattr(stage, 'name', '')}"
    )
    # What `dvc add` made is a node as well, without a command.
    stages = [_stage(stage, network.successors(stage)) for stage in order if stage.cmd]
    return {stage.address: stage for stage in stages}


def _address(stage: "DvcStage") -> str:
    """What DVC calls a stage from the workspace's root; its own `addressing` depends on the current folder."""
    file = str(stage.path_in_repo)
    return str(stage.name) if file == "dvc.yaml" else f"{file}:{stage.name}"


def _change(stage: "DvcStage", told: "list[str | dict[str, dict[str, Any]]]") -> Change:
    # DVC names a path by how it is reached from the current folder.
    paths = {str(dep): str(dep.def_path) for dep in stage.deps}
    differing = [entry.get("changed deps") if isinstance(entry, dict) else None for entry in told]
    states = [item for found in differing if found for item in found.items()]
    modified = {paths[name] for name, state in states if state == "modified"}
    return Change(frozenset(modified), otherwise=len(modified) < len(states) or not all(differing))


def _stage(stage: "DvcStage", predecessors: "Iterator[DvcStage]") -> Stage:
    address = _address(stage)
    return Stage(
        address=address,
        command=stage.cmd if isinstance(stage.cmd, str) else "\n".join(stage.cmd),
        dependencies=tuple(str(path) for path in (dep.def_path for dep in stage.deps) if path),
        outputs=tuple(str(out.def_path) for out in stage.outs),
        predecessors=frozenset(_address(before) for before in predecessors if before.cmd),
        orchestration=_orchestration(address, stage.meta),
    )


def _orchestration(address: str, meta: Any) -> Orchestration:
    """Check what stands under a stage's `meta: {prefect: ...}`; other tools may keep theirs beside it."""
    values = meta.get("prefect", {}) if isinstance(meta, Mapping) else {}
    try:
        return parse(Orchestration, values, "meta.prefect")
    except BadParamsError as error:
        raise BadParamsError(f"dvc.yaml, stage {address}: {str(error).removeprefix('params.yaml: ')}") from None


def _logged(
    workspace: Workspace, name: str, command: list[str], stop: children.Stop, timeout: float | None = None
) -> Iterator[str]:
    """The lines that a command prints, kept in a log as well. Raises StageFailedError."""
    path = logs.folder(workspace) / f"{name.replace('/', '-')}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    said: list[str] = []
    with path.open("a", encoding="utf-8") as log:  # to append: it may be cut meanwhile (flows.logs)
        try:
            for line in children.lines(command, workspace.root, child_environment(workspace), stop, timeout):
                log.write(line + "\n")
                log.flush()
                said.append(line)
                yield line
        except subprocess.CalledProcessError:
            raise StageFailedError(f"{name} failed: {_reason(said)} All that it printed is in {path}.") from None
        except subprocess.TimeoutExpired as late:
            raise StageFailedError(
                f"{name} was ended: it took longer than its timeout of {late.timeout:g} s. Raise "
                f"meta.prefect.timeout_seconds in dvc.yaml, or see in {path} what it waited for."
            ) from None


def _reason(lines: list[str]) -> str:
    """The last thing that a failed command said: its own words where there are any, otherwise DVC's."""
    words = [line for line in lines if line.strip()]
    own = [line for line in words if not line.startswith(("ERROR: ", "> ", "Running stage "))]
    reason = (own or words or ["it printed nothing."])[-1].strip().removeprefix("ERROR: ")
    return reason if reason.endswith((".", "!", "?")) else reason + "."
