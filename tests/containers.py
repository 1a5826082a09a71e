"""Images built and run by Debian's buildah, which needs no daemon and no registry: the base comes from debootstrap."""

import gzip
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

CERTIFICATES = "/run/secrets/certificates"
PROGRAMS = ("buildah", "debootstrap", "unshare", "nsenter", "ip")
USER = 10001

# What an engine does with `--read-only --network none --cap-drop ALL --security-opt no-new-privileges`, a tmpfs at
# /tmp and at the home, and volumes. Arguments: the root, FROM:TO of each volume, `--`, the command.
INSIDE = """
set -eu
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do
  touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
for folder in dev/shm tmp home/genflows; do
  mount -t tmpfs -o mode=1777,noexec,nosuid,nodev tmpfs "$root/$folder"
done
while [ "$1" != -- ]; do mount --bind "${1%%:*}" "$root/${1#*:}"; shift; done; shift
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs \\
  --inh-caps=-all --bounding-set=-all "$@"
"""


@contextmanager
def loopback_alone() -> Iterator[int]:
    """A network that holds loopback and nothing else, for as long as the block lasts; by a process that is in it."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline() == b"up\n"
        try:
            yield holder.pid
        finally:
            holder.stdin.close()


def missing() -> list[str]:
    """The programs that are not there."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@dataclass(frozen=True)
class Engine:
    """A store of images in a folder of its own."""

    folder: Path

    def run(self, *arguments: str | Path) -> str:
        """What buildah prints."""
        place = ["--root", self.folder / "store", "--runroot", self.folder / "run"]
        done = subprocess.run(["buildah", *map(str, (*place, *arguments))], capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    def base(self) -> str:
        """Debian with Python, as this machine's own apt has it."""
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        mirror, suite = targets.splitlines()[0].split()
        folder = self.folder / "base"
        command = ["debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates"]
        subprocess.run([*command, suite, folder, mirror], stdout=subprocess.DEVNULL, check=True)
        container = self.run("from", "scratch")
        self.run("add", container, folder, "/")
        self.run("commit", "--rm", container, "base")
        shutil.rmtree(folder)
        return "localhost/base"

    def build(self, context: Path, base: str, pip_comment: str = "") -> "Image":
        """The project's image, a layer for each instruction as Docker makes them."""
        pip, certificates, folders = _pip(pip_comment)
        (self.folder / "pip.conf").write_text(pip)
        secrets = ["--secret", f"id=pip.conf,src={self.folder / 'pip.conf'}"]
        if certificates:
            secrets += ["--secret", f"id=certificates,src={certificates}"]
        volumes = [word for folder in folders for word in ("--volume", f"{folder}:{folder}:ro")]
        how = ["--isolation", "chroot", "--format", "docker", "--layers", "--build-arg", f"BASE={base}"]
        self.run("build", *how, *secrets, *volumes, "--tag", "genflows", context)
        container = self.run("from", "localhost/genflows")
        return Image(self, "localhost/genflows", Path(self.run("mount", container)))

    def end(self) -> None:
        """Leave nothing behind."""
        self.run("rm", "--all")
        self.run("rmi", "--all", "--force")
        shutil.rmtree(self.folder)


@dataclass(frozen=True)
class Image:
    """An image, and its files."""

    engine: Engine
    name: str
    root: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """User, command, environment and the like, as Docker names them."""
        return dict(json.loads(self.engine.run("inspect", "--type", "image", self.name))["Docker"]["config"])

    def volume(self, folder: Path) -> Path:
        """A volume for the workspace: what an engine puts into a named one that is empty."""
        shutil.copytree(self.root / "srv" / "genflows", folder, symlinks=True)
        subprocess.run(["chown", "-R", f"{USER}:{USER}", folder], check=True)
        return folder

    def start(
        self,
        network: int,
        volumes: Mapping[Path, str],
        command: Sequence[str],
        environment: Mapping[str, str] = MappingProxyType({}),
        place: str | None = None,
        output: "int | IO[str]" = subprocess.PIPE,
    ) -> "subprocess.Popen[str]":
        """Start a command in it: read-only but for volumes and /tmp, without capabilities, in the network of a process.

        It is the first of its own processes: they end with it.
        """
        hosts = self.engine.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost database mlflow prefect\n")
        alone = ["nsenter", f"--net=/proc/{network}/ns/net"]
        alone += ["unshare", "--mount", "--ipc", "--pid", "--fork", "--kill-child"]
        mounts = [f"{folder}:{where}" for folder, where in {hosts: "/etc/hosts", **volumes}.items()]
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        clean = ["env", "-i", "-C", place or self.config["WorkingDir"], *variables]
        return subprocess.Popen(
            [*alone, "sh", "-c", INSIDE, "sh", str(self.root), *mounts, "--", *clean, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def inside(self, volume: Path, *command: str) -> tuple[int, str]:
        """What a command leaves with and says, in a workspace, with no network but loopback."""
        with loopback_alone() as network, self.start(network, {volume: "/srv/genflows"}, command) as started:
            said, _ = started.communicate()
            return started.returncode, said

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """Whatever one gets who has the image: names and bytes of all files of all layers, and the descriptions."""
        exported = self.engine.folder / "exported"
        self.engine.run("push", self.name, f"oci:{exported}")
        for blob in sorted((exported / "blobs" / "sha256").iterdir()):
            with blob.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
            if packed:
                with gzip.open(blob) as stream, tarfile.open(fileobj=stream, mode="r|") as layer:
                    yield from _members(layer)
            else:
                yield blob.name, blob.read_bytes()
        shutil.rmtree(exported)


def _members(layer: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in layer:
        file = layer.extractfile(member) if member.isfile() else None
        content = file.read() if file else member.linkname.encode()
        if re.search(r"\.git/objects/../", member.name):
            content = zlib.decompress(content)
        yield member.name, content


def _pip(comment: str) -> tuple[str, str | None, set[str]]:
    """This machine's settings of pip as a file for the build, the certificates, and the folders that it names."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    # The environment's come first in the list, and before all others in their weight.
    pairs = [line.partition("=")[::2] for line in reversed(listed)]
    values = {key.rpartition(".")[2]: value.strip("'") for key, value in pairs}
    certificates = values.get("cert")
    if certificates:
        values["cert"] = CERTIFICATES
    places = " ".join(values.get(key, "") for key in ("index-url", "extra-index-url", "find-links"))
    folders = {found.removesuffix("/simple") for found in re.findall(r"(?:^|\s|file://)(/[^\s]+)", places)}
    lines = [f"{key} = {value}" for key, value in values.items()]
    return "\n".join([f"# {comment}", "[global]", *lines, ""]), certificates, folders
