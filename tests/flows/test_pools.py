"""The templates of work pools, as the workers of Prefect that take them make jobs of them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.conftest import ROOT

TYPES = {"docker-pool": "docker", "kubernetes-pool": "kubernetes", "kubernetes-machines-pool": "kubernetes"}
RUN = FlowRun(id=uuid.UUID(int=7), flow_id=uuid.UUID(int=8), name="merry-retrain")


def template(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "deploy" / f"{name}.json").read_text()))


@pytest.fixture(autouse=True)
def server(prefect_url: str) -> Iterator[None]:
    """A template may name blocks, which a server knows."""
    with temporary_settings({PREFECT_API_URL: prefect_url}):
        yield


def job(name: str, **values: Any) -> dict[str, Any]:
    """The Kubernetes job that the worker would create."""
    from prefect_kubernetes import worker

    configuration = asyncio.run(
        worker.KubernetesWorkerJobConfiguration.from_template_and_values(template(name), values)
    )
    configuration.prepare_for_flow_run(RUN)
    return dict(configuration.job_manifest)


@pytest.mark.parametrize("name", TYPES)
def test_prefect_takes_it(name: str) -> None:
    pool = WorkPoolCreate(name=f"genflows-{name}", type=TYPES[name], base_job_template=template(name))
    with get_client(sync_client=True) as client:
        made = client.create_work_pool(pool)
    assert made.base_job_template == template(name)


@pytest.mark.parametrize("name", ["kubernetes-pool", "kubernetes-machines-pool"])
def test_a_job_says_nothing_that_kubernetes_does_not_know(name: str) -> None:
    from kubernetes_asyncio import client as api

    manifest = job(name, accelerators="1", labels={"team": "images"})
    for key in ("completions", "parallelism"):
        # Prefect insists on them in a place where Kubernetes passes over them.
        manifest["spec"]["template"]["spec"].pop(key)

    class Answer:
        data = json.dumps(manifest)

    async def reread() -> Any:
        async with api.ApiClient() as client:
            # What is misspelt or of another type does not come back.
            return client.sanitize_for_serialization(client.deserialize(Answer, "V1Job"))

    assert asyncio.run(reread()) == manifest


@pytest.mark.parametrize("name", ["kubernetes-pool", "kubernetes-machines-pool"])
def test_a_pod_can_do_no_more_than_it_must(name: str) -> None:
    pod = job(name, accelerators="2", claim="mine", image="registry.example/genflows:1")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container["image"] == "registry.example/genflows:1"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    mounted = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert set(mounted) == {"/srv/genflows", "/home/genflows", "/tmp", "/dev/shm"}  # noqa: S108
    assert volumes[mounted["/srv/genflows"]]["persistentVolumeClaim"] == {"claimName": "mine"}
    told = {each["name"]: each["value"] for each in container["env"]}
    assert told["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert told["PREFECT__FLOW_RUN_ID"] == str(RUN.id)
    assert container["args"] == ["prefect", "flow-run", "execute"]


def test_machines_are_pods_of_one_job_that_ends_with_the_first() -> None:
    spec = job("kubernetes-machines-pool", machines=4)["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert spec["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
    service, policy = (
        each
        for each in yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text())
        if each["kind"] != "PersistentVolumeClaim"
    )
    pod = spec["template"]
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    for selector in (service["spec"]["selector"], policy["spec"]["podSelector"]["matchLabels"]):
        assert selector.items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize("number", [0, 1])
def test_the_first_machine_retrains_and_the_others_join(number: int, tmp_path: Path) -> None:
    (container,) = job("kubernetes-machines-pool", machines=3)["spec"]["template"]["spec"]["containers"]
    names = {"JOB_COMPLETION_INDEX": str(number), "HOSTNAME": f"merry-retrain-x7-{number}", "PYTHONPATH": str(ROOT)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [*container["command"], "env"],
        cwd=tmp_path, env=os.environ | names | {"PATH": path}, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    if number:
        _until_it_listens(process.pid)
        process.send_signal(signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode == 0
    told = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("PET_"))
    assert told == ({} if number else {
        "PET_NNODES": "3", "PET_NODE_RANK": "0", "PET_MASTER_PORT": "29500",
        "PET_MASTER_ADDR": "merry-retrain-x7-0.genflows-machines",
    })  # fmt: skip


def _until_it_listens(process: int) -> None:
    """Return when it has said what is to be done on SIGTERM."""
    while not int(Path(f"/proc/{process}/status").read_text().split("SigCgt:")[1].split()[0], 16) >> 14 & 1:
        time.sleep(0.05)


def test_a_container_can_do_no_more_than_it_must() -> None:
    from docker.models.containers import _create_container_args
    from prefect_docker import worker

    values = {"mem_limit": "8g", "env": {"PREFECT_API_URL": "http://prefect:4200/api"}}
    configuration = asyncio.run(
        worker.DockerWorkerJobConfiguration.from_template_and_values(template("docker-pool"), values)
    )
    configuration.prepare_for_flow_run(RUN)
    settings = worker.DockerWorker(work_pool_name="genflows")._build_container_settings(None, configuration)
    # docker-py refuses what it does not know.
    made = _create_container_args({**settings, "version": "1.44"})
    host = made["host_config"]
    assert (made["image"], made["user"], made["command"]) == ("genflows", "10001:10001", "prefect flow-run execute")
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Binds"] == ["genflows_workspace:/srv/genflows"]
    assert set(host["Tmpfs"]) == {"/tmp", "/home/genflows"}  # noqa: S108
    assert host["Memory"] == 8 * 2**30
    assert not host.get("Privileged")
