"""Secret files under AES-256-GCM (NIST SP 800-38D): what is sealed, under which key, and how that key is kept.

A home's secret files are sealed under one data key, and the data key is kept in ``protection.json``, wrapped by a key that
comes from outside: from a passphrase by scrypt (RFC 7914), or from a file of 32 bytes by HKDF (RFC 5869). A sealed file is
bound to its name, so none passes for another. Nothing here touches a disk.
"""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privacy import canonical
from privacy.errors import Malformed, PrivacyError

PROTECTED, SEALED = "touchstone protection 1", "touchstone sealed 1"
KINDS = ("passphrase", "key-file")
"""What a home can be protected with."""

COST = 1 << 17
"""scrypt's N, with r = 8 and p = 1: 128 MiB and some tenths of a second for each guess."""

_MOST_COST = 1 << 20
SHORTEST = 12
"""Characters that a passphrase must have."""

KEY_BYTES = 32
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


class Locked(PrivacyError):
    """Keys are protected, and what opens them was not given (``absent``), or is not theirs."""

    code = "TS-KEY-001"

    def __init__(self, reason: str, *, fix: str, absent: bool = False) -> None:
        super().__init__(reason, fix=fix)
        self.absent = absent


@dataclass(frozen=True, slots=True)
class Opener:
    """What protects a home, from outside of it: a passphrase or the bytes of a key file."""

    kind: str
    value: bytes

    @classmethod
    def passphrase(cls, text: str) -> "Opener":
        """Take a passphrase as it was typed, without the line's end."""
        return cls("passphrase", text.rstrip("\r\n").encode())

    @classmethod
    def key_file(cls, data: bytes) -> "Opener":
        """Take a key file's content: 32 bytes, or 64 hexadecimal digits.

        Raises:
            Malformed: if it is something else; never with the content.
        """
        text = data.strip()
        if len(text) == 2 * KEY_BYTES and _HEX.fullmatch(text.decode("ascii", "replace")):
            return cls("key-file", bytes.fromhex(text.decode("ascii")))
        if len(data) != KEY_BYTES:
            raise Malformed("the key file does not hold 32 bytes", fix="make one: openssl rand -out FILE 32")
        return cls("key-file", data)

    def __repr__(self) -> str:
        return f"Opener({self.kind}, secret)"


@dataclass(frozen=True, slots=True)
class Protection:
    """How a home's data key is kept: what opens it, scrypt's cost (0 for a key file), salt, nonce, and the wrapped key."""

    kind: str
    cost: int
    salt: bytes
    nonce: bytes
    wrapped: bytes

    @classmethod
    def make(cls, opener: Opener) -> tuple["Protection", bytes]:
        """Draw a data key and wrap it; return the protection and the data key.

        Raises:
            Malformed: if the passphrase is too short.
        """
        if opener.kind == "passphrase" and len(opener.value.decode("utf-8", "replace")) < SHORTEST:
            raise Malformed(
                f"the passphrase has fewer than {SHORTEST} characters", fix="choose a longer one: some words"
            )
        cost = COST if opener.kind == "passphrase" else 0
        salt, nonce, data_key = secrets.token_bytes(16), secrets.token_bytes(12), secrets.token_bytes(KEY_BYTES)
        bare = cls(opener.kind, cost, salt, nonce, b"")
        wrapped = AESGCM(bare._wrapping(opener)).encrypt(nonce, data_key, bare._bound())
        return cls(opener.kind, cost, salt, nonce, wrapped), data_key

    def unwrap(self, opener: Opener) -> bytes:
        """Return the data key.

        Raises:
            Locked: if this does not open it.
        """
        what = self.kind.replace("-", " ")
        if opener.kind != self.kind:
            raise Locked(f"the keys here are protected by a {what}", fix=f"give the {what}")
        try:
            return AESGCM(self._wrapping(opener)).decrypt(self.nonce, self.wrapped, self._bound())
        except InvalidTag:
            raise Locked(
                f"the {what} does not open the keys here", fix="check which one it is; without it nothing opens them"
            ) from None

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "format": PROTECTED,
            "kind": self.kind,
            "cost": self.cost,
            "salt": self.salt.hex(),
            "nonce": self.nonce.hex(),
            "wrapped": self.wrapped.hex(),
        }

    @classmethod
    def read(cls, data: bytes) -> "Protection":
        """Parse the document.

        Raises:
            Malformed: if it is none of this release.
        """
        try:
            told = canonical.decode(data)
            made = cls(
                told["kind"],
                told["cost"],
                *(bytes.fromhex(told[name]) for name in ("salt", "nonce", "wrapped")),
            )
            lengths = len(made.salt), len(made.nonce), len(made.wrapped)
            sound = made.to_json() == told and made.kind in KINDS and lengths == (16, 12, KEY_BYTES + 16)
            sound = sound and made.cost.bit_count() == (made.kind == "passphrase") and 0 <= made.cost <= _MOST_COST
        except (KeyError, TypeError, ValueError, AttributeError):
            sound = False
        if not sound:
            raise Malformed(
                "protection.json is not one of this release",
                fix="put it back from a backup: it holds what opens the keys",
            )
        return made

    def _bound(self) -> bytes:
        return canonical.encode({name: told for name, told in self.to_json().items() if name != "wrapped"})

    def _wrapping(self, opener: Opener) -> bytes:
        if opener.kind == "passphrase":
            room = 256 * self.cost * 8
            return hashlib.scrypt(opener.value, salt=self.salt, n=self.cost, r=8, p=1, maxmem=room, dklen=KEY_BYTES)
        return HKDF(SHA256(), KEY_BYTES, self.salt, b"touchstone/key-file/1").derive(opener.value)


def seal(text: str, *, name: str, key: bytes) -> str:
    """Return the sealed content of the secret file of this name."""
    nonce = secrets.token_bytes(12)
    sealed = AESGCM(key).encrypt(nonce, text.encode(), _name(name))
    return canonical.encode({"format": SEALED, "nonce": nonce.hex(), "sealed": sealed.hex()}).decode()


def is_sealed(text: str) -> bool:
    """Whether a secret file's content is sealed."""
    return f'"format":"{SEALED}"' in text[:64]


def unseal(text: str, *, name: str, key: bytes) -> str:
    """Return what was sealed as the secret file of this name.

    Raises:
        Locked: if it was sealed under another key or name, or was changed.
    """
    try:
        told = json.loads(text)
        opened = AESGCM(key).decrypt(bytes.fromhex(told["nonce"]), bytes.fromhex(told["sealed"]), _name(name))
        return opened.decode()
    except (InvalidTag, ValueError, KeyError, TypeError):
        raise Locked(
            f"{name} was not sealed here, or was changed", fix="put it back from a backup of this home"
        ) from None


def _name(name: str) -> bytes:
    return b"touchstone/sealed/1\x00" + name.encode()
