"""The pipeline's graph as DVC sees it, and the only place that calls DVC."""

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flows import children
from flows.environment import child_environment, site_cache
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
    with _repository(workspace) as repository:
        return _stages(repository)


def changed(workspace: Workspace) -> dict[str, Change]:
    """What differs from dvc.lock, by the address of each stage whose own command, params, inputs or outputs do.

    Raises BusyError while another DVC works on the same files.
    """
    with _repository(workspace) as repository:
        told = repository.status()
        return {
            _address(stage): _change(stage, told[stage.addressing])
            for stage in repository.index.stages
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


def add(workspace: Workspace, path: Path) -> str:
    """Version a file or folder (`dvc add`); returns the digest that DVC gave it."""
    with _repository(workspace) as repository:
        (stage,) = repository.add(str(path))
        return str(stage.outs[0].hash_info.value)


def checkout(workspace: Workspace, path: Path) -> None:
    """Bring `path` back to what its pointer says. Raises UserError when DVC's cache does not hold it."""
    with _repository(workspace) as repository:
        repository.checkout([str(path)], force=True)


def pointer(path: Path) -> Path:
    """The small file that stands in git for what `dvc add` versions at `path`."""
    return path.with_name(f"{path.name}.dvc")


def digest_in(text: str) -> str | None:
    """The digest that a pointer's text names; None where it is no pointer."""
    try:
        return str(YAML(typ="safe").load(text)["outs"][0]["md5"])
    except (YAMLError, TypeError, LookupError):
        return None


def restore(workspace: Workspace, path: Path, digest: str) -> None:
    """Make `path` hold the version `digest` again, its pointer included.

    Raises UserError when DVC's cache does not hold that version; nothing is changed then.
    """
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta

    with _repository(workspace) as repository:
        # First of all: DVC's checkout removes what is there before it finds out that the cache holds nothing else.
        for name in _tree(repository, digest).values():
            if not repository.cache.local.exists(name):
                raise _lost(digest)
        stage = repository.stage.load_one(str(pointer(path)))
        # Sizes are put right by `add` below; standing there, they keep the order of the pointer's lines.
        stage.outs[0].hash_info, stage.outs[0].meta = HashInfo("md5", digest), Meta(isdir=True, size=0, nfiles=0)
        stage.dump()
    checkout(workspace, path)
    add(workspace, path)


def cached(workspace: Workspace, digest: str, name: str) -> Path:
    """Where DVC's cache holds one file of a versioned folder. To be read only. Raises UserError when it does not."""
    with _repository(workspace) as repository:
        path = Path(repository.cache.local.oid_to_path(_tree(repository, digest)[name]))
    if not path.exists():
        raise _lost(digest)
    return path


def unused(workspace: Workspace, keep: Collection[str]) -> list[Path]:
    """Files of DVC's cache that nothing here and no commit names, nor any of the versioned folders in `keep`."""
    with _repository(workspace) as repository:
        infos = set().union(*repository.used_objs(all_commits=True).values())
        used = {str(info.value) for info in infos} | set(keep)
        for folder in [name for name in used if name.endswith(".dir")]:
            with contextlib.suppress(UserError):
                used |= set(_tree(repository, folder).values())
        cache = repository.cache.local
        return [Path(cache.oid_to_path(name)) for name in sorted(cache.all()) if name not in used]


def _tree(repository: "Repo", digest: str) -> dict[str, str]:
    """The digests of the files of a versioned folder, by their relative path."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    try:
        tree = Tree.load(repository.cache.local, HashInfo("md5", digest))
    except FileNotFoundError:
        raise _lost(digest) from None
    return {"/".join(key): str(info.value) for key, _, info in tree}


def _lost(digest: str) -> UserError:
    return UserError(
        f"DVC's cache does not hold all of the version {digest}. Bring it back with `dvc fetch` from the remote that "
        "has it; without one the version is gone. Nothing was changed."
    )


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


@contextlib.contextmanager
def _repository(workspace: Workspace) -> "Iterator[Repo]":
    """DVC's view of the workspace, its complaints told as one paragraph."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)  # its progress bars too: they follow the level
    settings = {"core": {"site_cache_dir": str(site_cache(workspace)), "analytics": False}}
    try:
        with Repo(str(workspace.root), config=settings) as repository:
            yield repository
    except LockError as error:
        raise BusyError(f"DVC is at work in {workspace.root} already: {_flat(error)}") from None
    except DvcException as error:
        raise UserError(f"DVC cannot go on in {workspace.root}: {_flat(error)}") from None


def _flat(error: BaseException) -> str:
    """An error and what led to it, as one paragraph."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause:
        parts.append(" ".join(str(cause).split()))
        cause = cause.__cause__
    return ": ".join(dict.fromkeys(part for part in parts if part))


def _stages(repository: "Repo") -> dict[str, Stage]:
    import networkx

    network = repository.index.graph  # its edges lead from a stage to what it depends on
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
    path = workspace.private / "logs" / f"{name.replace('/', '-')}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    said: list[str] = []
    with path.open("w", encoding="utf-8") as log:
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
