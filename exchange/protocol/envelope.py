"""The signed envelope: one body, one signer, exact bytes, Ed25519 (RFC 8032).

The body travels as the very text that was signed, so no re-serialisation can break or bend a signature. The kind and the
signer's name are inside the signature: an envelope means the same thing wherever it turns up.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from privacy import canonical
from privacy.errors import Malformed, Mismatch
from privacy.terms import check_party

_LABEL = b"touchstone/envelope/1\x00"


@dataclass(frozen=True, slots=True)
class Envelope:
    """``kind`` names the message type, ``signer`` the party, ``body`` canonical JSON bytes, ``signature`` 64 bytes."""

    kind: str
    signer: str
    body: bytes
    signature: bytes

    @property
    def id(self) -> str:
        """SHA-256 of what was signed, as 64 hexadecimal digits: the envelope's name."""
        return hashlib.sha256(_signed(self.kind, self.signer, self.body)).hexdigest()

    def verify(self, directory: Mapping[str, bytes]) -> Any:
        """Check the signature against the signer's pinned key (32 bytes) and return the parsed body.

        Raises:
            Mismatch: if the signer is not in ``directory`` or did not sign this.
            Malformed: if the body is not canonical.
        """
        key = directory.get(self.signer)
        if key is None:
            raise Mismatch("the signer is not among the pinned parties", fix="pin the party's key after checking it")
        if not self.holds(key):
            raise Mismatch("the signature does not belong to this message", fix="have the party send it again")
        return canonical.decode(self.body)

    def holds(self, key: bytes) -> bool:
        """Whether this key (32 bytes) signed the envelope."""
        try:
            signed = _signed(self.kind, self.signer, self.body)
            Ed25519PublicKey.from_public_bytes(key).verify(self.signature, signed)
        except (InvalidSignature, ValueError):
            return False
        return True

    def resigned(self, key: Ed25519PrivateKey) -> "Envelope":
        """Return the same message of the same signer under another key of that signer; its id stays."""
        return replace(self, signature=key.sign(_signed(self.kind, self.signer, self.body)))

    def to_json(self) -> dict[str, str]:
        """Return the wire form."""
        return {
            "kind": self.kind,
            "signer": self.signer,
            "body": self.body.decode(),
            "signature": base64.urlsafe_b64encode(self.signature).decode().rstrip("="),
        }

    @classmethod
    def from_json(cls, document: Any) -> "Envelope":
        """Parse the wire form; the signature is not checked here.

        Raises:
            Malformed: if a field is missing, extra, mistyped or not in canonical spelling.
        """
        try:
            signature = base64.b64decode(document["signature"] + "==", altchars=b"-_", validate=True)
            envelope = cls(document["kind"], check_party(document["signer"]), document["body"].encode(), signature)
            spelled = envelope.to_json() == document and len(signature) == 64 and isinstance(envelope.kind, str)
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
            spelled = False
        if not spelled:
            raise Malformed("the document is not a signed envelope", fix="sign it with the party's key")
        return envelope


def sign(kind: str, body: Any, *, signer: str, key: Ed25519PrivateKey) -> Envelope:
    """Put a canonical JSON value into an envelope signed by ``signer``."""
    data = canonical.encode(body)
    return Envelope(kind, signer, data, key.sign(_signed(kind, signer, data)))


def _signed(kind: str, signer: str, body: bytes) -> bytes:
    head = canonical.encode([kind, signer])
    return _LABEL + len(head).to_bytes(4) + head + body
