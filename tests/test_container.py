"""The image, built and run for real where buildah and debootstrap are there, and compose.yaml, read."""

import os
import re
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import composed, containers
from tests.composed import Composed
from tests.conftest import ROOT, TINY
from tests.containers import Engine, Image

MARK = f"planted-{secrets.token_hex(16)}"
"""How every planted secret begins."""
PLACES = (
    ".env",
    ".git/config",
    ".netrc",
    ".dvc/config.local",
    ".genflows/keys/signing.pem",
    "id_rsa",
    ".aws/credentials",
    "flows/.env",
    "gen/templates/token.txt",
    "data/raw/digits/secret.txt",
    ".venv/pip.conf",
)
"""Where secrets lie about in clones. The twelfth is in the pip.conf that the build is given."""

# One group: the image is built once, however many processes run tests.
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("container")]
built = pytest.mark.skipif(
    bool(containers.missing()) or os.geteuid() != 0, reason="needs root, buildah and debootstrap"
)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image of a clone in which secrets lie about."""
    engine = Engine(Path(tempfile.mkdtemp(prefix="genflows-image-", dir="/var/tmp")))
    try:
        clone = engine.folder / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        for number, place in enumerate(PLACES):
            (clone / place).parent.mkdir(parents=True, exist_ok=True)
            with (clone / place).open("a") as file:
                file.write(f"\n# {MARK}-{number}\n")
        yield engine.build(clone, engine.base(), pip_comment=f"{MARK}-{len(PLACES)}")
    finally:
        engine.end()


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users reach too, as they do not what pytest makes."""
    with tempfile.TemporaryDirectory(prefix="genflows-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@built
@pytest.mark.timeout(1800)
def test_no_layer_and_no_description_holds_a_secret(image: Image) -> None:
    found, seen = [], 0
    for name, content in image.blobs():
        found += [name] if MARK.encode() in content or MARK in name else []
        # Not blind: what was meant to be inside is found in the file, and in git's own compressed copy of it.
        seen += b"Keeps image generators fresh: retrain" in content
    assert found == []
    assert seen >= 2


@built
def test_it_runs_as_a_numbered_user_and_asks_after_itself(image: Image) -> None:
    assert image.config["User"] == "10001:10001"
    assert image.config["Healthcheck"]["Test"] == ["CMD", "genflows", "status"]
    left = [path for path in ("root/.cache", "etc/pip.conf", "run/secrets/pip.conf") if (image.root / path).exists()]
    assert left == []
    assert not list(image.root.glob("usr/bin/*gcc*"))


@built
@pytest.mark.timeout(900, func_only=True)  # whichever comes first also builds the image
def test_the_main_job_runs_read_only_without_network_or_capabilities(image: Image, tmp_path: Path) -> None:
    volume = image.volume(tmp_path / "workspace")
    (volume / "params.yaml").write_text(TINY)
    code, said = image.inside(volume, *image.config["Cmd"])
    assert code == 0, said
    assert (volume / "report.html").exists()
    _, said = image.inside(volume, "sh", "-c", "id -u; touch /opt/genflows/x; cat /proc/net/dev /proc/self/status")
    assert said.startswith("10001\n")
    assert "Read-only file system" in said
    assert re.findall(r"^ *(\w+):(?: +\d+){16}$", said, re.MULTILINE) == ["lo"]
    assert re.findall(r"^Cap\w+:\s+(\w+)$", said, re.MULTILINE) == ["0" * 16] * 5


@built
@pytest.mark.timeout(600, func_only=True)  # whichever comes first also builds the image
def test_it_comes_up_and_its_health_check_says_so(image: Image, tmp_path: Path) -> None:
    volume = image.volume(tmp_path / "workspace")
    check = " ".join(image.config["Healthcheck"]["Test"][1:])
    script = f"""
      genflows up --foreground --cron "0 3 * * *" & up=$!
      until {check}; do kill -0 $up || exit 9; sleep 1; done
      kill $up; wait $up; echo "left with $?"
      {check} || echo "then $?"
    """
    _, said = image.inside(volume, "sh", "-c", script)
    assert "left with 0" in said, said
    assert "then 5" in said, said


PASSWORDS = {"GENFLOWS_DATABASE_PASSWORD": secrets.token_hex(24), "GENFLOWS_PREFECT_PASSWORD": secrets.token_hex(24)}


@built
@pytest.mark.skipif(composed.programs() is None, reason="needs PostgreSQL's programs")
@pytest.mark.timeout(1200, func_only=True)  # whichever comes first also builds the image
def test_the_services_of_compose_retrain_on_a_schedule_and_serve_the_champion(image: Image, reachable: Path) -> None:
    workspace, artifacts = image.volume(reachable / "workspace"), reachable / "artifacts"
    (workspace / "params.yaml").write_text(TINY)
    artifacts.mkdir()
    os.chown(artifacts, containers.USER, containers.USER)
    with containers.loopback_alone() as network, ExitStack() as stack:
        password = PASSWORDS["GENFLOWS_DATABASE_PASSWORD"]
        stack.enter_context(composed.postgresql(network, reachable / "postgresql", password))
        compose = Composed(image, network, PASSWORDS, {"workspace": workspace, "artifacts": artifacts})
        for name in ("mlflow", "prefect"):
            stack.enter_context(compose.up(name))
        said = _ended(compose.start("scheduler"))
        assert "retrain/genflows" in said
        stack.enter_context(compose.up("worker"))
        said = _ended(compose.start("worker", "prefect", "deployment", "run", "retrain/genflows", "--watch"))
        assert "Completed" in said, said
        stack.enter_context(compose.up("images"))


def _ended(process: "subprocess.Popen[str]") -> str:
    """What a process says that ends well."""
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said
