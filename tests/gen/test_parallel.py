"""Two processes that train one model do what one process does, up to rounding."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from gen import config, files
from gen.batches import Batches
from gen.errors import LeftError, UserError
from gen.parallel import ALONE, SharedBatchNorm, Team
from gen.training import begin as begin_training
from gen.workspace import Workspace
from tests.gen import test_families, test_resume
from tests.gen.together import together

STEPS = 12
MAPS = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 3 + 7


def normalised(team: Team) -> dict[str, Tensor]:
    """Outputs, gradients and running statistics of a batch norm after this process's part of a batch."""
    norm = nn.BatchNorm2d(3)
    norm.weight.data.copy_(torch.tensor([1.0, 2.0, 3.0]))
    network = nn.Sequential(norm)
    team.join(network)
    maps = MAPS[team.part(8)].clone().requires_grad_()
    made = network(maps)
    (made**3).mean().backward()
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    team.mean(list(gradients.values()))
    assert maps.grad is not None
    whole = {"made": team.whole(made.detach()), "gradient": team.whole(maps.grad) / team.size}
    return {**whole, **gradients, **{name: buffer.float() for name, buffer in network.named_buffers()}}


def test_batch_norm_sees_the_whole_batch(tmp_path: Path) -> None:
    alone = normalised(ALONE)
    for mine in together(normalised, tmp_path):
        torch.testing.assert_close(mine, alone, rtol=1e-5, atol=1e-6)


def test_a_shared_batch_norm_of_a_process_that_only_samples_is_a_batch_norm() -> None:
    norm = nn.BatchNorm2d(3).eval()
    assert (SharedBatchNorm(norm)(MAPS) == norm(MAPS)).all()


class Precise(Batches):
    """In float64: a game of two networks amplifies rounding."""

    def at(self, images: int) -> tuple[Tensor, ...]:
        return tuple(each.double() if each.is_floating_point() else each for each in super().at(images))


def losses(team: Team, name: str) -> dict[str, Tensor]:
    """What a family's training has journalled after each of its first steps, and its weights."""
    torch.set_default_dtype(torch.float64)
    try:
        return trained(team, name)
    finally:
        torch.set_default_dtype(torch.float32)


def trained(team: Team, name: str) -> dict[str, Tensor]:
    settings = test_families.config(name, log_every=8, images=8 * STEPS)
    domains = test_families.ramps(settings)
    labels = test_families.labels(settings)
    training = begin_training(settings, (1, 28, 28), domains, team, "float32", labels)
    updates, each = training.batches.updates, labels.each if labels else None
    training.batches = Precise(domains, settings.batch, settings.seed, team, updates=updates, labels=each)
    records = [training.step().record for _ in range(STEPS)]
    return {
        "losses": torch.tensor([list(record.losses.values()) for record in records if record]),
        "weights": torch.cat([weight.detach().reshape(-1) for weight in training.average.network.parameters()]),
        "randomness": training.trainer.randomness.get_state(),
    }


def gan(team: Team) -> dict[str, Tensor]:
    return losses(team, "gan")


def penalised(team: Team) -> dict[str, Tensor]:
    return losses(team, "penalised")


def vae(team: Team) -> dict[str, Tensor]:
    return losses(team, "vae")


def dense_vae(team: Team) -> dict[str, Tensor]:
    return losses(team, "dense-vae")


def conditional_vae(team: Team) -> dict[str, Tensor]:
    return losses(team, "conditional-vae")


def weighted(team: Team) -> dict[str, Tensor]:
    return losses(team, "weighted")


def cyclegan(team: Team) -> dict[str, Tensor]:
    return losses(team, "cyclegan")


def spectral(team: Team) -> dict[str, Tensor]:
    return losses(team, "spectral")


def projected(team: Team) -> dict[str, Tensor]:
    return losses(team, "projected")


def pictured(team: Team) -> dict[str, Tensor]:
    return losses(team, "pictured")


def dense(team: Team) -> dict[str, Tensor]:
    return losses(team, "dense")


@pytest.mark.parametrize(
    "family",
    [
        *(gan, vae, conditional_vae, cyclegan),
        *(pytest.param(family, marks=pytest.mark.long) for family in (penalised, spectral, dense, projected, pictured)),
        *(pytest.param(family, marks=pytest.mark.long) for family in (dense_vae, weighted)),
    ],
)
def test_two_processes_train_as_one_does(family: Any, tmp_path: Path) -> None:
    alone = family(ALONE)
    first, second = together(family, tmp_path)
    for name in first:
        assert (first[name] == second[name]).all(), name
    for name in ("losses", "weights"):
        torch.testing.assert_close(first[name], alone[name], rtol=1e-6, atol=1e-8)
    assert (first["randomness"] == alone["randomness"]).all()


PARAMS = test_resume.PARAMS.replace("machine: {", "machine: {processes: 2, ")


def begin(root: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "gen", "train", "vae"],
        cwd=root, env=os.environ | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def workspace(root: Path, params: str = PARAMS) -> Workspace:
    made = test_resume.workspace(root)
    files.write(made.params_file, params)
    (root / "dvc.yaml").touch()
    return made


def weights(made: Workspace) -> dict[str, Tensor]:
    files.verify(made.train("vae"))
    return safetensors.torch.load_file(made.train("vae") / "model.safetensors")


def finished(root: Path) -> str:
    process = begin(root)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A training of two processes in one go."""
    made = workspace(tmp_path_factory.mktemp("shared"))
    finished(made.root)
    return made


def test_params_start_the_processes_and_one_of_them_writes(shared: Workspace, tmp_path: Path) -> None:
    alone = workspace(tmp_path, test_resume.PARAMS)
    finished(alone.root)
    for name, weight in weights(shared).items():
        torch.testing.assert_close(weight, weights(alone)[name], rtol=1e-3, atol=1e-4)
    journals = [files.Journal.read(made.train("vae") / "journal.jsonl") for made in (shared, alone)]
    assert [record["images"] for record in journals[0]] == [record["images"] for record in journals[1]]
    assert files.read_json(shared.provenance("vae"))["processes"] == 2


LONG = PARAMS.replace("images: 160, batch: 16", "images: 1600000, batch: 16")


def under_way(made: Workspace) -> "subprocess.Popen[str]":
    """A training of two processes that has a checkpoint."""
    process = begin(made.root)
    deadline = time.monotonic() + 60
    while not list((made.private / "checkpoints").glob("vae-*/[0-9]*/manifest.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    return process


def test_asked_to_end_it_keeps_all_and_another_number_of_processes_goes_on(tmp_path: Path) -> None:
    made = workspace(tmp_path, LONG)
    process = under_way(made)
    ports = [
        connection.laddr
        for child in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for connection in child.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert ports, "they hear of each other by some port"
    assert {address.ip for address in ports} <= {"127.0.0.1", "::1"}
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == LeftError.exit_code
    assert said.count("Stopped as asked") == 1
    assert "Traceback" not in said
    files.write(made.params_file, LONG.replace("processes: 2", "processes: 1"))
    process = begin(made.root)
    assert process.stdout
    line = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert ", but not to the bit: processes was 2 and is 1" in line


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_dies_takes_the_others_with_it(rank: str, tmp_path: Path) -> None:
    made = workspace(tmp_path, LONG)
    process = under_way(made)
    children = psutil.Process(process.pid).children(recursive=True)
    next(child for child in children if child.environ().get("RANK") == rank).kill()
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("train: A process of this training was ended by SIGKILL: memory may have")
    assert "Traceback" not in said
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_asked_to_end_before_it_began_it_says_so(tmp_path: Path) -> None:
    workspace(tmp_path, LONG)
    process = begin(tmp_path)
    deadline = time.monotonic() + 60
    while not psutil.Process(process.pid).children():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == LeftError.exit_code
    assert said.splitlines()[-1].startswith("train: Stopped as asked")


def test_what_is_refused_is_refused_once(tmp_path: Path) -> None:
    workspace(tmp_path, PARAMS.replace("batch: 16", "batch: 6400"))
    process = begin(tmp_path)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.count("needs 6400 training images") == 1


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    made = workspace(tmp_path, PARAMS.replace("processes: 2", "processes: 3"))
    with pytest.raises(UserError, match="`models.vae.batch` is 16, which 3 processes cannot share evenly"):
        config.load(made.params_file).model("vae")


def test_a_batch_of_a_refresh_that_cannot_be_shared_is_named_where_it_stands(tmp_path: Path) -> None:
    refreshed = PARAMS.replace("init: random", "init: champion-of-digits, refresh: {batch: 15}")
    made = workspace(tmp_path, refreshed)
    with pytest.raises(UserError, match="`models.vae.refresh.batch` is 15, which 2 processes cannot share evenly"):
        config.load(made.params_file).model("vae")
