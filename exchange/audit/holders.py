"""What must hold of who has which key: each enrolled once, changed under its own signature, taken away by the operator.

A key that was given up signs nothing any more, and comes back to nobody.
"""

from collections.abc import Callable, Mapping

from exchange.audit.record import Record, fields, require
from exchange.identity import ROLES
from exchange.journal import Entry
from exchange.protocol.envelope import Envelope
from exchange.protocol.rotation import read_rotation
from privacy.terms import check_party


def _party(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "id", "name", "role", "key")
    party, key = check_party(told["id"]), bytes.fromhex(told["key"])
    require(told["role"] in ROLES and len(key) == 32, "the party's role or key is not valid")
    require(party not in record.directory, f"{party} is enrolled twice")
    require(record.roles.setdefault(party, told["role"]) == told["role"], f"{party} is enrolled anew in another role")
    record.take_key(party, key, seq=entry.seq)
    record.enrolled[party] = entry.seq


def _invited(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "party", "name", "role", "expires", "key")
    party = check_party(told["party"])
    require(told["role"] in ROLES and 0 < len(told["name"]) <= 200, "the invite's role or name is not valid")
    require(party not in record.directory, f"{party} is invited though it is enrolled")
    require(told["expires"] * 1_000_000 > entry.at, "the invite has expired before it was made")
    key = bytes.fromhex(told["key"])
    require(len(key) == 32 and key not in record.invites, "the invite's key is not its own")
    record.invites.add(key)


def _rotated(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = read_rotation(envelope, record.directory)
    record.take_key(envelope.signer, bytes.fromhex(told.key), seq=entry.seq)


def _revoked(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "party", "key", "because")
    party = told["party"]
    require(party in record.directory, "it is about a party that has no key")
    require(record.directory[party].hex() == told["key"], "it is about another key than the party's present one")
    require(isinstance(told["because"], str) and told["because"], "it gives no reason")
    record.drop_key(party, seq=entry.seq)
    record.overrides.append({"seq": entry.seq, "what": "revoked", "party": party, "because": told["because"]})


RULES: Mapping[str, Callable[[Record, Entry], None]] = {
    "party": _party,
    "invited": _invited,
    "rotated": _rotated,
    "revoked": _revoked,
}
