"""The keys that a party pins with others, in its own directory: as checked out of band, then as their owners changed them.

``pinned.json`` holds the present keys, ``past-keys.json`` those that their owners have replaced, with the entry of the log from
which on each signs nothing any more. A change is followed if the pinned key signed it; nothing else moves a pin.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from exchange import identity
from exchange.line import Line
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.messages import unverified
from exchange.protocol.rotation import Rotation, chain, signed_by
from privacy import canonical
from privacy.errors import Malformed, PrivacyError

PINNED, PAST = "pinned.json", "past-keys.json"
_MOST_PAGES = 1_000

_log = logging.getLogger(__name__)

Change = tuple[int, Envelope]
"""A change of a key with its entry of the log."""


def fetch(line: Line, *, after: int = 0) -> list[Change]:
    """Fetch the changes of keys after an entry of the log, unchecked.

    Raises:
        PeerFault, Malformed: if the exchange answers with something else.
    """
    found: list[Change] = []
    for _ in range(_MOST_PAGES):
        match line.get(f"/v1/rotations?after={after}"):
            case {"rotations": list(rows)}:
                page = [_change(row) for row in rows]
            case _:
                raise _foreign()
        if not page:
            return found
        if any(later[0] <= earlier for earlier, later in zip((after, *(seq for seq, _ in page)), page, strict=False)):
            raise _foreign()
        found += page
        after = page[-1][0]
    raise _foreign()


class Pins(Mapping[str, bytes]):
    """The pinned keys under a directory, by party; ``fetching`` asks the exchange for changes, where one is at hand."""

    def __init__(self, home: Path, fetching: Callable[[], Sequence[Change]] | None = None) -> None:
        """Read the pins.

        Raises:
            Unknown: if there are none, or they cannot be read.
        """
        self._home = home
        self._fetching = fetching
        try:
            held = canonical.decode((home / PINNED).read_bytes())
            past = json.loads((home / PAST).read_text("ascii")) if (home / PAST).exists() else {}
            self._held = {party: bytes.fromhex(key) for party, key in held.items()}
            self._past = {
                party: [(bytes.fromhex(key), int(until)) for key, until in keys] for party, keys in past.items()
            }
        except (OSError, ValueError, TypeError, AttributeError, Malformed):
            raise Unknown("desk under this directory") from None

    def __getitem__(self, party: str) -> bytes:
        return self._held[party]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def add(self, party: str, key: bytes, *, replaces: bytes | None = None) -> None:
        """Pin another party's key, checked out of band; the same again changes nothing.

        Another key takes the place of the pinned one only if it is told which that is: ``replaces``.

        Raises:
            PeerFault: if another key is pinned for it, or this key for another party.
        """
        if self._held.get(party, key) not in (key, replaces):
            raise PeerFault("another key is pinned for this party", fix="compare keys with the party by phone")
        if any(name != party and held == key for name, held in self._held.items()):
            raise PeerFault("this key is pinned for another party", fix="have each party make a key of its own")
        self._held[party] = key
        self._write()

    def _write(self) -> None:
        held = {party: key.hex() for party, key in self._held.items()}
        identity.write_secret(self._home / PINNED, canonical.encode(held).decode())

    def of(self, envelope: Envelope, *, seq: int | None = None) -> Mapping[str, bytes]:
        """Return the key under which to read what a party has signed: the pinned one, or one that was its key before.

        Where the entry ``seq`` is known at which it is on record, a key that had been given up by then is none. If the pinned
        key did not sign it, the exchange is asked first whether the party has changed its key.

        Raises:
            Mismatch: if the party shows another key, for which the pinned one did not sign.
        """
        party = envelope.signer
        if party not in self._held or envelope.holds(self._held[party]):
            return self._held
        self.follow()
        past = [key for key, until in self._past.get(party, ()) if seq is None or seq < until]
        return signed_by(envelope, [self._held[party], *past])

    def present(self, envelope: Envelope) -> Mapping[str, bytes]:
        """Return the pinned keys, followed anew if the signer's did not sign this; raises like :meth:`of`."""
        if envelope.signer in self._held and not envelope.holds(self._held[envelope.signer]):
            self.follow()
        return self._held

    def follow(self) -> None:
        """Fetch the changes of pinned keys, follow those that the pinned keys have signed, and write the pins anew.

        Raises:
            Mismatch: if a party shows another key, for which the pinned one did not sign.
        """
        if self._fetching is None:
            return
        try:
            changes = self._fetching()
        except PrivacyError as error:  # nothing is followed then; what was signed by another key is refused as such
            _log.warning("changes of keys could not be fetched: %s; %s", error.reason, error.fix)
            return
        moved = False
        for party in self._held:
            told = [(seq, envelope) for seq, envelope in changes if envelope.signer == party]
            for envelope in chain(party, held=self._held[party], changes=[envelope for _, envelope in told]):
                until = next(seq for seq, one in told if one is envelope)
                self._past.setdefault(party, []).insert(0, (self._held[party], until))
                self._held[party] = bytes.fromhex(unverified(envelope, Rotation).key)
                _log.info("%s has changed its key, signed by the one before", party)
                moved = True
        if moved:
            past = {party: [[key.hex(), until] for key, until in keys] for party, keys in self._past.items()}
            identity.write_secret(self._home / PAST, json.dumps(past))
            self._write()


def reading(directory: Mapping[str, bytes], envelope: Envelope) -> Mapping[str, bytes]:
    """Return the keys to read a pinned party's word under: as it pins them, with changes followed where the pins can."""
    return directory.of(envelope) if isinstance(directory, Pins) else directory


def remember_own(home: Path, party: str, key: bytes, *, until: int) -> None:
    """Note that a key of the directory's own party signs nothing from an entry on."""
    path = home / PAST
    past: dict[str, Any] = json.loads(path.read_text("ascii")) if path.exists() else {}
    keys = past.setdefault(party, [])
    if [key.hex(), until] not in keys:
        keys.insert(0, [key.hex(), until])
        identity.write_secret(path, json.dumps(past))


def own_keys(home: Path, party: str, present: bytes) -> list[bytes]:
    """Return the keys that the directory's own party has and had, the present one first."""
    path = home / PAST
    past = json.loads(path.read_text("ascii")).get(party, []) if path.exists() else []
    return [present, *(bytes.fromhex(key) for key, _ in past)]


def _change(row: Any) -> Change:
    match row:
        case {"seq": int(seq), "envelope": dict(document)}:
            return seq, Envelope.from_json(document)
    raise _foreign()


def _foreign() -> PrivacyError:
    return PeerFault("the exchange's list is not one of changed keys", fix="report the exchange")
