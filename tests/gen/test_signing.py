"""Signatures: made with a real key, checked at every door, and no way back to none."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gen import artifact, files, pyfunc
from gen.config import Params
from gen.errors import UserError
from gen.signing import SIGNING_KEY, TRUSTED_KEY, Signer
from gen.steps.publish import describe, publish
from gen.tracking.promotion import promote, rollback
from gen.tracking.registry import Version, champion, fetch, register, sign
from gen.tracking.store import Store, connect
from gen.workspace import Workspace
from tests.gen import fabricated

NAME = "digits-sample"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    made, params = fabricated.workspace(tmp_path_factory.mktemp("made"))
    for model in ("dcgan", "vae"):
        fabricated.trained(made, params, model)
        fabricated.evaluated(made, model, 30.0)
    return made, params


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A registered model of this test's own."""
    return request.node.name


@pytest.fixture
def store(made: tuple[Workspace, Params]) -> Store:
    return connect(made[0])


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pair of keys; the private one signs."""
    return new_key(tmp_path / "key.pem", monkeypatch)


def new_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pair = Ed25519PrivateKey.generate()
    path.write_bytes(pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    monkeypatch.setenv(SIGNING_KEY, str(path))
    return path


def registered(made: tuple[Workspace, Params], store: Store, model: str, name: str) -> Version:
    workspace, params = made
    run, digest = publish(workspace, params, model, store), files.manifest_digest(workspace.published(model))
    return register(store, name, describe(workspace, params, model).key, run, digest, {})


def signer() -> Signer:
    found = Signer.from_environment()
    assert found
    return found


def stored(store: Store, model: str) -> Path:
    """Where the private store keeps the artifact of a model."""
    (found,) = (
        path.parent
        for path in (store.private / "artifacts").rglob("model/config.json")
        if files.read_json(path)["model"] == model
    )
    return found


def test_signed_version_is_fetched_with_its_signature(
    made: tuple[Workspace, Params], store: Store, key: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsigned = registered(made, store, "dcgan", name)
    fetch(store, unsigned)
    monkeypatch.setenv(TRUSTED_KEY, str(key.with_suffix(".pub")))
    with pytest.raises(UserError, match="not signed with the key that GENFLOWS_TRUSTED_KEY names"):
        fetch(store, unsigned)
    signed = sign(store, unsigned, signer())
    folder = fetch(store, signed)
    assert artifact.load(folder).name == "dcgan"
    assert sign(store, signed, signer()) == signed
    assert pyfunc._load_pyfunc(str(folder)).published.name == "dcgan"

    (folder / "manifest.sig").unlink()
    with pytest.raises(UserError, match="not signed with the key"):
        pyfunc._load_pyfunc(str(folder))


@pytest.mark.usefixtures("key")
def test_signature_of_another_or_none_is_refused_though_no_key_is_trusted(
    made: tuple[Workspace, Params],
    store: Store,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signed = sign(store, registered(made, store, "vae", name), signer())
    folder, kept = fetch(store, signed), stored(store, "vae") / "manifest.sig"
    ours = kept.read_bytes()
    new_key(tmp_path / "theirs.pem", monkeypatch)
    for theirs in (signer().sign(folder), bytes(64)):
        kept.write_bytes(theirs)
        shutil.rmtree(folder, ignore_errors=True)
        with pytest.raises(UserError, match="signature is missing, or not of whom"):
            fetch(store, signed)
    kept.unlink()
    with pytest.raises(UserError, match="signature is missing"):
        fetch(store, signed)
    kept.write_bytes(ours)
    assert fetch(store, signed) == folder
    monkeypatch.setenv(TRUSTED_KEY, str(tmp_path / "theirs.pub"))
    with pytest.raises(UserError, match="not signed with the key"):
        fetch(store, signed)


@pytest.mark.usefixtures("key")
def test_no_way_back_from_signed_to_unsigned(made: tuple[Workspace, Params], store: Store, name: str) -> None:
    first, second = (registered(made, store, model, name) for model in ("dcgan", "vae"))
    promote(store, first, None, "unsigned, as all were")
    promote(store, sign(store, second, signer()), first.number, "signed")
    for back in (
        lambda: promote(store, first, second.number, "by the judge"),
        lambda: promote(store, first, second.number, "by hand", by="human"),
        lambda: rollback(store, name),
    ):
        with pytest.raises(UserError, match="its champion is signed and it is not"):
            back()
    now = champion(store, name)
    assert now
    assert now.number == second.number
    promote(store, sign(store, first, signer()), second.number, "signed by now")


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_key_that_is_none_is_told(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv(SIGNING_KEY, str(tmp_path / "key"))
    with pytest.raises(UserError, match="openssl genpkey"):
        Signer.from_environment()
