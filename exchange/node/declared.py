"""What an owner says of its datasets while its node runs or stands still: a signed envelope in a directory of its home.

One process holds a node's files, so a command cannot write into them while the node runs. It leaves the signed word in
``declared``; the node takes it from there, when it starts and between two polls, to the exchange. A withdrawal takes effect
at the node once the exchange has taken it: until then a lien can still forbid it.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import identity
from exchange.line import Line
from exchange.node.vault import Vault
from exchange.pins import own_keys
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.messages import Deprecation, Withdrawal, read
from exchange.protocol.rotation import signed_by
from privacy.errors import Malformed, Mismatch, PrivacyError, Refused

log = logging.getLogger(__name__)

PATHS = {Deprecation: "/v1/deprecations", Withdrawal: "/v1/withdrawals"}
_FINAL = (Refused, PeerFault, Unknown, Malformed, Mismatch)
"""Answers that asking again does not change; all others may pass."""


def leave(home: Path, message: Deprecation | Withdrawal, *, party: str, key: Ed25519PrivateKey) -> Envelope:
    """Sign a message and leave it for the node under ``home``; a later one about the same dataset takes its place."""
    signed = message.sealed_by(party, key)
    directory = home / "declared"
    directory.mkdir(mode=0o700, exist_ok=True)
    identity.write_secret(directory / f"{message.dataset}.json", json.dumps(signed.to_json()))
    return signed


def deliver(home: Path, vault: Vault, line: Line) -> None:
    """Take every word that was left to the exchange, and let a withdrawal take effect.

    What is refused is kept beside with the reason, as ``name.refused``; what could not be delivered waits.
    """
    for path, envelope, message in _waiting(home, vault):
        try:
            line.post(PATHS[type(message)], envelope.resigned(vault.signing))
        except _FINAL as error:
            log.warning("the exchange refused what was declared of %s: %s; %s", path.stem, error.reason, error.fix)
            identity.write_secret(path.with_suffix(".refused"), f"{error.reason}\n{error.fix}\n")
            path.unlink()
            continue
        except PrivacyError as error:
            log.warning("what was declared of %s waits: %s; %s", path.stem, error.reason, error.fix)
            continue
        if isinstance(message, Withdrawal):
            vault.withdraw(message.dataset, because=message.because)
        path.with_suffix(".refused").unlink(missing_ok=True)
        path.unlink()


def _waiting(home: Path, vault: Vault) -> Iterator[tuple[Path, Envelope, Deprecation | Withdrawal]]:
    own = own_keys(home, vault.party, vault.signing.public_key().public_bytes_raw())
    for path in sorted((home / "declared").glob("*.json")):
        try:
            envelope = Envelope.from_json(json.loads(path.read_text("utf-8")))
            message = read(envelope, signed_by(envelope, own) if envelope.signer == vault.party else {})
        except (OSError, ValueError, PrivacyError):
            log.warning("a file that was left for this node is not a word of its own: %s", path.name)
            continue
        if isinstance(message, Deprecation | Withdrawal):
            yield path, envelope, message
