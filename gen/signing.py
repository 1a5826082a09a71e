"""Signatures of published models: Ed25519 over manifest.json, beside it in manifest.sig.

The manifest holds the SHA-256 of every file, so who signs it signs them all. Signing is for whom wishes it:
GENFLOWS_SIGNING_KEY names the file with a private key, GENFLOWS_TRUSTED_KEY the one with the public key that every
model has to be signed with before it is used. Both are PEM, as `openssl genpkey -algorithm ed25519` writes them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from gen import files
from gen.artifact import SIGNATURE, SIGNATURE_BYTES
from gen.errors import UserError
from gen.untrusted import refused

SIGNING_KEY = "GENFLOWS_SIGNING_KEY"
TRUSTED_KEY = "GENFLOWS_TRUSTED_KEY"


@dataclass(frozen=True)
class Signer:
    """Whoever vouches for models, by a private key."""

    key: Ed25519PrivateKey

    @classmethod
    def from_environment(cls) -> "Signer | None":
        """The one whose key GENFLOWS_SIGNING_KEY names, if any. Raises UserError when it cannot be used."""
        path = os.environ.get(SIGNING_KEY)
        if not path:
            return None
        try:
            key = load_pem_private_key(Path(path).read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise _unusable(SIGNING_KEY, "a private Ed25519 key without a password")
        return cls(key)

    @property
    def public(self) -> str:
        """The public key, in hexadecimal."""
        return self.key.public_key().public_bytes_raw().hex()

    def sign(self, folder: Path) -> bytes:
        """The signature of a published model: equal manifests have equal ones."""
        return self.key.sign((folder / files.MANIFEST).read_bytes())


def is_signed(folder: Path, signer: str) -> bool:
    """Whether the manifest in `folder` carries the signature of a public key, given in hexadecimal."""
    path = folder / SIGNATURE
    try:
        if path.stat().st_size != SIGNATURE_BYTES:
            return False
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer))
        key.verify(path.read_bytes(), (folder / files.MANIFEST).read_bytes())
    except (OSError, ValueError, InvalidSignature):
        return False
    return True


def require_trusted(folder: Path) -> None:
    """Raise UserError unless `folder` is signed with the trusted key, or none is set."""
    signer = _trusted()
    if signer and not is_signed(folder, signer):
        raise refused(folder, f"it is not signed with the key that {TRUSTED_KEY} names")


def _trusted() -> str | None:
    """The public key that is trusted, in hexadecimal."""
    path = os.environ.get(TRUSTED_KEY)
    if not path:
        return None
    try:
        key = load_pem_public_key(Path(path).read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(TRUSTED_KEY, "a public Ed25519 key")
    return key.public_bytes_raw().hex()


def _unusable(variable: str, wanted: str) -> UserError:
    return UserError(
        f"{variable} names a file that does not hold {wanted} (PEM). Make a pair with `openssl genpkey -algorithm "
        "ed25519 -out key.pem` and `openssl pkey -in key.pem -pubout -out key.pub`."
    )
