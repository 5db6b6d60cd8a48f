"""What an exchange says of its log, under two signatures: Ed25519 (RFC 8032) and, should that fall one day, ML-DSA-65 (FIPS 204).

Both are needed, always: a statement with one of them is none. Who relies on it pins one number, the log's id: the SHA-256
over both public keys.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from privacy import canonical
from privacy.errors import Malformed, Mismatch

_LABEL = b"touchstone/log/1\x00"
_ED25519 = (32, 64)  # bytes of a public key, of a signature
_ML_DSA_65 = (1952, 3309)


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The public halves under which a log's statements are signed: 32 and 1952 bytes."""

    ed25519: bytes
    ml_dsa_65: bytes

    @property
    def id(self) -> str:
        """The log's id, 64 hexadecimal digits: what parties compare and pin."""
        return canonical.digest({"use": "touchstone/log-id/1", **self.to_json()})

    def to_json(self) -> dict[str, str]:
        """Return the wire form."""
        return {"ed25519": _text(self.ed25519), "ml_dsa_65": _text(self.ml_dsa_65)}


@dataclass(frozen=True, slots=True)
class LogSigner:
    """The secret halves."""

    ed25519: Ed25519PrivateKey
    ml_dsa_65: MLDSA65PrivateKey

    @property
    def keys(self) -> LogKeys:
        """The public halves."""
        return LogKeys(self.ed25519.public_key().public_bytes_raw(), self.ml_dsa_65.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return "LogSigner(secret)"


@dataclass(frozen=True, slots=True)
class Attested:
    """A statement of a log: its kind, its body (canonical JSON), the keys and both signatures."""

    kind: str
    body: bytes
    keys: LogKeys
    ed25519: bytes
    ml_dsa_65: bytes

    def verify(self, log: str) -> Any:
        """Check both signatures and that the keys are those of the log with this id; return the parsed body.

        Raises:
            Mismatch: if it is another log's, or a signature does not hold.
            Malformed: if the body is not canonical.
        """
        if self.keys.id != log:
            raise Mismatch("this is signed by another log than the pinned one", fix="compare the log's id by phone")
        signed = _signed(self.kind, log, self.body)
        try:
            Ed25519PublicKey.from_public_bytes(self.keys.ed25519).verify(self.ed25519, signed)
        except (InvalidSignature, ValueError):
            raise _broken("Ed25519") from None
        try:
            MLDSA65PublicKey.from_public_bytes(self.keys.ml_dsa_65).verify(self.ml_dsa_65, signed)
        except (InvalidSignature, ValueError):
            raise _broken("ML-DSA-65") from None
        return canonical.decode(self.body)

    def to_json(self) -> dict[str, Any]:
        """Return the wire form."""
        return {
            "kind": self.kind,
            "body": self.body.decode(),
            "keys": self.keys.to_json(),
            "signatures": {"ed25519": _text(self.ed25519), "ml_dsa_65": _text(self.ml_dsa_65)},
        }

    @classmethod
    def from_json(cls, document: Any) -> "Attested":
        """Parse the wire form; nothing is verified here.

        Raises:
            Malformed: if a part is missing, extra, of another length or not in canonical spelling.
        """
        try:
            keys, signatures = document["keys"], document["signatures"]
            told = cls(
                kind=document["kind"],
                body=document["body"].encode(),
                keys=LogKeys(_bytes(keys["ed25519"], _ED25519[0]), _bytes(keys["ml_dsa_65"], _ML_DSA_65[0])),
                ed25519=_bytes(signatures["ed25519"], _ED25519[1]),
                ml_dsa_65=_bytes(signatures["ml_dsa_65"], _ML_DSA_65[1]),
            )
            spelled = isinstance(told.kind, str) and told.to_json() == document
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
            spelled = False
        if not spelled:
            raise Malformed(
                "this is not a statement of a log under both signatures", fix="fetch it again from the exchange"
            )
        return told


def attest(kind: str, body: Any, signer: LogSigner) -> Attested:
    """Sign a canonical JSON value as a statement of the log."""
    data, keys = canonical.encode(body), signer.keys
    signed = _signed(kind, keys.id, data)
    return Attested(kind, data, keys, signer.ed25519.sign(signed), signer.ml_dsa_65.sign(signed))


def _signed(kind: str, log: str, body: bytes) -> bytes:
    head = canonical.encode([kind, log])
    return _LABEL + len(head).to_bytes(4) + head + body


def _broken(which: str) -> Mismatch:
    return Mismatch(f"the log's {which} signature does not hold", fix="fetch it again; if it stays so, tell others")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str, length: int) -> bytes:
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if len(data) != length:
        raise ValueError
    return data
