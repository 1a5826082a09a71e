"""A workspace in which `genflows up` looks after a schedule: its commands, what its server knows, how its parts die."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import psutil

from flows import standing
from flows.answering import ask
from flows.standing import Part
from gen.workspace import Workspace

GENFLOWS = [sys.executable, "-m", "flows.cli"]
NEVER = "0 3 29 2 *"
"""A schedule that does not fire while anybody looks, on most days."""
RETRAIN = "the retrain"
ALL = "all at once"
"""What `Upped.kill` takes beside the names of parts: the process of the retrain that runs, and the whole machine's."""


class Upped:
    """A workspace with two ports of its own, and `genflows` there in the given environment. Nothing is up at first."""

    def __init__(self, workspace: Workspace, environment: Mapping[str, str]) -> None:
        """Choose the ports."""
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            self.ports = one.getsockname()[1], two.getsockname()[1]
        self.workspace = workspace
        self.environment = dict(environment)
        self.options = ["--prefect-port", str(self.ports[0]), "--mlflow-port", str(self.ports[1])]
        self.api = f"http://127.0.0.1:{self.ports[0]}/api"

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command."""
        command = [*GENFLOWS, *arguments]
        return subprocess.run(
            command, cwd=self.workspace.root, env=self.environment, capture_output=True, text=True, check=False
        )

    def up(self, cron: str = NEVER) -> "subprocess.CompletedProcess[str]":
        """Bring it up."""
        return self("up", "--cron", cron, *self.options)

    def status(self) -> dict[str, Any]:
        """What `genflows status` says."""
        return dict(json.loads(self("status", "--json").stdout))

    def parts(self) -> dict[str, Part]:
        """How each part stands, by its name; nothing where nothing is up."""
        found = standing.read(self.workspace)
        return {part.name: part for part in found.parts} if found else {}

    def restarted(self, name: str, times: int) -> bool:
        """Whether a part was restarted so often and is well."""
        part = self.parts()[name]
        return len(part.restarts) == times and part.health == "healthy"

    def fire(self) -> Any:
        """Start a retrain as the schedule would; None where the server does not hear it, being only just up."""
        with contextlib.suppress(OSError):
            deployment = ask(f"{self.api}/deployments/name/retrain/{self.workspace.root.name}")
            return ask(f"{self.api}/deployments/{deployment['id']}/create_flow_run", {})
        return None

    def runs(self) -> list[dict[str, Any]]:
        """All retrains that began, in the order in which they did; none while the server is away."""
        with contextlib.suppress(OSError):
            query = {"sort": "START_TIME_ASC", "flow_runs": {"start_time": {"is_null_": False}}}
            found = ask(f"{self.api}/flow_runs/filter", query)
            return [run for run in found if run["run_count"]]
        return []

    def kill(self, what: str) -> None:
        """End a part, RETRAIN or ALL as no handler can hear it, in one moment: nobody sees another one die."""
        victims = self._victims(what)
        assert victims, f"{what} does not run"
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for victim in victims:
                with contextlib.suppress(psutil.NoSuchProcess):
                    victim.send_signal(number)

    def _victims(self, what: str) -> list[psutil.Process]:
        if what == ALL:
            found = standing.read(self.workspace)
            assert found
            supervisor = psutil.Process(int(found.supervisor.partition(":")[0]))
            return [supervisor, *supervisor.children(recursive=True)]
        part = psutil.Process(self.parts()["schedule" if what == RETRAIN else what].pid)
        if what != RETRAIN:
            return [part]
        # What it has started sees that it is gone, and leaves.
        return [child for child in part.children() if "spawn_main" in " ".join(child.cmdline())]
