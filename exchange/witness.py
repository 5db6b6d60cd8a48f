"""What a party remembers of the exchange's log: whose it is and the last head, so that no other history passes for it.

In ``log.json`` of the party's own directory. A log that was not pinned by its id is taken at first sight, like an unknown
host; from then on only that one will do. Two signed heads that cannot both be true are kept beside it as evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import identity
from exchange.line import Line
from exchange.pins import reading
from exchange.protocol.attest import Attested
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.log import (
    Forked,
    Place,
    TreeHead,
    check_cosigned,
    check_follows,
    check_inclusion,
    hashes,
    read_head,
)
from exchange.protocol.messages import Cosigned, expect
from privacy import canonical
from privacy.errors import Malformed, Mismatch

STALE = 3600
"""Seconds by which a head may be older than it is shown: the exchange signs anew every minute."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A head that was checked, as signed, with what parties that the reader pins have cosigned of its log: party to size."""

    head: TreeHead
    signed: Mapping[str, Any]
    cosigned: Mapping[str, int]


FILE = "log.json"


def followed(home: Path) -> str | None:
    """Return the id of the log that the party under ``home`` follows, if it follows one.

    Raises:
        Unknown: if what is written there cannot be read.
    """
    document = _document(home / FILE)
    return None if document is None else str(document["log"])


class Witness:
    """The log as one party has followed it; one thread at a time."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE
        self._log: str | None = None
        self._signed: dict[str, Any] | None = None
        self._head: TreeHead | None = None
        self._told = 0  # size up to which the exchange has this party's cosignature
        self._read()

    @property
    def log(self) -> str | None:
        """Id of the log that is followed."""
        return self._log

    @property
    def head(self) -> TreeHead | None:
        """The last head, if one was seen."""
        return self._head

    @property
    def size(self) -> int:
        """Number of entries of the last head."""
        return 0 if self._head is None else self._head.size

    def pin(self, log: str) -> None:
        """Follow the log with this id (64 hexadecimal digits) and no other, and forget what was seen before."""
        self._log, self._signed, self._head, self._told = log, None, None, 0
        self._write()

    def take(self, told: Any, *, now: int, directory: Mapping[str, bytes] | None = None) -> Seen:
        """Check a head that the exchange shows and remember it; ``now`` in seconds, ``directory`` are pinned parties' keys.

        Raises:
            Forked: if the exchange signed another history than before, or than a pinned party cosigned.
            Mismatch: if it is not signed by the followed log, or is too old.
            Malformed, PeerFault: if it is no head.
        """
        match told:
            case {"head": dict(signed), "consistency": list(proof), "cosigned": list(listed)}:
                pass
            case _:
                raise PeerFault("the exchange shows no head of its log", fix="check the address and the version")
        log = self._log or Attested.from_json(signed).keys.id
        head = read_head(signed, log)
        if head.at < now - STALE:
            raise Mismatch(f"the log's head is {now - head.at} s old", fix="set the clock, or tell the operator")
        seen = self.head
        try:
            check_follows(head, seen, hashes(proof))
            cosigned = _cosigned(listed, head, log, directory or {})
        except Forked:
            self._keep_evidence(signed, listed)
            raise
        if self._log is None or seen is None or (head.size, head.at) > (seen.size, seen.at):
            self._log, self._signed, self._head = log, dict(signed), head
            self._write()
        return Seen(head, signed, cosigned)

    def look(self, line: Line, *, now: int, directory: Mapping[str, bytes] | None = None, covering: int = 0) -> Seen:
        """Fetch a head that covers an entry and check it; raises like :meth:`take`."""
        return self.take(line.get(f"/v1/log/head?since={self.size}&covering={covering}"), now=now, directory=directory)

    def prove(self, line: Line, place: Place, head: TreeHead) -> list[str]:
        """Fetch and check the audit path of an entry in the log of a head.

        Raises:
            Mismatch: if it is not in it.
        """
        match line.get(f"/v1/log/inclusion?seq={place.seq}&leaf={place.leaf}&size={head.size}"):
            case {"path": list(path)}:
                check_inclusion(place, head, hashes(path))
                return path
        raise PeerFault("the exchange's answer is no proof", fix="check the address and the version")

    def cosign(self, party: str, key: Ed25519PrivateKey) -> Envelope | None:
        """Sign that this party has seen the last head, unless the exchange has been told so before."""
        head = self.head
        if head is None or self._log is None or head.size <= self._told:
            return None
        return Cosigned(log=self._log, size=head.size, root=head.root).sealed_by(party, key)

    def told(self, size: int) -> None:
        """Remember that the exchange has this party's cosignature of a head of ``size``."""
        self._told = max(self._told, size)

    def _read(self) -> None:
        document = _document(self._file)
        if document is None:
            return
        self._log, self._signed = document["log"], document["head"]
        try:
            self._head = None if self._signed is None else read_head(self._signed, self._log)
        except (KeyError, TypeError, Malformed, Mismatch):
            raise _unreadable() from None

    def _write(self) -> None:
        identity.write_secret(self._file, canonical.encode({"log": self._log, "head": self._signed}).decode())

    def _keep_evidence(self, signed: Mapping[str, Any], listed: Sequence[Any]) -> None:
        document = {"seen": self._signed, "shown": dict(signed), "cosigned": list(listed)}
        identity.write_secret(self._file.with_name("log-forked.json"), canonical.encode(document).decode())


def _document(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        match canonical.decode(file.read_bytes()):
            case {"log": str(log), "head": dict() | None as head}:
                return {"log": log, "head": head}
    except (OSError, Malformed):
        raise _unreadable() from None
    raise _unreadable()


def _unreadable() -> Unknown:
    return Unknown("readable log.json under this directory; pin the log's id again")


def _cosigned(listed: Sequence[Any], head: TreeHead, log: str, directory: Mapping[str, bytes]) -> dict[str, int]:
    """Check what pinned parties have cosigned against a head; others' word counts for nothing here."""
    found: dict[str, int] = {}
    for item in listed:
        match item:
            case {"said": dict(said), "consistency": list(proof)}:
                envelope = Envelope.from_json(said)
            case _:
                raise PeerFault("the exchange's list is not one of cosignatures", fix="check the version")
        if envelope.signer not in directory:
            continue
        told = expect(envelope, reading(directory, envelope), Cosigned)
        if told.log != log:
            raise Mismatch(f"{envelope.signer} has cosigned another log", fix="compare the log's id with that party")
        check_cosigned(told, head, hashes(proof))
        found[envelope.signer] = told.size
    return found
