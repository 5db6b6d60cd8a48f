"""What is said of the exchange's log: its heads, the promise that an answer is in it, and how a party follows it.

An entry's leaf is its canonical JSON of at, body, kind and seq, as the journal keeps it; entry ``seq``, counted from 1, is
leaf ``seq - 1``.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exchange.protocol.attest import Attested
from exchange.protocol.declaration import Hex32
from exchange.protocol.messages import Amount, Cosigned
from exchange.protocol.tree import check_consistency, root_by_inclusion
from privacy import canonical
from privacy.errors import Malformed, Mismatch, PrivacyError

HEAD, PROMISE = "head", "promise"
"""Kinds of statements."""


class Forked(PrivacyError):
    """The exchange signed a log that is not the one it has shown before: no honest exchange can."""

    code = "TS-LOG-002"


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


B = TypeVar("B", bound=_Body)


class TreeHead(_Body):
    """The log at one moment: number of entries, Merkle root, chained hash of the last entry, time in seconds since 1970."""

    size: Amount
    root: Hex32
    chain: Hex32
    at: Amount


class Place(_Body):
    """An entry of the log: its number and the hash of its leaf."""

    seq: Annotated[int, Field(ge=1, lt=1 << 62)]
    leaf: Hex32


class Promise(_Body):
    """The exchange's word that the entries of an answered session stand in its log."""

    session: Hex32
    entries: Annotated[tuple[Place, ...], Field(min_length=1, max_length=256)]


def read_head(document: Any, log: str) -> TreeHead:
    """Verify a signed head (wire form) of the log with this id.

    Raises:
        Mismatch, Malformed: if it is none, or not signed twice by that log.
    """
    return _read(document, log, HEAD, TreeHead)


def read_promise(document: Any, log: str) -> Promise:
    """Verify a promise (wire form) of the log with this id; raises like :func:`read_head`."""
    return _read(document, log, PROMISE, Promise)


def _read(document: Any, log: str, kind: str, cls: type[B]) -> B:
    told = Attested.from_json(document)
    told.verify(log)
    if told.kind != kind:
        raise Mismatch(f"the log said something else than a {kind}", fix="fetch it again from the exchange")
    try:
        return cls.model_validate_json(told.body)
    except ValidationError:
        raise Malformed(f"the log's {kind} is not well formed", fix="use the release of the exchange") from None


def check_follows(head: TreeHead, seen: TreeHead | None, proof: Sequence[bytes]) -> None:
    """Make sure that a head goes on from one that was seen before.

    Raises:
        Forked: if it is shorter, another one of the same length, or not proved to begin with it.
    """
    if seen is None:
        return
    if head.size < seen.size:
        raise Forked(
            f"the log ends at entry {head.size}; it was shown to entry {seen.size} before",
            fix="the exchange was set back to an older copy: have its operator put the newest journal back",
        )
    if head.size == seen.size and (head.root, head.chain) != (seen.root, seen.chain):
        raise Forked(
            f"the log shows other entries up to {seen.size} than before",
            fix="keep both heads and tell the other parties: the exchange keeps two logs",
        )
    try:
        check_consistency(
            old=seen.size,
            old_root=bytes.fromhex(seen.root),
            new=head.size,
            new_root=bytes.fromhex(head.root),
            proof=proof,
        )
    except Mismatch:
        raise Forked(
            f"the log to entry {head.size} does not go on from what it was at entry {seen.size}",
            fix="keep both heads and tell the other parties: the exchange keeps two logs",
        ) from None


def check_inclusion(place: Place, head: TreeHead, path: Sequence[bytes]) -> None:
    """Make sure that an entry stands in the log of a head.

    Raises:
        Mismatch: if the path does not lead from it to the head's root.
    """
    root = root_by_inclusion(bytes.fromhex(place.leaf), index=place.seq - 1, size=head.size, path=path)
    if root.hex() != head.root:
        raise Mismatch(
            f"entry {place.seq} is not in the log as it was promised", fix="show promise and head to a regulator"
        )


def check_cosigned(said: Cosigned, head: TreeHead, proof: Sequence[bytes]) -> None:
    """Make sure that what a party cosigned is the beginning of the log of a head.

    Raises:
        Forked: if it is not.
    """
    seen = TreeHead(size=said.size, root=said.root, chain=head.chain if said.size == head.size else said.root, at=0)
    check_follows(head, seen, proof)


def hashes(told: Any) -> list[bytes]:
    """Parse a proof: a list of hashes of 64 hexadecimal digits each.

    Raises:
        Malformed: if it is something else.
    """
    try:
        found = [bytes.fromhex(item) for item in told]
        spelled = isinstance(told, list) and [item.hex() for item in found] == told and len(found) <= 128
    except (TypeError, ValueError):
        spelled = False
    if not spelled or any(len(item) != 32 for item in found):
        raise Malformed("the proof is not a list of hashes", fix="use the release of the exchange")
    return found


def entry_text(*, seq: int, at: int, kind: str, body: Mapping[str, Any]) -> bytes:
    """Return the bytes of an entry, as they stand in the log."""
    return canonical.encode({"at": at, "body": body, "kind": kind, "seq": seq})
