"""Who a party is on its own disk: its name and its keys, in files that only their owner can read, sealed if it chose so.

Keys go through :func:`read_key` and :func:`write_key` alone: in a home that is protected they are sealed, see
:mod:`exchange.strongbox`; a home that is being protected holds some of either kind, and opens at every moment.
"""

import os
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import passphrase, strongbox
from exchange.protocol.errors import PeerFault, Unknown
from exchange.strongbox import Protection
from privacy.errors import Malformed
from privacy.terms import check_party

ROLES = ("institution", "lender", "regulator", "officer")
"""What a party can be to a node that trusts its key; an officer is a person of the node's own institution."""

PROTECTION = "protection.json"


def make(home: Path, *, party: str, what: str) -> Ed25519PrivateKey:
    """Make a party's signing key under ``home`` (made if absent, mode 0700); ``what`` says in errors what lives there.

    Raises:
        PeerFault: if a party was made there before.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (home / "party").exists():
        raise PeerFault(f"this directory already holds a {what}", fix="choose an empty directory")
    signing = Ed25519PrivateKey.generate()
    write_key(home / "signing.key", signing.private_bytes_raw().hex())
    write_secret(home / "party", party)
    return signing


def load(home: Path, *, what: str) -> tuple[str, Ed25519PrivateKey]:
    """Return the name and the signing key of the party under ``home``.

    Raises:
        Unknown: if there is none, or its files cannot be read as such.
        Locked: if its keys are protected, and not by what was given.
    """
    try:
        party = check_party((home / "party").read_text("utf-8").strip())
    except (OSError, ValueError, Malformed):
        raise Unknown(f"{what} under this directory") from None
    try:
        return party, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(read_key(home / "signing.key")))
    except (OSError, ValueError):
        raise Unknown(f"{what} under this directory") from None


def read_key(path: Path) -> str:
    """Return what a secret file holds, opened if it is sealed.

    Raises:
        OSError, UnicodeDecodeError: if it cannot be read.
        Locked: if it is sealed, and not under what was given.
    """
    text = path.read_text("utf-8")
    if not strongbox.is_sealed(text):
        return text
    return strongbox.unseal(text, name=path.name, key=data_key(path.parent))


def read_bytes(path: Path, length: int) -> bytes:
    """Return the bytes that a secret file holds as hexadecimal digits; raises like :func:`read_key`.

    Raises:
        ValueError: if it holds something else, or another number of them.
    """
    held = bytes.fromhex(read_key(path))
    if len(held) != length:
        raise ValueError
    return held


def write_key(path: Path, text: str) -> None:
    """Write a secret file as :func:`write_secret` does, sealed if its home is protected; raises like :func:`read_key`."""
    if (path.parent / PROTECTION).exists():
        text = strongbox.seal(text, name=path.name, key=data_key(path.parent))
    write_secret(path, text)


def data_key(home: Path) -> bytes:
    """Return the key under which a protected home's secret files are sealed.

    Raises:
        Locked: if nothing was given that opens it. Malformed: if ``protection.json`` is not one.
    """
    try:
        told = (home / PROTECTION).read_bytes()
    except OSError:
        raise strongbox.Locked(
            "the keys here are sealed, and protection.json is missing", fix="put it back from a backup of this home"
        ) from None
    return _unwrapped(told)


@lru_cache(maxsize=8)
def _unwrapped(told: bytes) -> bytes:
    """Open a data key once for a process: each time costs a tenth of a second or a question to a person."""
    protection = Protection.read(told)
    return protection.unwrap(passphrase.given(protection.kind))


def write_secret(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all, even if the machine stops in between."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync(path.parent)


def sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
