"""Who calls: every HTTP request carries a short-lived token bound to its receiver, method, path and body.

The token is a JWT (RFC 7519) signed with the caller's Ed25519 key (RFC 8037, RFC 9864), alive for a minute; the receiver remembers
its id for that long, so a recorded request cannot be replayed.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from exchange.protocol.errors import Denied

LIFETIME = 60
"""Seconds that a token lives, and the clock difference that is forgiven."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller that proved its name; ``token_id`` and ``expires`` (seconds since 1970) let the receiver spot replays.

    ``body`` is the SHA-256 of the body that it means to send, as 64 hexadecimal digits; ``issued`` is when it signed, by its
    own clock.
    """

    party: str
    token_id: str
    expires: int
    body: str
    issued: int

    def check(self, body: bytes) -> None:
        """Return if this is the body that the caller signed for.

        Raises:
            Denied: if it is another.
        """
        if hashlib.sha256(body).hexdigest() != self.body:
            raise Denied("the token was made for another request", fix="sign each request anew")


def token(
    *,
    caller: str,
    audience: str,
    key: Ed25519PrivateKey,
    method: str,
    path: str,
    body: bytes,
    now: int,
    token_id: str,
) -> str:
    """Return the value of the ``Authorization: Bearer`` header for one request; ``path`` includes the query.

    ``audience`` names the receiver: an exchange by its log's id, so that it can use the token nowhere else.
    """
    claims = {
        "sub": caller,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": token_id,
        "htm": method,
        "htu": path,
        "bh": hashlib.sha256(body).hexdigest(),
    }
    raw = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return jwt.encode({"alg": "Ed25519", "kid": caller}, claims, OKPKey.import_key(raw), algorithms=["Ed25519"])


def verify(value: str, *, audience: str, directory: Mapping[str, bytes], method: str, path: str, now: int) -> Caller:
    """Check a token against the caller's registered key and this very request, before its body is read.

    ``audience`` is the receiver's own name.

    Caller must: hold the body against the result, with :meth:`Caller.check`.

    Raises:
        Denied: if anything differs; a clock difference is named with its size, so that it can be mended.
    """
    claims = _claims(value, directory)
    if claims.get("aud") != audience:
        raise Denied(
            "the token is for another exchange", fix="check the address, and whose exchange these keys are for"
        )
    bound, digest = {"htm": method, "htu": path}, claims.get("bh")
    if any(claims.get(name) != expected for name, expected in bound.items()):
        raise Denied("the token was made for another request", fix="sign each request anew")
    if not isinstance(digest, str):
        raise Denied("the token names no body", fix="use the client of this release")
    issued, expires = claims.get("iat"), claims.get("exp")
    if not (isinstance(issued, int) and isinstance(expires, int) and 0 < expires - issued <= LIFETIME):
        raise Denied("the token does not say how long it lives", fix="use the client of this release")
    if not issued - LIFETIME <= now <= expires + LIFETIME:
        raise Denied(f"your clock and the exchange's differ by {abs(now - issued)} s", fix="set the clock (NTP)")
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not 16 <= len(token_id) <= 64:
        raise Denied("the token has no id", fix="use the client of this release")
    return Caller(party=claims["sub"], token_id=token_id, expires=expires + LIFETIME, body=digest, issued=issued)


def named(value: str) -> str | None:
    """Return the party that a token names, unproved."""
    try:
        party = json.loads(base64.urlsafe_b64decode(value.partition(".")[0] + "=="))["kid"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return party if isinstance(party, str) and len(party) <= 63 and party.isascii() else None


def _claims(value: str, directory: Mapping[str, bytes]) -> dict[str, Any]:
    problem = Denied("the request is not signed by a registered party", fix="enrol this party's key with the exchange")
    try:
        decoded = jwt.decode(value, _key_for(directory), algorithms=["Ed25519"])
        claims: dict[str, Any] = decoded.claims
        if decoded.header.get("kid") != claims.get("sub"):
            raise problem
    except (JoseError, ValueError, KeyError, TypeError, UnicodeError, RecursionError):
        raise problem from None
    return claims


def _key_for(directory: Mapping[str, bytes]) -> Any:
    def find(message: Any) -> OKPKey:
        return _public_key(directory[message.headers()["kid"]])

    return find


@lru_cache(maxsize=1_024)
def _public_key(raw: bytes) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw)})


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 raw bytes of the public half."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
