"""Typed reading of the exchange's catalogue, whose tables ``tables.py`` makes from its journal."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from exchange.hub import traces
from exchange.hub.search import FACETS, UNDECLARED_LEVEL
from exchange.projection import Find
from exchange.protocol import pledge
from exchange.protocol.envelope import Envelope
from exchange.protocol.rotation import signed_by
from exchange.protocol.session import OVER, Session, Stage
from privacy.policy import Policy
from privacy.terms import Standard

Asked = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Runs one SELECT with its parameters and returns its rows."""

HELD = Find("dataset", ("asset", "id", "standard", "population", "level"), ("asset",))
UNDER = Find("dataset", ("asset",), ("owner", "standard"))
STANDING = Find("standing", ("asset", "state", "id"), ("asset",))
"""What is asked when a dataset is registered."""


_NAMES = (
    "asset", "owner", "standard", "title", "population", "columns", "refreshed", "level", "declared", "registered",
    "since", "state", "because", "successor", "changed",
)  # fmt: skip
_LISTED = "state <> 'withdrawn'"
_METADATA = (
    "SELECT dataset.asset AS asset, owner, standard, title, population, columns, refreshed, level, declared, "
    "dataset.seq AS registered, dataset.since AS since, coalesce(standing.state, 'active') AS state, because, successor, "
    "CASE WHEN coalesce(standing.seq, 0) > dataset.seq THEN standing.seq ELSE dataset.seq END AS changed "
    "FROM dataset LEFT JOIN standing ON standing.asset = dataset.asset"
)


@dataclass(frozen=True, slots=True)
class Lien:
    """A live pledge: one per asset and rank; ``seq`` is the entry of the journal that registered it."""

    asset: str
    rank: int
    holder: str
    offer: str
    since: str
    seq: int
    expires: str


class View:
    """Typed reading: of what was committed, or of what the single writer sees while it decides."""

    def __init__(self, rows: Asked) -> None:
        self.rows = rows

    def signer(self, party: str) -> Mapping[str, bytes]:
        """Return the present Ed25519 key of one party; nothing if there is no such party, or its key was revoked."""
        found = self.rows("SELECT key FROM party WHERE id = ? AND revoked IS NULL", [party])
        return {party: bytes.fromhex(found[0][0])} if found else {}

    def signed(self, envelope: Envelope) -> Mapping[str, bytes]:
        """Return the key under which an envelope that is on record holds: its signer's at the time, whatever it has now."""
        keys = self.rows("SELECT key FROM held WHERE party = ? ORDER BY since DESC", [envelope.signer])
        if len(keys) == 1:
            return {envelope.signer: bytes.fromhex(keys[0][0])}
        return signed_by(envelope, [bytes.fromhex(key) for (key,) in keys])

    def given_up(self, party: str) -> list[tuple[bytes, bool]]:
        """Return the keys that a party has no more, newest first, each with whether it was revoked."""
        sql = "SELECT key, revoked FROM held WHERE party = ? AND until IS NOT NULL ORDER BY since DESC"
        return [(bytes.fromhex(key), bool(revoked)) for key, revoked in self.rows(sql, [party])]

    def given_up_at(self, party: str) -> list[int]:
        """Return the entries at which a party's keys were replaced or revoked."""
        return [
            int(seq) for (seq,) in self.rows("SELECT until FROM held WHERE party = ? AND until IS NOT NULL", [party])
        ]

    def owner_of(self, key: str) -> str | None:
        """Return the party that has, or had, a key (64 hexadecimal digits)."""
        return next((row[0] for row in self.rows("SELECT party FROM held WHERE key = ?", [key])), None)

    def rotations(
        self, *, after: int = 0, limit: int = 1 << 31, party: str | None = None
    ) -> list[tuple[int, Envelope]]:
        """Return the changes of keys after an entry of the journal, of all parties or of one, oldest first."""
        found = self.rows(
            "SELECT seq, envelope FROM rotation WHERE seq > ? AND party = coalesce(?, party) ORDER BY seq LIMIT ?",
            [after, party, limit],
        )
        return [(seq, _opened(text)) for seq, text in found]

    def last_rotation(self) -> int:
        """Return the entry of the last change of a key; 0 if there was none."""
        return int(self.rows("SELECT coalesce(max(seq), 0) FROM rotation", [])[0][0])

    def changed_parties(self) -> set[str]:
        """Return the parties that have had another key before, or have none now."""
        return {row[0] for row in self.rows("SELECT DISTINCT party FROM held WHERE until IS NOT NULL", [])}

    def invite(self, key: str) -> dict[str, Any] | None:
        """Return the invite of a public key, if it is its party's last, and whether the party was enrolled since."""
        names = ("party", "name", "role", "expires", "used")
        found = self.rows(
            "SELECT invite.party, invite.name, invite.role, expires, coalesce(party.seq, 0) > invite.seq FROM invite "
            "LEFT JOIN party ON party.id = invite.party WHERE invite.key = ? "
            "AND invite.seq = (SELECT max(other.seq) FROM invite other WHERE other.party = invite.party)",
            [key],
        )
        return dict(zip(names, found[0], strict=True)) if found else None

    def revoked(self) -> dict[str, str]:
        """Return the parties whose key is revoked, with the time."""
        return dict(self.rows("SELECT id, revoked FROM party WHERE revoked IS NOT NULL", []))

    def standard_before(self, standard: Standard) -> Standard | None:
        """Return the newest published version of a standard below the given one."""
        listed = [row[0].rpartition("/") for row in self.rows("SELECT id FROM standard", [])]
        older = [int(v) for name, _, v in listed if name == standard.name and int(v) < standard.version]
        return self.standard(f"{standard.name}/{max(older)}") if older else None

    def standard_digest(self, name: str) -> str | None:
        """Return the digest of a published standard by ``name/version``."""
        return next((row[0] for row in self.rows("SELECT digest FROM standard WHERE id = ?", [name])), None)

    def parties(self) -> list[dict[str, str]]:
        """Return every registered party."""
        found = self.rows("SELECT id, name, role, key FROM party ORDER BY id", [])
        return [dict(zip(("id", "name", "role", "key"), row, strict=True)) for row in found]

    def role(self, party: str) -> str | None:
        """Return the role of a party, if it is registered."""
        return next((row[0] for row in self.rows("SELECT role FROM party WHERE id = ?", [party])), None)

    def standard(self, name: str) -> Standard | None:
        """Return a published standard by ``name/version``."""
        found = self.rows("SELECT document FROM standard WHERE id = ?", [name])
        return _parsed(found[0][0]) if found else None

    def find(self, find: Find, *values: str) -> list[tuple[Any, ...]]:
        """Return what is asked by key."""
        return self.rows(find.sql, values)

    def state(self, asset: str) -> str:
        """Return whether a dataset is ``active``, ``deprecated`` or ``withdrawn``."""
        return next((row[1] for row in self.find(STANDING, asset)), "active")

    def dataset(self, asset: str) -> dict[str, Any] | None:
        """Return the metadata of one dataset that is not withdrawn."""
        found = self.record(asset)
        return None if found is None or found["state"] == "withdrawn" else found

    def record(self, asset: str) -> dict[str, Any] | None:
        """Return the metadata of one dataset, even a withdrawn one."""
        return next(iter(self._datasets("dataset.asset = ?", [asset])), None)

    def standing_at(self) -> tuple[int, str]:
        """Return the entry of the journal that the catalogue stands at: seq and hash."""
        seq, digest = self.rows("SELECT applied_seq, head FROM meta", [])[0]
        return int(seq), str(digest)

    def changed(self, after: int, most: int) -> list[dict[str, Any]]:
        """Return the metadata of up to ``most`` datasets that changed after an entry of the journal, in that order."""
        return self._datasets("changed > ?", [after], limit=most)

    def tally(self, conditions: Mapping[str, str], most: int) -> dict[str, dict[str, int]]:
        """Count the datasets that meet all conditions (facet to value) by facet: of each, its ``most`` frequent values."""
        told = {facet: facet for facet in FACETS}
        told["level"] = f"coalesce(CAST(level AS VARCHAR), '{UNDECLARED_LEVEL}')"
        tests = [f"{told[facet]} = ?" for facet in conditions] + ([] if "state" in conditions else [_LISTED])
        counts = {}
        for facet, value in told.items():
            sql = (
                f"SELECT {value}, count(*) FROM ({_METADATA}) WHERE {' AND '.join(tests)} "  # noqa: S608  constant names
                f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {most}"
            )
            counts[facet] = {str(value): int(count) for value, count in self.rows(sql, list(conditions.values()))}
        return counts

    def standards(self) -> list[dict[str, Any]]:
        """Return every published standard with how many datasets are listed under it."""
        listed = f"SELECT asset, standard FROM ({_METADATA}) WHERE {_LISTED}"  # noqa: S608  constant text
        sql = (
            f"SELECT standard.id, standard.digest, count(held.asset) FROM standard LEFT JOIN ({listed}) held "  # noqa: S608  constant text
            "ON held.standard = standard.id GROUP BY standard.id, standard.digest ORDER BY standard.id"
        )
        return [dict(zip(("id", "digest", "datasets"), row, strict=True)) for row in self.rows(sql, [])]

    def registration(self, asset: str) -> tuple[Envelope, int, str] | None:
        """Return the envelope that registered a dataset last, with its entry of the journal and its time."""
        found = self.versions(asset)
        return None if not found else found[-1]

    def versions(self, asset: str) -> list[tuple[Envelope, int, str]]:
        """Return all registrations of a dataset, oldest first, with their entries of the journal and times."""
        found = self.rows("SELECT envelope, seq, since FROM version WHERE asset = ? ORDER BY seq", [asset])
        return [(_opened(text), seq, at) for text, seq, at in found]

    def standing(self, asset: str) -> tuple[Envelope, int, str] | None:
        """Return the envelope that deprecated or withdrew a dataset, with its entry of the journal and its time."""
        found = self.rows("SELECT envelope, seq, since FROM standing WHERE asset = ?", [asset])
        return None if not found else (_opened(found[0][0]), found[0][1], found[0][2])

    def policy(self, asset: str) -> Policy | None:
        """Return the policy in force for one dataset."""
        found = self.rows("SELECT document FROM policy WHERE asset = ?", [asset])
        return Policy.from_json(json.loads(found[0][0])) if found else None

    def policies_for(self, standard: str, party: str) -> list[Policy]:
        """Return the policies of a party's datasets under a standard."""
        found = self.rows(
            "SELECT policy.document FROM policy JOIN dataset USING (asset) WHERE dataset.standard = ? AND owner = ? "
            "AND asset NOT IN (SELECT asset FROM standing WHERE state = 'withdrawn')",
            [standard, party],
        )
        return [Policy.from_json(json.loads(row[0])) for row in found]

    def key(self, fingerprint: str) -> Envelope | None:
        """Return the envelope that registered a Paillier key."""
        found = self.rows("SELECT envelope FROM paillier WHERE fingerprint = ?", [fingerprint])
        return _opened(found[0][0]) if found else None

    def registered_keys(self) -> list[Envelope]:
        """Return the envelopes of all registered Paillier keys."""
        return [_opened(row[0]) for row in self.rows("SELECT envelope FROM paillier", [])]

    def witnessed(self, party: str) -> tuple[int, str] | None:
        """Return the latest head of a node's journal that the node has shown: seq and hash."""
        found = self.rows("SELECT seq, hash FROM witness WHERE party = ?", [party])
        return (int(found[0][0]), str(found[0][1])) if found else None

    def session(self, session_id: str) -> tuple[Session, Envelope, int] | None:
        """Return a session with the ask that opened it and its deadline (seconds since 1970)."""
        found = self.rows(
            "SELECT stage, plan_hash, key_fingerprint, parties, expires, ask FROM session WHERE id = ?", [session_id]
        )
        if not found:
            return None
        stage, plan_hash, fingerprint, parties, expires, ask = found[0]
        boxes: dict[str, dict[str, Envelope]] = {"accept": {}, "commit": {}, "share": {}}
        ended_by = None
        for kind, party, text in self.rows(
            "SELECT kind, party, envelope FROM message WHERE session = ? ORDER BY party", [session_id]
        ):
            envelope = _opened(text)
            if kind in boxes:
                boxes[kind][party] = envelope
            else:
                ended_by = envelope
        session = Session(
            id=session_id,
            plan_hash=plan_hash,
            key_fingerprint=fingerprint,
            parties=tuple(parties),
            stage=Stage(stage),
            accepts=boxes["accept"],
            commits=boxes["commit"],
            shares=boxes["share"],
            ended_by=ended_by,
        )
        return session, _opened(ask), expires

    def open_sessions(self, party: str) -> list[str]:
        """Return the ids of a party's sessions that are not over."""
        return self._unfinished("list_contains(parties, ?)", party)

    def open_sessions_under(self, party: str, standard: str) -> list[str]:
        """Return the ids of a party's sessions over a standard that are not over."""
        asked = (
            (name, self.rows("SELECT ask FROM session WHERE id = ?", [name])) for name in self.open_sessions(party)
        )
        return [name for name, rows in asked if _plan_standard(rows[0][0]) == standard]

    def late_sessions(self, now: int) -> list[str]:
        """Return the ids of sessions that are not over although their deadline has passed (``now`` in seconds)."""
        return self._unfinished("expires < ?", now)

    def promised(self, session_id: str) -> list[Mapping[str, Any]]:
        """Return the entries of the log that an answered session is promised."""
        return traces.promised(self.rows(traces.PROMISED, [session_id]))

    def product(self, session_id: str) -> list[str] | None:
        """Return the folded ciphertexts of an answered session (wire form)."""
        found = self.rows("SELECT ciphertexts FROM product WHERE session = ?", [session_id])
        return json.loads(found[0][0]) if found else None

    def appraised(self, appraisal: str, asset: str) -> bool:
        """Whether an appraisal of this id for this asset is on record."""
        return bool(self.rows("SELECT 1 FROM appraisal WHERE id = ? AND asset = ?", [appraisal, asset]))

    def lien(self, asset: str, rank: int) -> Lien | None:
        """Return the live lien of one rank on an asset."""
        return next((lien for lien in self.liens(asset) if lien.rank == rank), None)

    def liens(self, asset: str) -> list[Lien]:
        """Return the live liens on an asset, by rank."""
        names = "asset, rank, holder, offer, since, seq, expires"
        found = self.rows(f"SELECT {names} FROM lien WHERE asset = ? ORDER BY rank", [asset])  # noqa: S608  constant names
        return [Lien(*row) for row in found]

    def operator(self, asset: str) -> tuple[str, str] | None:
        """Return who has the fees and grants of an asset in its owner's place, and since when."""
        found = self.rows("SELECT operator, since FROM entitlement WHERE asset = ?", [asset])
        return (found[0][0], found[0][1]) if found else None

    def entitled_by(self, asset: str) -> str | None:
        """Return the pledge under which somebody has the fees and grants of an asset in its owner's place."""
        return next((str(row[0]) for row in self.rows("SELECT offer FROM entitlement WHERE asset = ?", [asset])), None)

    def offer(self, offer: str) -> dict[str, Any] | None:
        """Return a quote with its state and envelope; ``lender`` is who holds the pledge now."""
        return next(iter(self._offers("id = ?", [offer], limit=1)), None)

    def offers_of(self, caller: str, *, lenders: Sequence[str], before: int, limit: int) -> list[dict[str, Any]]:
        """Return the quotes of a lender, to an owner, or of some lenders, newest first; ``before`` is an entry's seq."""
        condition = "(lender = ? OR owner = ? OR list_contains(?::VARCHAR[], lender)) AND seq < ?"
        return self._offers(condition, [caller, caller, list(lenders), before], limit=limit)

    def steps(self, offer: str) -> list[tuple[Envelope | None, int, str, Any]]:
        """Return the steps of a pledge since its quote: envelope (none when it lapsed), entry, time, and what was paid out."""
        found = self.rows("SELECT envelope, seq, since, paid FROM step WHERE offer = ? ORDER BY seq", [offer])
        return [
            (None if text is None else _opened(text), seq, since, None if paid is None else json.loads(paid))
            for text, seq, since, paid in found
        ]

    def stepped(self, offer: str, step: str) -> bool:
        """Whether a pledge has taken a step, by the id of its envelope."""
        return bool(self.rows("SELECT 1 FROM step WHERE offer = ? AND id = ?", [offer, step]))

    def overdue(self, day: str) -> list[str]:
        """Return the pledges that are not over although their last day is before a day (ISO)."""
        over = ", ".join(f"'{state.value}'" for state in sorted(pledge.OVER))
        sql = f"SELECT id FROM offer WHERE state NOT IN ({over}) AND until < ? ORDER BY seq"  # noqa: S608  constant text
        return [row[0] for row in self.rows(sql, [day])]

    def open_offers(self, owner: str) -> list[Envelope]:
        """Return the offers that wait for an owner's consent."""
        found = self.rows("SELECT envelope FROM offer WHERE owner = ? AND awaits = 'owner' ORDER BY seq", [owner])
        return [_opened(row[0]) for row in found]

    def publications(self, owner: str, standard: str) -> list[Envelope]:
        """Return the envelopes that put the policies of an owner's datasets under a standard in force."""
        found = self.rows(
            "SELECT policy.envelope FROM policy JOIN dataset USING (asset) WHERE owner = ? AND dataset.standard = ? "
            "ORDER BY asset",
            [owner, standard],
        )
        return [_opened(row[0]) for row in found]

    def officers(self, owner: str) -> frozenset[str]:
        """Return the officers that an institution has named."""
        return frozenset(row[0] for row in self.rows("SELECT party FROM officer WHERE owner = ?", [owner]))

    def owners(self, officer: str) -> frozenset[str]:
        """Return the institutions that have named a registered officer."""
        if self.role(officer) != "officer":
            return frozenset()
        return frozenset(row[0] for row in self.rows("SELECT owner FROM officer WHERE party = ?", [officer]))

    def access(self, request: str) -> dict[str, Any] | None:
        """Return a request for access by its id."""
        return next(iter(self._requests("id = ?", [request], limit=1)), None)

    def access_of(self, caller: str, *, owners: Sequence[str], before: int | None, limit: int) -> list[dict[str, Any]]:
        """Return the requests that a caller sent, or that wait for one of some owners, newest first."""
        condition = "(asker = ? OR list_has_any(owners, ?::VARCHAR[])) AND seq < ?"
        return self._requests(condition, [caller, list(owners), (1 << 62) if before is None else before], limit=limit)

    def open_access(self, asker: str, day: str) -> int:
        """Return how many requests of an asker may still be ruled on, on a day (ISO)."""
        return int(self.rows("SELECT count(*) FROM access WHERE asker = ? AND closes >= ?", [asker, day])[0][0])

    def rulings(self, request: str, owner: str) -> list[tuple[Envelope, Envelope | None]]:
        """Return the rulings of an owner's officers on a request, oldest first, with its node's word where it came."""
        found = self.rows(
            "SELECT envelope, word FROM ruling WHERE request = ? AND owner = ? ORDER BY seq", [request, owner]
        )
        return [(_opened(ruling), None if word is None else _opened(word)) for ruling, word in found]

    def unheard(self, owner: str, limit: int) -> list[tuple[Envelope, Envelope]]:
        """Return requests with the rulings on them that wait for the word of the owner's node, oldest first."""
        found = self.rows(
            "SELECT access.envelope AS asked, ruling.envelope AS ruled FROM ruling JOIN access ON access.id = ruling.request "
            "WHERE ruling.owner = ? AND ruling.word IS NULL ORDER BY ruling.seq LIMIT ?",
            [owner, limit],
        )
        return [(_opened(request), _opened(ruling)) for request, ruling in found]

    def _requests(self, condition: str, values: list[Any], *, limit: int) -> list[dict[str, Any]]:
        names = ("id", "seq", "since", "asker", "owners", "closes", "envelope")
        sql = f"SELECT {', '.join(names)} FROM access WHERE {condition} ORDER BY seq DESC LIMIT ?"  # noqa: S608  constant
        found = [dict(zip(names, row, strict=True)) for row in self.rows(sql, [*values, limit])]
        return [row | {"envelope": json.loads(row["envelope"])} for row in found]

    def _offers(self, condition: str, values: list[Any], *, limit: int) -> list[dict[str, Any]]:
        names = ("id", "asset", "owner", "lender", "rank", "amount", "matures", "state", "envelope", "seq")
        sql = f"SELECT {', '.join(names)} FROM offer WHERE {condition} ORDER BY seq DESC LIMIT ?"  # noqa: S608  constant
        found = [dict(zip(names, row, strict=True)) for row in self.rows(sql, [*values, limit])]
        return [row | {"envelope": _opened(row["envelope"])} for row in found]

    def _datasets(self, condition: str, values: list[Any], *, limit: int = 1) -> list[dict[str, Any]]:
        sql = f"{_METADATA} WHERE {condition} ORDER BY changed LIMIT {limit}"
        found = []
        for row in self.rows(sql, values):
            told = dict(zip(_NAMES, row, strict=True))
            found.append(told | {"columns": json.loads(told["columns"]), "declared": json.loads(told["declared"])})
        return found

    def _unfinished(self, condition: str, value: Any) -> list[str]:
        over = ", ".join(f"'{stage.value}'" for stage in sorted(OVER))
        sql = f"SELECT id FROM session WHERE stage NOT IN ({over}) AND {condition}"  # noqa: S608  constant text
        return [row[0] for row in self.rows(sql, [value])]


def _opened(text: str) -> Envelope:
    return Envelope.from_json(json.loads(text))


def _plan_standard(ask: str) -> str:
    return str(json.loads(json.loads(ask)["body"])["plan"]["standard"])


@lru_cache(maxsize=1_024)
def _parsed(document: str) -> Standard:
    """Parse a published standard once; it never changes."""
    return Standard.from_json(json.loads(document))
