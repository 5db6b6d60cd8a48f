"""An invite: one line that carries everything a party needs to enrol once, fit to be read over the phone.

It is written in groups of five characters: four of base 32 without I, L, O and U, and one that checks them and their place, so
that a mistyped group is named. Inside: address, role, name, the beginning of the log's id, the pin of the certificate if there
is one, when it ends, and a secret. The secret never travels: a key that follows from it signs the enrolment, and the exchange
keeps only the public half.
"""

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.identity import ROLES
from exchange.tls import PIN_BYTES
from privacy.errors import Malformed
from privacy.terms import check_party

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: what looks alike reads alike
_ALIKE = str.maketrans("OIL", "011", " -\r\n\t")
_GROUP = 4
_VERSION = 1
_CHECK_BYTES = 3
LOG_BYTES, SECRET_BYTES = 16, 16
LONGEST_URL = 200


@dataclass(frozen=True, slots=True)
class Invite:
    """Who may enrol as what until when (seconds since 1970), where, and how the exchange is known.

    ``log`` are the first 16 bytes of the log's id, ``pin`` that of the certificate or nothing, ``secret`` 16 bytes.
    """

    party: str
    role: str
    expires: int
    url: str
    log: bytes
    pin: bytes | None
    secret: bytes

    @property
    def key(self) -> Ed25519PrivateKey:
        """The key that follows from the secret and signs the enrolment."""
        return Ed25519PrivateKey.from_private_bytes(
            HKDF(SHA256(), 32, None, b"touchstone/invite/1").derive(self.secret)
        )

    def __repr__(self) -> str:
        return f"Invite({self.party} as {self.role}, secret)"

    def spelled(self) -> str:
        """Return the line."""
        scheme, _, rest = self.url.partition("://")
        kind = ROLES.index(self.role) | (0x40 if scheme == "https" else 0) | (0x80 if self.pin is not None else 0)
        party = self.party.encode("ascii")
        body = bytes([_VERSION, kind]) + self.expires.to_bytes(4) + self.log + (self.pin or b"") + self.secret
        body += bytes([len(party)]) + party + rest.encode("ascii")
        return _spell(body + hashlib.sha256(body).digest()[:_CHECK_BYTES])

    @classmethod
    def read(cls, line: str) -> "Invite":
        """Parse a line as it was typed: small or capital letters, with or without hyphens and spaces.

        Raises:
            Malformed: naming the group that is mistyped, or that the line is not whole.
        """
        data = _unspell(line)
        body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        for padding in (0, 1, 2):  # groups end on half a byte: zeros fill the last one
            if padding and (len(data) <= _CHECK_BYTES + padding or any(data[-padding:])):
                break
            whole = data[: len(data) - padding]
            body, check = whole[:-_CHECK_BYTES], whole[-_CHECK_BYTES:]
            if hashlib.sha256(body).digest()[:_CHECK_BYTES] == check:
                return cls._parse(body)
        raise Malformed("the invite is not whole", fix="copy it again, from its first group to its last")

    @classmethod
    def _parse(cls, body: bytes) -> "Invite":
        try:
            if body[0] != _VERSION:
                raise Malformed("the invite is of another release", fix="install the release of the exchange")
            kind, rest = body[1], memoryview(body)[6:]
            pinned = PIN_BYTES if kind & 0x80 else 0
            log, pin = bytes(rest[:LOG_BYTES]), bytes(rest[LOG_BYTES : LOG_BYTES + pinned])
            rest = rest[LOG_BYTES + pinned :]
            secret, length = bytes(rest[:SECRET_BYTES]), rest[SECRET_BYTES]
            party = bytes(rest[SECRET_BYTES + 1 :][:length]).decode("ascii")
            host = bytes(rest[SECRET_BYTES + 1 + length :]).decode("ascii")
            made = cls(
                party=check_party(party),
                role=ROLES[kind & 0x3F],
                expires=int.from_bytes(body[2:6]),
                url=f"{'https' if kind & 0x40 else 'http'}://{host}",
                log=log,
                pin=pin if pinned else None,
                secret=secret,
            )
        except (IndexError, ValueError):
            raise Malformed("the invite is not whole", fix="copy it again, from its first group to its last") from None
        return made


def check_url(url: str) -> str:
    """Return the address of an exchange as an invite carries it.

    Raises:
        Malformed: if it is not a plain http or https address.
    """
    scheme, _, rest = url.rstrip("/").partition("://")
    plain = rest.isascii() and rest.isprintable() and not set(rest) & set(" /?#@\\")
    if scheme not in ("http", "https") or not rest or not plain or len(url) > LONGEST_URL:
        raise Malformed("the address is not one of an exchange", fix="give it as https://host:port")
    return f"{scheme}://{rest}"


def _spell(data: bytes) -> str:
    bits = len(data) * 8
    count = -(-bits // (5 * _GROUP)) * _GROUP
    number = int.from_bytes(data) << (count * 5 - bits)
    digits = [number >> (5 * place) & 31 for place in reversed(range(count))]
    groups = [digits[at : at + _GROUP] for at in range(0, count, _GROUP)]
    return "-".join(
        "".join(_ALPHABET[digit] for digit in (*group, _check(place, group))) for place, group in enumerate(groups)
    )


def _unspell(line: str) -> bytes:
    text = line.upper().translate(_ALIKE)
    digits: list[int] = []
    for place in range(-(-len(text) // (_GROUP + 1))):
        group = [_ALPHABET.find(character) for character in text[place * 5 : place * 5 + 5]]
        if len(group) != _GROUP + 1 or -1 in group or _check(place, group[:_GROUP]) != group[_GROUP]:
            raise Malformed(
                f"group {place + 1} of the invite is mistyped", fix="compare it; each group has five characters"
            )
        digits += group[:_GROUP]
    number = 0
    for digit in digits:
        number = number << 5 | digit
    spare = len(digits) * 5 % 8
    return (number >> spare).to_bytes(len(digits) * 5 // 8) if not number & ((1 << spare) - 1) else b""


def _check(place: int, group: list[int]) -> int:
    """Check four digits and their place over GF(32): any one wrong character, and any two neighbours swapped, are found."""
    value = place % 31 + 1
    for digit in group:
        value = _doubled(value) ^ digit
    return _doubled(value)


def _doubled(value: int) -> int:
    return (value << 1 ^ (0x25 if value & 16 else 0)) & 31
