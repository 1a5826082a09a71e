"""Models made to harm: each is refused before anything in it is run or allocated, in little time and memory.

Every payload would make a folder, its marker. Each is checked in a process that may use 2 s of the processor and 1 GiB
of addresses, and that ends badly where it has imported torch or mlflow.
"""

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gen import artifact, config, files
from gen.errors import UserError
from gen.steps.publish import assemble
from tests.gen import fabricated

VERIFY = """
import os, resource, sys
from pathlib import Path
from gen import artifact
from gen.errors import UserError
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
for folder in sys.argv[1:]:
    if child := os.fork():
        if code := os.waitpid(child, 0)[1]:
            print("died", code, flush=True)
        continue
    resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
    try:
        artifact.verify(Path(folder))
        print("taken")
    except UserError as error:
        print("refused", " ".join(str(error).split()))
    assert not {"torch", "mlflow"} & set(sys.modules)
    sys.exit()
"""
GIB = 2**30
Spoil = Callable[[Path, Path], None]
"""What it does to the folder of a sound model; the other path is the marker that its payload would make."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, params = fabricated.workspace(tmp_path_factory.mktemp("workspace"))
    fabricated.trained(made, params, "dcgan")
    fabricated.evaluated(made, "dcgan", 30.0)
    return assemble(made, config.load(made.params_file), "dcgan")


def verified(*folders: Path) -> list[str]:
    """What processes of narrow means say of each."""
    command = [sys.executable, "-u", "-c", VERIFY, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


class Payload:
    """Unpickled, it touches the marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def listing(name: str, content: Callable[[Path], bytes]) -> Spoil:
    """A file more, or another one, which the manifest lists."""

    def spoil(folder: Path, marker: Path) -> None:
        files.write(folder / name, content(marker))
        files.write_manifest(folder)

    return spoil


def unlisted(name: str, content: Callable[[Path], bytes]) -> Spoil:
    """A file more, or another one, of which the manifest says nothing."""

    def spoil(folder: Path, marker: Path) -> None:
        files.write(folder / name, content(marker))

    return spoil


def pickled(marker: Path) -> bytes:
    return pickle.dumps(Payload(marker))


def python(marker: Path) -> bytes:
    return f"import os\nos.mkdir({str(marker)!r})\n".encode()


def shell(marker: Path) -> bytes:
    return f"dependencies:\n- pip:\n  - '; mkdir {marker}'\n".encode()


def mlmodel(before: str, after: str) -> Spoil:
    def spoil(folder: Path, marker: Path) -> None:
        (folder / "loader.py").write_bytes(python(marker))
        text = (folder / "MLmodel").read_text()
        assert before in text
        (folder / "MLmodel").write_text(text.replace(before, after))
        (folder / "loader.py").unlink()
        files.write_manifest(folder)

    return spoil


def python_model(folder: Path, marker: Path) -> None:
    """As mlflow's own python_model: a pickle, and the loader that unpickles it."""
    (folder / "python_model.pkl").write_bytes(pickled(marker))
    mlmodel(
        "    loader_module: gen.pyfunc", "    loader_module: mlflow.pyfunc.model\n    python_model: python_model.pkl"
    )(folder, marker)


def configured(place: str = "config", **changes: object) -> Spoil:
    """Other values in config.json: of the network's config, or at its top."""

    def spoil(folder: Path, marker: Path) -> None:
        del marker
        values = files.read_json(folder / "config.json")
        changed = {**values, **changes} if place == "top" else {**values, place: {**values[place], **changes}}
        files.write_json(folder / "config.json", changed)
        files.write_manifest(folder)

    return spoil


def text_of_config(change: Callable[[str], str]) -> Spoil:
    def spoil(folder: Path, marker: Path) -> None:
        del marker
        path = folder / "config.json"
        path.write_text(change(path.read_text()))
        files.write_manifest(folder)

    return spoil


def header(change: Callable[[dict[str, Any]], Any]) -> Spoil:
    """Weights whose header says something else of the same bytes."""

    def spoil(folder: Path, marker: Path) -> None:
        del marker
        path = folder / "model.safetensors"
        data = path.read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        text = json.dumps(change(json.loads(data[8 : 8 + length]))).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
        files.write_manifest(folder)

    return spoil


def first(changes: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Other facts of the first tensor."""

    def change(entries: dict[str, Any]) -> dict[str, Any]:
        name = next(name for name in entries if name != "__metadata__")
        return {**entries, name: {**entries[name], **changes}}

    return change


def weights(change: Callable[[bytes], bytes], listed: bool) -> Spoil:
    def spoil(folder: Path, marker: Path) -> None:
        del marker
        path = folder / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))
        if listed:
            files.write_manifest(folder)

    return spoil


def manifest(change: Callable[[dict[str, Any]], Any]) -> Spoil:
    def spoil(folder: Path, marker: Path) -> None:
        del marker
        files.write_json(folder / "manifest.json", change(files.read_json(folder / "manifest.json")))

    return spoil


def entry(name: str, **facts: object) -> Spoil:
    return manifest(lambda found: {"files": {**found["files"], name: facts}})


def link_to_file(folder: Path, marker: Path) -> None:
    shutil.move(folder / "config.json", marker.with_name("config.json"))
    (folder / "config.json").symlink_to(marker.with_name("config.json"))


def link_to_folder(folder: Path, marker: Path) -> None:
    shutil.move(folder / "samples", marker.with_name("samples"))
    (folder / "samples").symlink_to(marker.with_name("samples"))


def linked_manifest(folder: Path, marker: Path) -> None:
    shutil.move(folder / "manifest.json", marker.with_name("manifest.json"))
    (folder / "manifest.json").symlink_to(marker.with_name("manifest.json"))


def pipe(folder: Path, marker: Path) -> None:
    """Whoever opens it waits for ever."""
    del marker
    (folder / "card.md").unlink()
    os.mkfifo(folder / "card.md")


def escape(folder: Path, marker: Path) -> None:
    """A file outside of the folder, which the manifest claims."""
    outside = folder.parent / "outside.json"
    outside.write_bytes(python(marker))
    found = {"bytes": outside.stat().st_size, "sha256": files.sha256_of_file(outside)}
    manifest(lambda before: {"files": {**before["files"], "../outside.json": found}})(folder, marker)


def giant(folder: Path, marker: Path) -> None:
    """64 GiB that take no room on the disk, and whose size the manifest tells."""
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(64 * GIB)
    entry("model.safetensors", bytes=64 * GIB, sha256="0" * 64)(folder, marker)


def many(folder: Path, marker: Path) -> None:
    del marker
    for number in range(6000):
        (folder / "samples" / f"{number}.png").touch()


def giant_pointer(folder: Path, marker: Path) -> None:
    """A manifest of 64 GiB."""
    del marker
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(64 * GIB)


def deep(text: str) -> str:
    del text
    return "[" * 100_000 + "]" * 100_000


MALICE: dict[str, Spoil] = {
    # Pickles in each clothing.
    "data.pkl": listing("data.pkl", pickled),
    "pickle unlisted": unlisted("model.pkl", pickled),
    "pickle as weights": listing("model.safetensors", pickled),
    "pickle as critics": listing("critics.safetensors", pickled),
    "pickle as config": listing("config.json", pickled),
    "pickle as picture": listing("grid.png", pickled),
    "pickle as sample": listing("samples/1.png", pickled),
    "pickle as numpy": listing("samples/1.npy", pickled),
    "python_model.pkl": python_model,
    # Code.
    "foreign loader": mlmodel("gen.pyfunc", "loader"),
    "another of our modules": mlmodel("gen.pyfunc", "gen.__main__"),
    "code in MLmodel": mlmodel("    data: .", "    code: code\n    data: ."),
    "code_paths in MLmodel": mlmodel("flavors:", "code_paths: [code]\nflavors:"),
    "environment in MLmodel": mlmodel("    data: .", "    env: conda.yaml\n    data: ."),
    "other flavor": mlmodel("flavors:", "flavors:\n  sklearn: {pickled_model: data.pkl}"),
    "YAML tag": mlmodel("data: .", "data: !!python/object/apply:os.mkdir ['marker']"),
    "code folder": listing("code/loader.py", python),
    "module beside": listing("gen/pyfunc.py", python),
    "sitecustomize": unlisted("sitecustomize.py", python),
    "requirements": listing("requirements.txt", shell),
    "conda": listing("conda.yaml", shell),
    "python_env": listing("python_env.yaml", shell),
    # Ways out of the folder.
    "link to a file": link_to_file,
    "link to a folder": link_to_folder,
    "linked manifest": linked_manifest,
    "named pipe": pipe,
    "file outside": escape,
    "absolute path": entry("/etc/hostname", bytes=1, sha256="0" * 64),
    # Other bytes than were written.
    "swapped weights": weights(lambda data: data[:-4096] + data[-4096:][::-1], listed=False),
    "flipped bit": weights(lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], listed=False),
    "truncated": weights(lambda data: data[:-100], listed=False),
    "truncated and listed": weights(lambda data: data[:-100], listed=True),
    "appended and listed": weights(lambda data: data + b"PK\x03\x04", listed=True),
    "manifest without weights": manifest(
        lambda found: {"files": {name: facts for name, facts in found["files"].items() if name != "model.safetensors"}}
    ),
    "manifest that lists itself": entry("manifest.json", bytes=1, sha256="0" * 64),
    "manifest with a wish": manifest(lambda found: {**found, "loader": "os"}),
    "manifest that is a list": manifest(lambda found: [found]),
    "manifest with negative size": entry("card.md", bytes=-1, sha256="0" * 64),
    "signature of another length": unlisted("manifest.sig", pickled),
    # Too much.
    "huge header": weights(lambda data: struct.pack("<Q", 2**62) + data[8:], listed=True),
    "long header": weights(
        lambda data: struct.pack("<Q", 16 * 2**20) + b"{" + b" " * (16 * 2**20 - 2) + b"}" + data, listed=True
    ),
    "a thousand million channels": configured(width=10**9),
    "a thousand million blocks": configured(blocks=10**9),
    "a thousand million classes": configured("top", classes={"names": 10**9, "shares": [1.0]}),
    "more classes than weights": configured(
        "top", classes={"names": [f"{n}" for n in range(5000)], "shares": [1 / 5000] * 5000}
    ),
    "more classes than there may be": configured("top", classes={"names": ["a"] * 200_000, "shares": [1.0]}),
    "classes that are no text": configured("top", classes={"names": [["os"], {"a": 1}], "shares": [0.5, 0.5]}),
    "codes of negative length": configured(latent_dim=-1),
    "width of true": configured(width=True),
    "huge image": configured("top", shape=[10**9, 16, 16]),
    "giant file": giant,
    "giant manifest": giant_pointer,
    "many files": many,
    # Headers and JSON that mean two things.
    "tensor with other shape": header(first({"shape": [10**9, 10**9]})),
    "tensor of negative shape": header(first({"shape": [-1]})),
    "tensor elsewhere": header(first({"data_offsets": [2**40, 2**40 + 4]})),
    "tensor of unknown type": header(first({"dtype": "OBJECT"})),
    "too many tensors": header(lambda found: found | {f"t{n}": 0 for n in range(20_000)}),
    "facts that are no text": header(lambda found: found | {"__metadata__": {"code": ["os"]}}),
    "config with another key": configured("top", loader="os"),
    "config of another family": configured("top", family="diffusion"),
    "config with a key twice": text_of_config(lambda text: text.replace("{", '{\n "format": 2,', 1)),
    "config with NaN": text_of_config(lambda text: text.replace('"seed": 0', '"seed": NaN')),
    "config without bottom": text_of_config(deep),
    "config that is a list": text_of_config(lambda text: f"[{text}]"),
}  # fmt: skip


@pytest.fixture(scope="module")
def said(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each of them, and of the sound one."""
    root = tmp_path_factory.mktemp("malice")
    places = {name: root / str(number) for number, name in enumerate(MALICE)}
    for name, place in places.items():
        shutil.copytree(sound, place / "model")
        MALICE[name](place / "model", place / "marker")
    told = verified(sound, *(place / "model" for place in places.values()))
    markers = [name for name, place in places.items() if (place / "marker").exists()]
    assert markers == []
    return dict(zip(["sound", *places], told, strict=True))


def test_sound_model_is_taken_by_a_process_of_such_narrow_means(said: dict[str, str]) -> None:
    assert said["sound"] == "taken"


@pytest.mark.parametrize("name", MALICE)
def test_malice_is_refused_and_never_runs(name: str, said: dict[str, str]) -> None:
    assert said[name].startswith("refused"), said[name]


def test_payload_would_have_run(tmp_path: Path) -> None:
    pickle.loads(pickled(tmp_path / "marker"))  # noqa: S301
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "changes", [{"width": 3}, {"width": 1000}, {"latent_dim": 9}, {"norm": "group"}, {"network": "os"}, {"images": "1"}]
)
def test_config_of_another_network_is_refused_before_it_is_built(
    changes: dict[str, object], sound: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(sound, folder)
    configured(**changes)(folder, tmp_path)
    with pytest.raises(UserError, match="cannot be loaded: its config or weights do not fit"):
        artifact.load(folder)


def test_every_key_by_which_a_network_grows_is_bounded_by_its_weights() -> None:
    from gen import families

    for family in families.FAMILIES:
        module = __import__(f"gen.families.{family}", fromlist=["family"])
        blocks = [
            block for block in vars(module).values() if getattr(block, "shaping", None) and "Config" in str(block)
        ]
        grows = {
            key
            for block in blocks
            for key in block.shaping
            if key in block.model_fields and "int" in str(block.model_fields[key].annotation)
        }
        # A discriminator's, which is not published, and at most 5.
        assert grows - {"halvings"} <= set(artifact.SIZES)
