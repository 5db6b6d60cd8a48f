"""Putting a home's keys under protection, and taking it off, without a moment at which the home does not open.

First ``protection.json`` is there, then one secret file after the other is replaced; the way back runs in the other order.
Whatever stops in between, the home opens with what protects it, and the same command finishes the work.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from exchange import identity, strongbox, tls
from exchange.protocol.errors import PeerFault, Unknown
from exchange.strongbox import Opener, Protection
from privacy import canonical
from privacy.modulus import PublicKey


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret file: its name, whether it is sealed, and what others may see of the key in it, if anything."""

    name: str
    sealed: bool
    fingerprint: str


def secret_files(home: Path) -> list[Path]:
    """Return the files under ``home`` that hold secret keys."""
    return sorted([*home.glob("*.key"), *home.glob("paillier.json")])


def protection(home: Path) -> Protection | None:
    """Return how the keys under ``home`` are protected, if they are.

    Raises:
        Malformed: if ``protection.json`` is not one.
    """
    path = home / identity.PROTECTION
    return Protection.read(path.read_bytes()) if path.is_file() else None


def protect(home: Path, opener: Opener) -> int:
    """Seal the secret files under ``home`` and return how many were in the open.

    Raises:
        Unknown: if no party lives there.
        Locked: if they are protected by something else. Malformed: if the passphrase is too short.
    """
    _check_home(home)
    held = protection(home)
    if held is None:
        held, key = Protection.make(opener)
        identity.write_secret(home / identity.PROTECTION, canonical.encode(held.to_json()).decode())
    else:
        key = held.unwrap(opener)
    plain = [path for path in secret_files(home) if not strongbox.is_sealed(path.read_text("utf-8"))]
    for path in plain:
        identity.write_secret(path, strongbox.seal(path.read_text("utf-8"), name=path.name, key=key))
    _forget_leftovers(home)
    return len(plain)


def unprotect(home: Path, given: Callable[[str], Opener]) -> int:
    """Put the secret files under ``home`` in the open again and return how many were sealed; raises like :func:`protect`.

    ``given`` is asked for what opens them: a passphrase or a key file.

    Raises:
        PeerFault: if they are not protected.
    """
    _check_home(home)
    held = protection(home)
    if held is None:
        raise PeerFault("the keys here are not protected", fix="touchstone keys protect does that")
    key = held.unwrap(given(held.kind))
    sealed = [path for path in secret_files(home) if strongbox.is_sealed(path.read_text("utf-8"))]
    opened = {path: strongbox.unseal(path.read_text("utf-8"), name=path.name, key=key) for path in sealed}
    for path, text in opened.items():
        identity.write_secret(path, text)
    (home / identity.PROTECTION).unlink()
    identity.sync(home)
    return len(sealed)


def shown(home: Path) -> list[Kept]:
    """Tell of each secret file what others may see of it.

    Raises:
        Unknown: if no party lives there. Locked: if the keys are protected, and not by what was given.
    """
    _check_home(home)
    return [
        Kept(path.name, strongbox.is_sealed(path.read_text("utf-8")), _fingerprint(path)) for path in secret_files(home)
    ]


def _check_home(home: Path) -> None:
    if not (home / "party").is_file():
        raise Unknown("party under this directory")


def _forget_leftovers(home: Path) -> None:
    """Remove what an interrupted write of a key may have left in the open."""
    for path in (*home.glob("*.key.new"), *home.glob("paillier.json.new")):
        path.unlink()


def _fingerprint(path: Path) -> str:
    """What is public of a key, in short: of a signing key its public half, of the others nothing that a guess could meet."""
    text = identity.read_key(path)
    match path.name:
        case "signing.key" | "signing-next.key":
            return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text)).public_key().public_bytes_raw().hex()
        case "ml-dsa.key":
            public = MLDSA65PrivateKey.from_seed_bytes(bytes.fromhex(text)).public_key().public_bytes_raw()
            return hashlib.sha256(public).hexdigest()
        case "tls.key":
            return tls.pin_of_key(text).hex()
        case "paillier.json":
            return PublicKey.from_jwk(json.loads(text)["pub"]).fingerprint
        case _:
            # drawn at random, 32 bytes: a hash of it tells nothing but whether two are the same
            return hashlib.sha256(b"touchstone/fingerprint/1\x00" + text.strip().encode()).hexdigest()
