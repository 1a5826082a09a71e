"""Extractors from elsewhere: what is imported, what is refused, and that nothing is downloaded unasked."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gen import config, files
from gen.config import Params
from gen.errors import BadParamsError, UserError
from gen.extractors import inception, lenet, registry
from gen.extractors.architecture import Official
from gen.features import Extractor
from gen.metrics.frechet import require_more_than
from gen.steps.extractor import extractor as train_extractor
from gen.steps.imported import OFFICIAL, Wanted, import_extractor
from gen.tensors import packed, write_tensors
from gen.workspace import Workspace
from tests.conftest import ROOT, environment
from tests.gen.extractors.test_architectures import drawn_weights
from tests.gen.sources.test_official import server as server
from tests.gen.world import PARAMS, bars

STATE = drawn_weights("192")
"""It ends before the tap 768."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Params]:
    """A workspace that has nothing but params, and a file of weights."""
    monkeypatch.delenv("GENFLOWS_MIRROR", raising=False)
    write_tensors(tmp_path / "fid.safetensors", STATE)
    return Workspace(tmp_path / "workspace"), config.from_values(PARAMS)


def wanted(place: tuple[Workspace, Params], **changes: str | None) -> Wanted:
    weights = str(place[0].root.parent / "fid.safetensors")
    return replace(Wanted("fid", inception.NAME, weights, "64"), **changes)


def imported(place: tuple[Workspace, Params], again: bool = False, **changes: str | None) -> Extractor:
    import_extractor(*place, wanted(place, **changes), again=again, say=lambda _: None)
    return Extractor.load(place[0].extractor(changes.get("name") or "fid"))


def test_an_imported_one_is_kept_with_its_digests(place: tuple[Workspace, Params]) -> None:
    digest = files.sha256_of_file(place[0].root.parent / "fid.safetensors")
    extractor = imported(place, sha256=digest.upper())
    description = extractor.description.model_dump()
    assert (description["sha256"], description["file"], description["tap"]) == (digest, "fid.safetensors", "64")
    assert extractor.features(bars(3, 0)[0]).shape == (3, 64)
    assert extractor.shares(extractor.features(bars(3, 0)[0])) is None, "it has no head"
    files.verify(place[0].extractor("fid"))


def test_each_tap_is_another_space_and_its_name_is_not(place: tuple[Workspace, Params]) -> None:
    one, other = imported(place), imported(place, name="other")
    further = imported(place, name="further", tap="192")
    assert one.digest == other.digest != further.digest
    assert further.dimension == 192


def test_a_second_import_changes_nothing_and_another_one_is_refused(place: tuple[Workspace, Params]) -> None:
    first = imported(place)
    before = files.manifest_digest(place[0].extractor("fid"))
    imported(place)
    assert files.manifest_digest(place[0].extractor("fid")) == before
    with pytest.raises(BadParamsError, match="fid-inception, tap 64.*replace it with --again"):
        imported(place, tap="192")
    assert Extractor.load(place[0].extractor("fid")).digest == first.digest
    assert imported(place, again=True, tap="192").dimension == 192


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"tap": "768"}, UserError, r"Mixed_5b.*which the tap `768` needs. It reaches the taps 64, 192:"),
        ({"tap": "76"}, BadParamsError, "has no tap `76`. Did you mean `768`"),
        ({"tap": None}, BadParamsError, "has more than one tap"),
        ({"architecture": "fid-incepton"}, BadParamsError, "Did you mean `fid-inception`.*genflows.extractors"),
        ({"architecture": "strided-cnn"}, BadParamsError, "is trained on a dataset's own images"),
        ({"architecture": "lenet", "tap": None}, UserError, "It is for another architecture"),
        ({"architecture": "lenet", "tap": "f6", "weights": OFFICIAL}, BadParamsError, "names no official weights"),
        ({"sha256": "0" * 64}, UserError, "and not 0000.*Nothing was changed"),
        ({"name": "bars"}, BadParamsError, "`bars` is a dataset"),
        ({"name": "../bars"}, BadParamsError, "not a usable name"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    place: tuple[Workspace, Params], changes: dict[str, str | None], error: type[UserError], words: str
) -> None:
    with pytest.raises(error, match=words):
        imported(place, **changes)
    assert not place[0].root.exists()


def test_damaged_weights_are_refused(place: tuple[Workspace, Params], tmp_path: Path) -> None:
    whole = (tmp_path / "fid.safetensors").read_bytes()
    known = files.sha256(whole)
    flipped = bytearray(whole)
    flipped[-1000] ^= 1
    narrow = packed({name: tensor[..., :1].contiguous() for name, tensor in STATE.items()})
    infinite = packed({name: tensor / 0 for name, tensor in STATE.items()})
    pickled = io.BytesIO()
    torch.save(STATE, pickled)
    for data, sha256, words in (
        (whole[:-1], None, "cannot be read as safetensors"),
        (bytes(flipped), known, "and not .* as asked"),
        (narrow, None, r"does not fit the architecture: .* is \[32, 3, 3, 1\] and not \[32, 3, 3, 3\]"),
        (infinite, None, "not finite"),
        (pickled.getvalue(), None, "files with code in them"),
    ):
        (tmp_path / "fid.safetensors").write_bytes(data)
        with pytest.raises(UserError, match=words):
            imported(place, sha256=sha256)
    assert not place[0].root.exists()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> Path:
    """A file on a web server, as the authors published theirs: pickled tensors in the older of torch's two formats."""
    path = tmp_path / "web" / "published.pth"
    more = {"fc.bias": torch.zeros(9), "Conv2d_1a_3x3.bn.num_batches_tracked": torch.tensor(0)}
    torch.save(STATE | more, path, _use_new_zipfile_serialization=False)
    official = Official(f"{server}/published.pth", files.sha256_of_file(path))
    monkeypatch.setitem(registry.BUILT_IN, inception.NAME, replace(inception.ARCHITECTURE, official=official))
    return path


def test_published_weights_are_downloaded_once_and_give_the_same_space(
    place: tuple[Workspace, Params], published: Path
) -> None:
    said: list[str] = []
    import_extractor(*place, wanted(place, weights=OFFICIAL), say=said.append)
    assert "left out" in said[1]
    published.rename(published.with_name("moved"))
    downloaded = imported(place, name="again", weights=OFFICIAL)
    assert downloaded.digest == imported(place, name="converted").digest
    assert imported(place, name="moved", weights=str(published.with_name("moved"))).digest == downloaded.digest


def test_published_weights_come_from_the_mirror_where_it_has_them(
    place: tuple[Workspace, Params], published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENFLOWS_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror" / "features").mkdir(parents=True)
    published.rename(tmp_path / "mirror" / "features" / "published.pth")
    assert imported(place, weights=OFFICIAL).dimension == 64
    assert not (place[0].private / "downloads").exists()
    (tmp_path / "mirror" / "features" / "published.pth").write_bytes(b"tampered")
    with pytest.raises(UserError, match="It is another file"):
        imported(place, name="other", weights=OFFICIAL)


def test_a_tampered_download_is_refused_and_says_how_else(place: tuple[Workspace, Params], published: Path) -> None:
    published.write_bytes(b"tampered")
    with pytest.raises(UserError, match=r"expected .*--weights.*features/published.pth below"):
        imported(place, weights=OFFICIAL)
    assert not place[0].extractor("fid").exists()


def test_the_official_address_is_encrypted_and_holds_the_digest() -> None:
    assert inception.OFFICIAL.address.startswith("https://")
    assert len(inception.OFFICIAL.sha256) == 64
    assert inception.OFFICIAL.sha256[:8] in inception.OFFICIAL.name


def test_what_is_imported_is_never_trained_over(place: tuple[Workspace, Params]) -> None:
    with pytest.raises(BadParamsError, match="genflows extractor fid --architecture"):
        train_extractor(*place, "fid")
    imported(place)
    datasets = {**PARAMS["datasets"], "fid": PARAMS["datasets"]["bars"]}
    with pytest.raises(BadParamsError, match="was imported"):
        train_extractor(place[0], config.from_values({**PARAMS, "datasets": datasets}), "fid")


def test_images_that_it_does_not_take_are_named(place: tuple[Workspace, Params], tmp_path: Path) -> None:
    write_tensors(tmp_path / "lenet.safetensors", lenet.LeNet().state_dict())
    weights = str(tmp_path / "lenet.safetensors")
    extractor = imported(place, name="lenet", architecture=lenet.NAME, tap=None, weights=weights)
    assert extractor.shares(extractor.features(bars(9, 0)[0])) is not None
    for shape, what in (((1, 29, 28, 1), "grey ones of 29 x 28"), ((1, 28, 28, 3), "RGB ones of 28 x 28")):
        with pytest.raises(UserError, match=rf"\(lenet\) takes grey images of at most 28 x 28 pixels, not {what}"):
            extractor.features(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"preprocessing": "none"}, "its preprocessing was `grey to RGB.*is `none`"),
        ({"taps": {"65": 65}}, "its tap was"),
    ],
)
def test_an_architecture_that_is_not_what_it_was_is_refused(
    place: tuple[Workspace, Params], changed: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(place)
    now = replace(inception.ARCHITECTURE, **changed)
    monkeypatch.setitem(registry.BUILT_IN, inception.NAME, now)
    with pytest.raises(UserError, match=words):
        Extractor.load(place[0].extractor("fid"))


def test_a_network_that_breaks_its_word_is_refused(
    place: tuple[Workspace, Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says 65 features and gives 64."""
    monkeypatch.setitem(registry.BUILT_IN, inception.NAME, replace(inception.ARCHITECTURE, taps={"64": 65}))
    with pytest.raises(UserError, match=r"makes features of shape \(64,\).* and not 65"):
        imported(place)


def test_too_few_images_for_a_tap_say_so() -> None:
    with pytest.raises(UserError, match="of an imported one, import another tap"):
        require_more_than(768, 500)


NETWORK = '''
import torch
from gen.extractors.architecture import Architecture, Network

class Means(Network):
    """Means of a grid of 3 x 3 parts, weighted."""

    def __init__(self, tap):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(9))

    def features(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images, 3).flatten(1) * self.scale

MEANS = Architecture(
    taps={"grid": 9}, build=Means, prepare=lambda pixels: pixels.permute(0, 3, 1, 2).float() / 255,
    preprocessing="uint8 / 255", channels=(1,),
)
NONSENSE = "no architecture"
'''

USE = """
import sys
from pathlib import Path
from gen import config, files
from gen.errors import UserError
from gen.extractors import registry
from gen.steps.imported import Wanted, import_extractor
from gen.steps.reference import reference
from gen.workspace import Workspace
from tests.gen.world import PARAMS
for name, words in (("nonsense", "but it is a str"), ("broken", "could not be loaded"), ("means", "")):
    try:
        registry.find(name)
    except UserError as error:
        assert words in str(error), error
workspace = Workspace(Path("workspace"))
params = config.from_values({**PARAMS, "datasets": {"bars": {**PARAMS["datasets"]["bars"], "extractor": "means"}}})
import_extractor(workspace, params, Wanted("means", "means", "means.safetensors"))
reference(workspace, params, "bars")
print(files.read_json(workspace.features("bars") / "features.json")["dimension"])
"""


def test_a_package_registers_its_own_network(tmp_path: Path) -> None:
    """A real installed package, seen by a new process, from the import to the reference."""
    from tests.gen.world import build

    build(tmp_path / "workspace")
    write_tensors(tmp_path / "means.safetensors", {"scale": torch.ones(9)})
    site = tmp_path / "site"
    (site / "means-1.0.dist-info").mkdir(parents=True)
    (site / "means_of_parts.py").write_text(NETWORK)
    (site / "means-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: means\nVersion: 1.0\n")
    points = ("means = means_of_parts:MEANS", "nonsense = means_of_parts:NONSENSE", "broken = not_there:X")
    lines = "\n".join(["[genflows.extractors]", *points, ""])
    (site / "means-1.0.dist-info" / "entry_points.txt").write_text(lines)
    settings = environment(ROOT) | {"PYTHONPATH": f"{ROOT}:{site}"}
    done = subprocess.run([sys.executable, "-c", USE], cwd=tmp_path, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "9"
    folder = tmp_path / "workspace" / "data" / "extractors" / "means"
    with pytest.raises(BadParamsError, match="No architecture of extractors is called `means`"):
        Extractor.load(folder)
