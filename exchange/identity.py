"""Who a party is on its own disk: its name and its Ed25519 key, in files that only their owner can read."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.protocol.errors import PeerFault, Unknown

ROLES = ("institution", "lender", "regulator", "officer")
"""What a party can be to a node that trusts its key; an officer is a person of the node's own institution."""


def make(home: Path, *, party: str, what: str) -> Ed25519PrivateKey:
    """Make a party's signing key under ``home`` (made if absent, mode 0700); ``what`` says in errors what lives there.

    Raises:
        PeerFault: if a party was made there before.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (home / "party").exists():
        raise PeerFault(f"this directory already holds a {what}", fix="choose an empty directory")
    signing = Ed25519PrivateKey.generate()
    write_secret(home / "signing.key", signing.private_bytes_raw().hex())
    write_secret(home / "party", party)
    return signing


def load(home: Path, *, what: str) -> tuple[str, Ed25519PrivateKey]:
    """Return the name and the signing key of the party under ``home``.

    Raises:
        Unknown: if there is none, or its files cannot be read as such.
    """
    try:
        party = (home / "party").read_text("utf-8").strip()
        return party, Ed25519PrivateKey.from_private_bytes(bytes.fromhex((home / "signing.key").read_text("ascii")))
    except (OSError, ValueError):
        raise Unknown(f"{what} under this directory") from None


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
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
