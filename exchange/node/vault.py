"""What a node keeps on disk: its keys, the parties it trusts, its dataset and policy, and the ledger of what was spent.

Everything but the keys is an event in the node's own journal; DuckDB holds the projection. The order of an answer is
fixed: the charge is durable before rows are read, the noised cells before they are sealed, the sealed answer before it is
sent. A crash at any point repeats nothing: a charge without cells is continued, cells without an answer are sealed again
for the next session, an answer is re-sent as it stands.
"""

import json
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import identity
from exchange.book import Book
from exchange.journal import RolledBack
from exchange.node import cases, custody, pins, reserves
from exchange.node.engine import SourceFault
from exchange.node.prepared import Prepared
from exchange.node.sandbox import Sandbox
from exchange.node.source import Dataset
from exchange.node.tables import PROJECTION
from exchange.pins import Change
from exchange.protocol.access import together
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Overreach, PeerFault, Unknown
from exchange.protocol.messages import AccessRequest, expect
from exchange.protocol.session import Move, Part, advance
from privacy import canonical
from privacy.approval import Approval, Consent, Manner
from privacy.atoms import atoms
from privacy.errors import Malformed, Refused
from privacy.ledger import Caps, Receipt, Reserve, Spent, charge, drawable, remaining
from privacy.necessity import Outcome, decide
from privacy.noise import Noised
from privacy.offences import APPROVAL, Request
from privacy.plan import Plan
from privacy.policy import Policy

Versions = Mapping[str, str]
"""The public versions of the parties' data, by party."""

NO_VERSIONS: Versions = MappingProxyType({})
_HELD = "SELECT document FROM dataset LEFT JOIN withdrawn ON withdrawn.dataset = dataset.name "

Row = Callable[[str, list[Any]], tuple[Any, ...] | None]
"""Runs one SELECT with its parameters and returns its first row."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where this node stands in one session: its stage, the ask, its accept, the roster it signed, its last reply."""

    session: str
    part: Part
    ask: Envelope
    accept: Envelope
    roster: str | None
    reply: Envelope | None


@dataclass(frozen=True, slots=True)
class Account:
    """What is left of one purpose's budget for one partner (1e-9 rho) and which cap is tightest."""

    cap: str
    left: int


class Vault:
    """One node's memory. Reads go to committed state, writes through the book's single writer."""

    def __init__(
        self,
        book: Book,
        *,
        party: str,
        signing: Ed25519PrivateKey,
        sampling: bytes,
        prepared: Prepared,
        comparing: bytes | None = None,
    ) -> None:
        """``comparing`` is the key that institutions share for fingerprints, if this node has it."""
        self.book = book
        self.party = party
        self.signing = signing
        self.sampling = sampling
        self.prepared = prepared
        self.comparing = comparing
        self.cases = cases.Cases(book)
        self.kept = custody.Kept(book)
        self.reserves = reserves.Reserves(book)

    @classmethod
    def open(cls, home: Path, *, clock: Callable[[], int]) -> "Vault":
        """Open the vault under ``home``; ``clock`` gives microseconds since 1970.

        Raises:
            Unknown: if no node was made there.
            Locked: if its keys are protected, and not by what was given.
        """
        party, signing = identity.load(home, what="node")
        try:
            sampling = identity.read_bytes(home / "sampling.key", 32)
        except (OSError, ValueError):
            raise Unknown("node under this directory") from None
        comparing = custody.held_key(home)
        book = Book.open(home, owner=party, projection=PROJECTION, clock=clock)
        # the book is this process's alone from here on, and the prepared tables with it
        directory = home / "prepared"
        prepared = Prepared(directory, sampling_key=sampling, engines=Sandbox(directory))
        return cls(book, party=party, signing=signing, sampling=sampling, prepared=prepared, comparing=comparing)

    def close(self) -> None:
        """Finish what is queued and close the files."""
        self.prepared.close()
        self.book.close()

    def prepare(self) -> None:
        """Make the prepared tables that are missing or torn, and delete those of datasets no longer in force.

        Where a source cannot be read now, its rows are read where they lie when a question comes.
        """
        held = self.datasets()
        self.prepared.keep(held)
        for dataset in held:
            try:
                self.prepared.make(dataset)
            except SourceFault as fault:
                log.warning("no prepared table for %s: %s; %s", dataset.name, fault.reason, fault.fix)

    @property
    def head(self) -> tuple[int, str]:
        """Where the journal stands: seq and hash of its last entry."""
        return self.book.head

    @property
    def moment(self) -> int:
        """Time of the journal's last entry (microseconds since 1970): no clock that is right shows an earlier one."""
        return self.book.journal.moment

    def check_witness(self, seq: int, head: str) -> None:
        """Make sure that the journal holds a head that this node has shown before.

        Raises:
            RolledBack: if it does not: an old copy of the ledger was put in place, and answering would refill budgets.
        """
        if self.book.journal.hash_at(seq) != head:
            raise RolledBack(
                f"this ledger ends before entry {seq}, which the exchange has witnessed",
                file="journal",
                offset=0,
                seq=seq,
                fix="put the newest journal back. If it is lost: lower every budget in the policy by what may have been "
                "spent since, then have the exchange's operator run `touchstone exchange reset-witness`",
            )

    # -- facts -----------------------------------------------------------------------------------------------------

    def pin(self, party: str, key: bytes, *, role: str, replaces: bytes | None = None) -> None:
        """Trust a party's Ed25519 key (32 bytes), checked out of band, for what its role may do.

        Institutions count on a roster, officers of this institution approve requests, everybody but officers asks. Another key
        takes the place of the pinned one only if it is told which that is: ``replaces``.

        Raises:
            Malformed: if there is no such role.
            PeerFault: if other facts are pinned for this party, or the key for another one.
        """
        if role not in identity.ROLES:
            raise Malformed("there is no such role", fix=f"roles: {', '.join(identity.ROLES)}")
        told = {"party": party, "key": key.hex(), "role": role}

        def decide(cursor: duckdb.DuckDBPyConnection) -> tuple[list[tuple[str, Any]], None]:
            held = _within(cursor)("SELECT key, role FROM pinned WHERE party = ?", [party])
            same = held == (key.hex(), role)
            if held is not None and not same and (replaces is None or held != (replaces.hex(), role)):
                raise PeerFault(
                    "other facts are pinned for this party", fix="compare fingerprints with the party by phone"
                )
            # one key under two names would let one person approve as two
            if _within(cursor)("SELECT 1 FROM pinned WHERE key = ? AND party <> ?", [key.hex(), party]) is not None:
                raise PeerFault("this key is pinned for another party", fix="have each party make a key of its own")
            return ([] if same else [("pinned", told)]), None

        self.book.write(decide)

    def institutions(self) -> frozenset[str]:
        """Return the pinned parties that are institutions, and this one."""
        rows = self.book.read("SELECT party FROM pinned WHERE role = 'institution'")
        return frozenset(str(row["party"]) for row in rows) | {self.party}

    def dismiss(self, officer: str) -> None:
        """Take an officer's key away: what it approved is not in force any more, whatever it signs counts for nothing.

        Raises:
            Unknown: if no officer of this name is pinned.
        """

        def decide(cursor: duckdb.DuckDBPyConnection) -> tuple[list[tuple[str, Any]], None]:
            if _within(cursor)("SELECT 1 FROM pinned WHERE party = ? AND role = 'officer'", [officer]) is None:
                raise Unknown("officer")
            return [("dismissed", {"party": officer})], None

        self.book.write(decide)

    def role(self, party: str) -> str | None:
        """Return the role that a party is pinned for, if it is."""
        row = self._row("SELECT role FROM pinned WHERE party = ?", [party])
        return None if row is None else str(row[0])

    def key(self, fingerprint: str) -> Envelope | None:
        """Return the envelope of a Paillier key whose proof this node has verified."""
        row = self._row("SELECT envelope FROM paillier WHERE fingerprint = ?", [fingerprint])
        return None if row is None else Envelope.from_json(json.loads(row[0]))

    def keep_key(self, fingerprint: str, envelope: Envelope) -> None:
        """Record a verified Paillier key."""
        body = {"fingerprint": fingerprint, "envelope": envelope.to_json()}
        self.book.write(lambda _: ([("key", body)], None))

    def directory(self) -> Mapping[str, bytes]:
        """Return the pinned keys of those who may ask, answer and offer: of everybody but officers."""
        rows = self.book.read("SELECT party, key FROM pinned WHERE role <> 'officer'")
        return {row["party"]: bytes.fromhex(row["key"]) for row in rows}

    def signed(self, envelope: Envelope) -> Mapping[str, bytes]:
        """Return the key under which an envelope that is on record here holds: its signer's at the time."""
        return pins.signed(self.book, envelope)

    def follow(self, changes: Sequence[Change]) -> None:
        """Follow the changes of keys, all that the exchange has, that the pinned keys have signed."""
        pins.follow(self.book, changes)

    def officers(self) -> Mapping[str, bytes]:
        """Return the pinned keys of this institution's officers."""
        rows = self.book.read("SELECT party, key FROM pinned WHERE role = 'officer' ORDER BY party")
        return {row["party"]: bytes.fromhex(row["key"]) for row in rows}

    def keep(self, dataset: Dataset, policy: Policy) -> None:
        """Record a dataset and its policy together, or neither.

        Raises:
            Refused: if the dataset would replace another one or draw on another population's budget.
            PeerFault: if this or a newer version of the policy with other content is in force.
            Refused: if it would break what is kept back for a live pledge.
        """

        def decide(cursor: duckdb.DuckDBPyConnection) -> tuple[list[tuple[str, Any]], None]:
            events = _unless(self._dataset_row(cursor, dataset), "dataset", dataset.to_json())
            news = self._policy_events(cursor, policy)
            if news:
                self._check_reserves(cursor, policy)
            return events + news, None

        self.book.write(decide)

    def dataset(self, standard: str) -> Dataset:
        """Return the dataset held under a standard.

        Raises:
            Unknown: if there is none.
        """
        row = self._row(_HELD + "WHERE standard = ? AND withdrawn.seq IS NULL", [standard])
        if row is None:
            raise Unknown("dataset")
        return Dataset.from_json(json.loads(row[0]))

    def datasets(self) -> list[Dataset]:
        """Return every dataset of this node that was not withdrawn."""
        rows = self.book.read(_HELD + "WHERE withdrawn.seq IS NULL ORDER BY name")
        return [Dataset.from_json(json.loads(row["document"])) for row in rows]

    def policy(self, dataset: str) -> Policy:
        """Return the policy in force for a dataset.

        Raises:
            Unknown: if there is none, or the dataset was withdrawn.
        """
        row = self._row(
            "SELECT document FROM policy LEFT JOIN withdrawn USING (dataset) WHERE dataset = ? AND seq IS NULL",
            [dataset],
        )
        if row is None:
            raise Unknown("policy")
        return Policy.from_json(json.loads(row[0]))

    def withdraw(self, dataset: str, *, because: str) -> None:
        """Hold a dataset no more: it is not announced, answers nothing and cannot be pledged. Its charges stay charged.

        Raises:
            Unknown: if there is none of that name.
        """

        def decide(cursor: duckdb.DuckDBPyConnection) -> tuple[list[tuple[str, Any]], None]:
            if _within(cursor)("SELECT 1 FROM withdrawn WHERE dataset = ?", [dataset]) is not None:
                return [], None
            if _within(cursor)("SELECT 1 FROM dataset WHERE name = ?", [dataset]) is None:
                raise Unknown("dataset")
            return [("withdrawn", {"dataset": dataset, "because": because})], None

        self.book.write(decide)
        self.prepared.keep(self.datasets())

    # -- approvals -------------------------------------------------------------------------------------------------

    def demanded(self, plan: Plan, *, asker: str, on: date) -> Consent:
        """Return how the grant that covers such a request of a day is approved; who keeps nothing is covered, if anybody is.

        Raises:
            Overreach: if no grant covers it, whoever approves.
            Unknown: if no dataset is held under the plan's standard.
        """
        dataset = self.dataset(plan.standard)
        request = Request(plan, asker, self.role(asker), keeps=0, on=on)
        decision = decide(request, standard=dataset.standard, policies=[self.pointed(dataset, on)], approvals=())
        match decision.outcome:
            case Outcome.ALLOW:
                return Consent()
            case Outcome.ESCALATE:
                return decision.grants[0].consent
            case _:
                beyond = tuple(violation for violation in decision.violations if violation.item != APPROVAL)
                raise Overreach(beyond, decision.nearest, decision.keeps)

    def approvals(self, on: date, *, asker: str | None = None) -> list[Approval]:
        """Return what officers have approved, for one asker or for all, and is in force on a day.

        The policy and the pins of now decide: whatever was approved under others counts as far as these let it.
        """
        officers = self.officers()
        found = []
        for request, consented in self.cases.approved(on, asker=asker):
            asked = expect(request, self.signed(request), AccessRequest)
            plan = Plan.from_json(asked.plan)
            try:
                consent = self.demanded(plan, asker=request.signer, on=on)
            except (Overreach, Unknown):  # the policy has been narrowed since
                continue
            if consent.manner is Manner.AUTOMATIC or (asked.standing and consent.manner is not Manner.STANDING):
                continue
            ends = {
                one.officer: min(one.until, one.day + timedelta(days=consent.days))
                for one in consented
                if one.officer in officers
            }
            until = together(ends.values(), persons=consent.persons)
            if until is not None and on <= until:
                found.append(
                    Approval(
                        asker=request.signer,
                        purpose=plan.purpose,
                        plan_hash=None if asked.standing else plan.hash,
                        atoms=frozenset(map(str, atoms(plan))),
                        rho=plan.rho,
                        until=until,
                        persons=frozenset(officer for officer, end in ends.items() if on <= end),
                    )
                )
        return found

    # -- sessions --------------------------------------------------------------------------------------------------

    def standing(self, session: str) -> Standing | None:
        """Return where this node stands in a session, if it has judged it."""
        row = self._row("SELECT stage, ask, accept, roster, reply FROM part WHERE session = ?", [session])
        if row is None:
            return None
        reply = None if row[4] is None else Envelope.from_json(json.loads(row[4]))
        ask, accept = (Envelope.from_json(json.loads(text)) for text in row[1:3])
        return Standing(session, Part(row[0]), ask=ask, accept=accept, roster=row[3], reply=reply)

    def judged(self, ask: Envelope, *, plan_hash: str, part: Part, reply: Envelope) -> None:
        """Record a verdict before it is sent."""
        body = {
            "session": ask.id,
            "stage": part.value,
            "plan_hash": plan_hash,
            "asker": ask.signer,
            "ask": ask.to_json(),
            "reply": reply.to_json(),
        }
        self.book.write(lambda _: ([("judged", body)], None))

    def move(self, session: str, move: Move, *, roster: str | None = None, reply: Envelope | None = None) -> None:
        """Take the next step in a session, as the table allows it, before anything is sent.

        Raises:
            PeerFault: if the table does not allow it.
        """

        def decide(cursor: duckdb.DuckDBPyConnection) -> tuple[list[tuple[str, Any]], None]:
            return [self._moved(cursor, session, move, roster=roster, reply=reply)], None

        self.book.write(decide)

    def reserve(self, quote: Envelope, *, dataset: Dataset, until: str) -> tuple[int, str]:
        """Keep back what a verified quote agrees on for a step-in, durably and once; return amount (1e-9 rho) and last day.

        Raises:
            Exhausted: if too little is left besides what is kept back already; nothing is kept.
            Refused: if the policy lets one party spend less, or the reserve was given back.
        """
        return self.reserves.take(
            quote, dataset=dataset.name, population=dataset.population, until=until, spent=_in_all, policy=_in_force
        )

    def drawn_from(self, dataset: Dataset, *, partner: str, purpose: str, day: date) -> str | None:
        """Return the pledge whose reserve pays for a partner's questions on a day: after a step-in, for its purpose."""
        drawing, to = self.reserves.drawing(dataset.name, day=day.isoformat()), self.pointed(dataset, day).pointing
        if drawing is None or to is None or (to.party, to.purpose) != (partner, purpose):
            return None
        return drawing.pledge

    def pointed(self, dataset: Dataset, day: date) -> Policy:
        """Return the policy of a dataset as it stands on a day: with the step-in that this node has verified, if there is one.

        Raises:
            Unknown: if there is no policy.
        """
        drawing = self.reserves.drawing(dataset.name, day=day.isoformat())
        policy = self.policy(dataset.name)
        if drawing is None:
            return policy
        return policy.pointed(drawing.to, role=self.role(drawing.to.party))

    def charge(
        self,
        plan: Plan,
        *,
        session: str,
        partner: str,
        dataset: Dataset,
        versions: Versions = NO_VERSIONS,
        pledge: str | None = None,
    ) -> tuple[Receipt, int]:
        """Charge a plan once per version of the data, durably, and return the receipt and what was charged now (1e-9 rho).

        A repeated plan over the same roster and version is answered from the stored noised cells: it costs nothing.
        ``versions`` are all parties' versions; an answer with shared noise belongs to all of them together. ``pledge`` is the
        one whose reserve pays (:meth:`drawn_from`); without it whatever is kept back for pledges stays whole.

        Raises:
            Exhausted: if a cap has no room; nothing is charged.
            Refused: if the reserve was given back meanwhile.
        """
        answer = _answer(plan, dataset, versions)
        caps = self.policy(dataset.name).caps

        def decide(cursor: duckdb.DuckDBPyConnection) -> tuple[list[tuple[str, Any]], tuple[Receipt, int]]:
            moved = self._moved(cursor, session, Move.CHARGE, roster=None, reply=None)
            spent = _spent(_within(cursor), population=dataset.population, partner=partner, purpose=plan.purpose)
            kept = reserves.kept(_all_within(cursor), dataset.population)
            drawn = _drawn(kept, pledge)
            if _within(cursor)("SELECT 1 FROM charge WHERE answer = ?", [answer]) is not None:
                _, left = _room(caps, spent, purpose=plan.purpose, kept=kept, drawn=drawn)
                receipt = Receipt(plan.hash, dataset.population, partner, plan.purpose, charged=0, left=left)
                return [moved], (receipt, 0)
            receipt = charge(
                plan,
                caps=caps,
                spent=spent,
                population=dataset.population,
                partner=partner,
                reserves=kept,
                drawn=drawn,
            )
            body = {
                "answer": answer,
                "session": session,
                "population": dataset.population,
                "partner": partner,
                "purpose": plan.purpose,
                "plan_hash": plan.hash,
                "nano": receipt.charged,
            }
            if receipt.reserve is not None:
                body["reserve"] = receipt.reserve
            return [("charged", body), moved], (receipt, receipt.charged)

        return self.book.write(decide)

    def price(self, plan: Plan, *, partner: str, dataset: Dataset, pledge: str | None = None) -> tuple[int, Account]:
        """Return what a plan would cost now (1e-9 rho; 0 if its answer is stored) and what is left before it.

        ``pledge`` is the one whose reserve would pay, as in :meth:`charge`.
        """
        account = self.room(partner=partner, purpose=plan.purpose, dataset=dataset, pledge=pledge)
        if plan.shared is None:
            stored = self._row("SELECT 1 FROM charge WHERE answer = ?", [_answer(plan, dataset, NO_VERSIONS)])
        else:  # whose versions it will meet is not known yet: the charge itself decides
            stored = self._row("SELECT 1 FROM charge WHERE plan_hash = ?", [plan.hash])
        return (0 if stored else plan.rho), account

    def room(self, *, partner: str, purpose: str, dataset: Dataset, pledge: str | None = None) -> Account:
        """Return what a partner has left for a purpose; ``pledge`` is the one whose reserve would pay, as in :meth:`charge`."""
        spent = _spent(self._row, population=dataset.population, partner=partner, purpose=purpose)
        kept = reserves.kept(self._rows, dataset.population)
        caps = self.policy(dataset.name).caps
        return Account(*_room(caps, spent, purpose=purpose, kept=kept, drawn=_drawn(kept, pledge)))

    def noised(self, plan: Plan, dataset: Dataset, versions: Versions = NO_VERSIONS) -> Noised | None:
        """Return the stored noised cells of a charged plan, if they were drawn."""
        row = self._row("SELECT cells FROM noised WHERE answer = ?", [_answer(plan, dataset, versions)])
        return None if row is None else Noised(plan.hash, tuple(int(cell) for cell in json.loads(row[0])))

    def keep_noised(self, noised: Noised, plan: Plan, dataset: Dataset, versions: Versions = NO_VERSIONS) -> None:
        """Store noised cells durably; from now on they are the only answer to this plan."""
        body = {"answer": _answer(plan, dataset, versions), "cells": [str(value) for value in noised.values]}
        self.book.write(lambda _: ([("noised", body)], None))

    def spending(self) -> list[dict[str, Any]]:
        """Return every charge so far, oldest first."""
        return self.book.read("SELECT * FROM charge ORDER BY seq")

    def kept_back(self) -> list[dict[str, Any]]:
        """Return every reserve that was ever kept back for a pledge, oldest rank first, with what is left of it (1e-9 rho)."""
        return [
            {
                "pledge": one.pledge,
                "dataset": one.dataset,
                "population": one.population,
                "purpose": one.purpose,
                "nano": one.nano,
                "left": one.left,
                "pledge_is": one.agreement.state.value,
                "given_back": one.ended,
            }
            for one in self.reserves.held(ended=True)
        ]

    def consent(self, offer: str) -> Envelope | None:
        """Return what was answered to a lender's offer."""
        row = self._row("SELECT reply FROM consent WHERE offer = ?", [offer])
        return None if row is None else Envelope.from_json(json.loads(row[0]))

    def keep_consent(self, offer: str, reply: Envelope) -> None:
        """Record the answer to a lender's offer before it is sent."""
        self.book.write(lambda _: ([("consented", {"offer": offer, "reply": reply.to_json()})], None))

    def _row(self, sql: str, values: list[Any]) -> tuple[Any, ...] | None:
        return next(iter(self._rows(sql, values)), None)

    def _rows(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.book.read(sql, values)]

    # -- inside the writer -------------------------------------------------------------------------------------------

    def _moved(
        self,
        cursor: duckdb.DuckDBPyConnection,
        session: str,
        move: Move,
        *,
        roster: str | None,
        reply: Envelope | None,
    ) -> tuple[str, Any]:
        row = _within(cursor)("SELECT stage FROM part WHERE session = ?", [session])
        if row is None:
            raise Unknown("session")
        stage = advance(Part(row[0]), move)
        told = reply.to_json() if reply is not None else None
        return "moved", {"session": session, "stage": stage.value, "roster": roster, "reply": told}

    def _dataset_row(self, cursor: duckdb.DuckDBPyConnection, dataset: Dataset) -> bool:
        held = _within(cursor)("SELECT name, version, document FROM dataset WHERE standard = ?", [dataset.standard.id])
        gone = {row[0] for row in cursor.execute("SELECT dataset FROM withdrawn").fetchall()}
        if dataset.name in gone:
            raise Refused("a dataset of this name was withdrawn", fix="give what follows it a name of its own")
        if held is not None and held[0] != dataset.name and held[0] not in gone:
            raise Refused("another dataset is registered under this standard", fix="keep its name, change its source")
        # another name for the same people would start with a full budget
        if held is not None and json.loads(held[2])["population"] != dataset.population:
            raise Refused("the dataset's population has a budget of its own", fix="keep the population's name")
        return held is not None and held[1] == canonical.digest(dataset.to_json())

    def _check_reserves(self, cursor: duckdb.DuckDBPyConnection, policy: Policy) -> None:
        reserves.check_policy(
            _all_within(cursor), policy, spent=lambda population, purpose: _in_all(cursor, population, purpose)
        )

    def _policy_events(self, cursor: duckdb.DuckDBPyConnection, policy: Policy) -> list[tuple[str, Any]]:
        held = _within(cursor)("SELECT version, document FROM policy WHERE dataset = ?", [policy.dataset])
        if held is not None and json.loads(held[1]) == policy.to_json():
            return []
        if held is not None and held[0] >= policy.version:
            raise PeerFault("this or a newer version of the policy is in force", fix="raise the version")
        return [("policy", policy.to_json())]


def _answer(plan: Plan, dataset: Dataset, versions: Versions) -> str:
    """Name of the one stored answer to a plan over a version of the data; the plan names its roster.

    Standalone, a party's noise protects its own cells alone, so its own version counts. Shared noise protects the sum:
    were one party to draw anew while the others repeat theirs, the difference of two sums would face its share only.
    """
    if plan.shared is None:
        return canonical.digest([plan.hash, dataset.name, dataset.refreshed])
    if tuple(sorted(versions)) != plan.parties:
        raise Refused("shared noise needs the versions of all parties", fix="open a new session")
    return canonical.digest([plan.hash, dataset.name, dict(versions)])


def create(home: Path, *, party: str) -> Ed25519PrivateKey:
    """Make a node's keys under ``home`` (files readable by their owner alone) and return the signing key.

    Raises:
        PeerFault: if a node was made there before.
    """
    signing = identity.make(home, party=party, what="node")
    complete(home)
    return signing


def complete(home: Path) -> None:
    """Make what a node keeps beside its signing key, if the making of it was stopped in between."""
    if not (home / "sampling.key").exists():
        identity.write_key(home / "sampling.key", secrets.token_bytes(32).hex())


def _within(cursor: duckdb.DuckDBPyConnection) -> Row:
    """Return the way to read one row as the writer sees it."""
    return lambda sql, values: cursor.execute(sql, values).fetchone()


def _all_within(cursor: duckdb.DuckDBPyConnection) -> reserves.Read:
    """Return the way to read rows as the writer sees them."""
    return lambda sql, values: cursor.execute(sql, values).fetchall()


def _in_force(cursor: duckdb.DuckDBPyConnection, dataset: str) -> Policy:
    row = _within(cursor)("SELECT document FROM policy WHERE dataset = ?", [dataset])
    if row is None:
        raise Unknown("policy")
    return Policy.from_json(json.loads(row[0]))


def _in_all(cursor: duckdb.DuckDBPyConnection, population: str, purpose: str) -> Spent:
    """What was spent whoever asked: no partner has a name like this."""
    return _spent(_within(cursor), population=population, partner="", purpose=purpose)


def _drawn(kept: Sequence[Reserve], pledge: str | None) -> Reserve | None:
    if pledge is None:
        return None
    found = next((one for one in kept if one.pledge == pledge), None)
    if found is None:
        raise Refused("the reserve was given back", fix="ask again")
    return found


def _room(caps: Caps, spent: Spent, *, purpose: str, kept: Sequence[Reserve], drawn: Reserve | None) -> tuple[str, int]:
    """Return the tightest limit's name and what it has left, never less than nothing."""
    cap, left = remaining(caps, spent, purpose=purpose, reserves=kept) if drawn is None else drawable(drawn, spent)
    return cap, max(0, left)


def _unless(known: bool, kind: str, body: Any) -> list[tuple[str, Any]]:  # noqa: FBT001  a private shorthand
    return [] if known else [(kind, body)]


def _spent(row: Row, *, population: str, partner: str, purpose: str) -> Spent:
    sums = row(
        "SELECT coalesce(sum(nano), 0), coalesce(sum(nano) FILTER (WHERE partner = ?), 0), "
        "coalesce(sum(nano) FILTER (WHERE purpose = ?), 0) FROM charge WHERE population = ?",
        [partner, purpose, population],
    )
    return Spent() if sums is None else Spent(*(int(value) for value in sums))
