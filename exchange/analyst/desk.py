"""The asker's desk: the only place where a joint answer is opened. It trusts pinned node keys, not the exchange.

What the exchange returns is checked from the signed messages up: every party of the plan accepted it, committed to one
roster and answered; the product of the signed ciphertexts is recomputed here; the decrypted sums must lie in the range
that the plan allows.
"""

import json
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from exchange import identity
from exchange.line import Line, monotonic
from exchange.pins import PINNED, Pins, fetch, own_keys
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Overreach, PeerFault, Unknown
from exchange.protocol.messages import (
    Abort,
    Accept,
    Ask,
    Commit,
    Decline,
    Indication,
    Key,
    Message,
    Offence,
    Preview,
    Share,
    Verdict,
    expect,
    read,
)
from exchange.protocol.rotation import signed_by
from exchange.protocol.session import OVER, Stage, check_commits, roster_hash
from privacy import canonical, seal
from privacy.atoms import atoms
from privacy.errors import Mismatch, Refused
from privacy.expression import decimals
from privacy.ledger import coalitions, epsilon
from privacy.offences import Violation
from privacy.packing import layout_of, unpack
from privacy.plan import Plan, Sum
from privacy.proof import prove
from privacy.purposes import PURPOSES
from privacy.release import Release
from privacy.sensitivity import calibrate
from privacy.terms import DELTA, Standard
from privacy.unseal import SecretKey

PATIENCE = 120
"""Seconds that a session may take before it expires without cost to anybody who has not charged."""

MARGIN = 90
"""Seconds that a desk waits for the end of a session beyond its deadline: clocks may differ by a minute."""

_MOST_PAGES = 1_000

HELD = 60
"""Seconds that the exchange is asked to hold a preview."""

STAGES = frozenset(stage.value for stage in Stage)

M = TypeVar("M", bound=Message)
Progress = Callable[[str, tuple[str, ...]], None]
"""Told of a session's stage and of the parties that it waits for."""


def unwatched(_stage: str, _waiting: tuple[str, ...]) -> None:
    """Follow a session without telling anybody."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A release with its receipt (canonical JSON), the least count of a group worth showing, and the data's versions."""

    release: Release
    receipt: Mapping[str, Any]
    min_group: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan would meet now; binds nobody.

    ``verdicts`` has each party of the plan, with ``None`` for one that did not answer in time: not on line, or at work on
    another answer. ``violations`` are the exchange's own, by the published policies, with the ``nearest`` plan that passes
    them, if there is one; its result would be kept for ``keeps`` days at most.
    """

    verdicts: Mapping[str, Verdict | None]
    violations: tuple[Violation, ...]
    nearest: Plan | None
    keeps: int | None = None

    @property
    def allowed(self) -> bool:
        """Whether the exchange and every party would answer."""
        told = [verdict.outcome if verdict is not None else None for verdict in self.verdicts.values()]
        return not self.violations and all(isinstance(outcome, Indication) for outcome in told)


class Desk:
    """One asker with its keys, its pinned parties and its line to the exchange; ``ticking`` tells seconds that pass."""

    def __init__(
        self,
        home: Path,
        line_to: Callable[[str, Ed25519PrivateKey], Line],
        *,
        ticking: Callable[[], float] = monotonic,
    ) -> None:
        self.party, self._signing = identity.load(home, what="desk")
        self._home = home
        self._directory = Pins(home, lambda: fetch(self.line))
        self._key: SecretKey | None = None
        self._registered = False
        self._ticking = ticking
        self._deadlines: dict[str, float] = {}
        self._standards: dict[str, Standard] = {}
        self.line = line_to(self.party, self._signing)

    @property
    def key(self) -> SecretKey:
        """The Paillier key of this desk, made at first use and kept in a file that only its owner can read."""
        if self._key is None:
            path = self._home / "paillier.json"
            if path.exists():
                try:
                    self._key = SecretKey.from_jwk(json.loads(identity.read_key(path)))
                except (OSError, ValueError):
                    raise Unknown("readable paillier.json of this desk: put it back from a backup") from None
            else:
                made = SecretKey.generate()
                identity.write_key(path, json.dumps(made.to_jwk()))
                self._key = made
        return self._key

    @property
    def pinned(self) -> Pins:
        """The keys that this desk trusts, by party; changes that these keys have signed are followed."""
        return self._directory

    @property
    def public(self) -> bytes:
        """Public half of the party's own Ed25519 key (32 bytes)."""
        return self._signing.public_key().public_bytes_raw()

    def sign(self, message: Message) -> Envelope:
        """Put a message into an envelope signed by this party."""
        return message.sealed_by(self.party, self._signing)

    def standard(self, name: str) -> Standard:
        """Return a published standard, ``name/version``, fetched once: it never changes, and a plan pins what it says."""
        if name not in self._standards:
            self._standards[name] = Standard.from_json(self.line.get(f"/v1/standards/{name}"))
        return self._standards[name]

    def standards(self) -> frozenset[str]:
        """Return the standards, ``name/version``, under which a dataset is listed."""
        match self.line.get("/v1/standards"):
            case {"standards": list(rows)} if all(isinstance(row, dict) for row in rows):
                return frozenset(str(row["id"]) for row in rows if row.get("datasets"))
        raise PeerFault("the exchange's list is not one of standards", fix="report the exchange")

    def role(self, party: str) -> str | None:
        """Return the role that a party is registered for at the exchange, which it may be wrong about; nothing if it is not."""
        match self.line.get("/v1/parties"):
            case {"parties": list(rows)} if all(isinstance(row, dict) for row in rows):
                return next((str(row.get("role")) for row in rows if row.get("id") == party), None)
        raise PeerFault("the exchange's list is not one of parties", fix="report the exchange")

    def holders(self, standard: str) -> tuple[str, ...]:
        """Return the institutions whose dataset is listed under a standard."""
        return tuple(sorted({row["owner"] for row in self._listed(standard)}))

    def versions(self, plan: Plan) -> dict[str, str]:
        """Return the published versions of the data of a plan's parties; a party that withdrew its data has none."""
        told = {row["owner"]: row["refreshed"] for row in self._listed(plan.standard)}
        return {party: told[party] for party in plan.parties if party in told}

    def record(self, session: str) -> Mapping[str, Any]:
        """Return what the exchange tells of a session now, unchecked."""
        return dict(self.line.get(f"/v1/sessions/{session}"))

    def _listed(self, standard: str) -> list[dict[str, str]]:
        """Return what is listed under a standard, page by page."""
        asked = {"standard": standard, "limit": "500"}
        found: list[dict[str, str]] = []
        for _ in range(_MOST_PAGES):
            match self.line.get(f"/v1/datasets?{urlencode(asked)}"):
                case {"datasets": list(rows), "next": str() | None as following} if all(
                    isinstance(row, dict) for row in rows
                ):
                    found += [{key: str(row.get(key)) for key in ("owner", "standard", "refreshed")} for row in rows]
                    if following is None:
                        return [row for row in found if row["standard"] == standard]
                    asked["cursor"] = following
                case _:
                    raise PeerFault("the exchange's list is not one of datasets", fix="report the exchange")
        raise PeerFault("the exchange's list of datasets does not end", fix="report the exchange")

    def ask(self, plan: Plan, *, now: int, keeps: int | None = None, seconds: int = PATIENCE) -> str:
        """Open a session for a plan and return its id; ``now`` in seconds since 1970, to be answered in ``seconds``.

        ``keeps`` is for how many days the result will be kept at most; as long as the purpose needs, if not given.

        Raises:
            Overreach: if minimum necessity refuses it.
        """
        message = Ask(
            plan=plan.to_json(),
            keeps=usual_keeps(plan.purpose) if keeps is None else keeps,
            key=self.registered_key(),
            nonce=secrets.token_hex(32),
            expires=now + seconds,
        )
        signed = self.sign(message)
        asked = self._ticking()
        told = self.line.post("/v1/sessions", signed)
        if told != {"id": signed.id}:
            raise Mismatch("the exchange opened another session than the one asked for", fix="report the exchange")
        self._deadlines[signed.id] = asked + seconds
        return signed.id

    def preview(self, plan: Plan, *, now: int, keeps: int | None = None, seconds: int = 5) -> Outlook:
        """Ask every node of a plan whether it would answer and at what price, for nothing; at most ``seconds``, to 60.

        ``now`` in seconds since 1970; ``keeps`` as in :meth:`ask`. No session is opened and nothing is recorded anywhere.

        Raises:
            Unknown: if a party of the plan holds no such dataset.
            PeerFault, Mismatch, Malformed: if the exchange tells of something else than this preview.
        """
        days = usual_keeps(plan.purpose) if keeps is None else keeps
        signed = self.sign(Preview(plan=plan.to_json(), keeps=days, nonce=secrets.token_hex(32), expires=now + HELD))
        until = self._ticking() + min(seconds, HELD)
        if self.line.post("/v1/previews", signed) != {"id": signed.id}:
            raise Mismatch("the exchange opened another preview than the one asked for", fix="report the exchange")
        seen = -1
        while True:
            left = until - self._ticking()
            wait = min(10, max(0, math.ceil(left)))
            outlook = self._outlook(self.line.get(f"/v1/previews/{signed.id}?wait={wait}&seen={seen}"), signed.id, plan)
            heard = sum(verdict is not None for verdict in outlook.verdicts.values())
            if heard == len(plan.parties) or left <= 0:
                return outlook
            seen = heard

    def _outlook(self, record: Any, preview: str, plan: Plan) -> Outlook:
        """Check a preview's record: what nodes say by their signatures; what the exchange says is its own word."""
        match record:
            case {
                "verdicts": list(listed),
                "violations": list(offences),
                "nearest": nearest,
                "keeps": int() | None as days,
            }:
                pass
            case _:
                raise PeerFault("the exchange's record is not that of a preview", fix="report the exchange")
        verdicts: dict[str, Verdict | None] = dict.fromkeys(plan.parties)
        for envelope in map(Envelope.from_json, listed):
            verdict = expect(envelope, self._directory.present(envelope), Verdict)
            if (verdict.preview, verdict.plan_hash) != (preview, plan.hash):
                raise Mismatch("a verdict is about another preview or plan", fix="report the exchange")
            if verdicts.get(envelope.signer, verdict) is not None:
                raise Mismatch("a verdict is not that of one party of the plan", fix="report the exchange")
            verdicts[envelope.signer] = verdict
        try:
            items = [Offence.model_validate(offence) for offence in offences]
        except ValidationError:
            raise PeerFault("the exchange's violations are not well formed", fix="report the exchange") from None
        violations = tuple(Violation(**item.model_dump()) for item in items)
        return Outlook(verdicts, violations, None if nearest is None else Plan.from_json(nearest), days)

    def registered_key(self) -> str:
        """Register this desk's key with the exchange, once, and return its fingerprint."""
        public = self.key.public
        if not self._registered:
            path = self._home / "registered-key.json"
            if not path.exists():
                proof = self.key.prove(context=self.party)
                signed = self.sign(Key(key=public.to_jwk(), proof=proof.to_json(public)))
                path.write_bytes(canonical.encode(signed.to_json()))
            signed = Envelope.from_json(canonical.decode(path.read_bytes()))
            self.line.post("/v1/keys", signed.resigned(self._signing))
            self._registered = True
        return public.fingerprint

    def wait(self, session: str, progress: Progress = unwatched) -> Mapping[str, Any]:
        """Follow a session until it is over and return its record; at most until its deadline and a margin have passed.

        A session that another desk has asked is given the usual time.

        Raises:
            Overreach: if a node's policy refuses the plan, with its items.
            Refused: if a node declines or gives up, the deadline passes, or the exchange does not end the session then;
                nothing was opened.
            PeerFault, Mismatch: if the exchange tells of something else than this session.
        """
        until = self._deadlines.get(session, self._ticking() + PATIENCE) + MARGIN
        seen = -1
        while True:
            if self._ticking() > until:
                raise Refused(
                    f"the exchange has not ended the session {MARGIN} s after its deadline", fix="report the exchange"
                )
            record = self.line.get(f"/v1/sessions/{session}?wait=10&seen={seen}")
            match record:
                case {"heard": int(seen), "stage": str(told), "waiting_for": list(waiting)} if told in STAGES:
                    stage = Stage(told)
                case _:
                    raise PeerFault("the exchange's record is not that of a session", fix="report the exchange")
            if Envelope.from_json(record.get("ask")).id != session:
                raise Mismatch("the record is that of another session", fix="report the exchange")
            progress(stage, tuple(map(str, waiting)))
            if stage is Stage.ANSWERED:
                return dict(record)
            if stage in OVER:
                raise self._ending(record)

    def open(self, record: Mapping[str, Any], plan: Plan) -> Answer:
        """Check an answered session from its signed messages up, decrypt it and return the release.

        Raises:
            Mismatch: if anything in the record does not fit together; nothing is shown then.
        """
        session, accepts, shares = self._check(record, plan)
        standard = self.standard(plan.standard)
        if standard.digest != plan.standard_digest:
            raise Mismatch("the exchange shows another standard than the plan was made for", fix="report the exchange")
        public = self.key.public
        parts = [seal.Sealed.from_wire(list(share.ciphertexts), public) for share in shares.values()]
        product = seal.fold(parts)
        if product.to_wire() != record.get("product"):
            raise Mismatch("the exchange's product is not that of the signed answers", fix="report the exchange")
        lattice = unpack(self.key.open(product), layout_of(plan, modulus_bits=public.bits))
        release = _release(plan, session, lattice, standard)
        least = max(accept.min_group for accept in accepts.values())
        versions = {party: accept.version for party, accept in accepts.items()}
        asked = self._own(Envelope.from_json(record["ask"]))
        granted = {party: accept.policy_digest for party, accept in accepts.items()}
        proof = prove(plan, asker=self.party, keeps=asked.keeps, standard=standard, granted=granted)
        return Answer(release, receipt(release, asker=self.party, shares=shares, necessity=proof), least, versions)

    def own(self, envelope: Envelope) -> bytes:
        """Return the key of this desk's own under which an envelope holds: the one that it has, or one that it had before."""
        keys = own_keys(self._home, self.party, self.public)
        return signed_by(envelope, keys)[envelope.signer]

    def _own(self, envelope: Envelope) -> Ask:
        return expect(envelope, {self.party: self.own(envelope)}, Ask)

    def _check(self, record: Mapping[str, Any], plan: Plan) -> tuple[str, dict[str, Accept], dict[str, Share]]:
        asked = Envelope.from_json(record.get("ask"))
        if Plan.from_json(self._own(asked).plan) != plan:
            raise Mismatch("the session is not about this plan", fix="open the session that you asked")
        session = asked.id
        accepts = self._all(record, "accepts", Accept, plan)
        commits = self._all(record, "commits", Commit, plan)
        shares = self._all(record, "shares", Share, plan)
        roster = roster_hash(
            session=session,
            plan_hash=plan.hash,
            key_fingerprint=self.key.public.fingerprint,
            accepts={party: envelope for party, (envelope, _) in accepts.items()},
        )
        check_commits(roster, parties=plan.parties, commits={party: told for party, (_, told) in commits.items()})
        for party in plan.parties:
            accept, commit, share = accepts[party][1], commits[party][1], shares[party][1]
            if {accept.session, commit.session, share.session} != {session} or accept.plan_hash != plan.hash:
                raise Mismatch(f"{party} speaks of another session or plan", fix="report the exchange")
            if share.roster_hash != roster:
                raise Mismatch(f"{party} answered for another roster", fix="report the exchange")
        told = {party: message for party, (_, message) in accepts.items()}
        return session, told, {party: message for party, (_, message) in shares.items()}

    def _all(self, record: Mapping[str, Any], box: str, cls: type[M], plan: Plan) -> dict[str, tuple[Envelope, M]]:
        listed = record.get(box)
        envelopes = [Envelope.from_json(item) for item in listed] if isinstance(listed, list) else []
        places = _places(record) if cls is Share else {}
        # an answer stands where the log says; the messages before it are those of the roster that it names
        held = {
            envelope.signer: (
                envelope,
                expect(envelope, self._directory.of(envelope, seq=places.get(envelope.signer)), cls),
            )
            for envelope in envelopes
        }
        if tuple(sorted(held)) != plan.parties or len(held) != len(envelopes):
            raise Mismatch(f"the {box} are not those of the plan's parties", fix="report the exchange")
        return held

    def _ending(self, record: Mapping[str, Any]) -> Refused:
        """Turn a session that ended without an answer into the refusal that explains it."""
        if record.get("ended_by") is None:
            silent = record.get("silent")
            waited = ", ".join(map(str, silent)) if isinstance(silent, list) else "an answer"
            return Refused(f"the deadline passed without {waited}", fix="ask again when they are online")
        envelope = Envelope.from_json(record["ended_by"])
        message = read(envelope, self._directory.of(envelope))
        if getattr(message, "session", None) != Envelope.from_json(record["ask"]).id:
            raise Mismatch("the session was ended by a message of another one", fix="report the exchange")
        match message:
            case Decline() if message.offences:
                return Overreach(tuple(Violation(**item.model_dump()) for item in message.offences), None)
            case Decline():
                return Refused(f"{envelope.signer} declines: {message.reason}", fix=message.fix)
            case Abort():
                return Refused(f"{envelope.signer} gave up: {message.reason}", fix="ask again")
            case _:
                raise PeerFault("the session was ended by a message that cannot end it", fix="report the exchange")


def _places(record: Mapping[str, Any]) -> dict[str, int]:
    """Return by party the entry at which the exchange says that its answer is on record; the promise is checked with it."""
    match record.get("logged"):
        case {"places": list(places)}:
            shares = [place for place in places if isinstance(place, dict) and place.get("kind") == "share"]
            return {str(place.get("party")): seq for place in shares if isinstance(seq := place.get("seq"), int)}
    return {}


def usual_keeps(purpose: str) -> int:
    """Return for how many days a result for this purpose is kept at most; 0 for a purpose that nobody knows."""
    template = PURPOSES.get(purpose)
    return 0 if template is None else template.keeps


def variances(plan: Plan) -> dict[str, Fraction]:
    """Return by measure key the variance of the noise of a cell's sum over all parties, in integer units squared."""
    return {scale.measure.key: len(plan.parties) * (scale.sigma * scale.grain) ** 2 for scale in calibrate(plan)}


def _release(plan: Plan, session: str, lattice: tuple[int, ...], standard: Standard) -> Release:
    """Bring sums from lattice units to the terms' integer units, and note their noise and decimals."""
    grains = {scale.measure.key: scale.grain for scale in calibrate(plan)}
    units = (grains[measure.key] for measure, _, _ in plan.cells())
    totals = tuple(total * unit for total, unit in zip(lattice, units, strict=True))
    places = standard.decimals
    found = {measure.key: decimals(measure.term, places) for measure in plan.measures if isinstance(measure, Sum)}
    return Release(plan, session, totals, variances(plan), found)


def receipt(
    release: Release, *, asker: str, shares: Mapping[str, Share], necessity: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what an asker keeps as proof: what was used and needed, what each party charged, who sees it at which cost.

    Budgets in 1e-9 rho; epsilon at delta 1e-6, as text with six decimals.
    """
    plan = release.plan
    return {
        "session": release.session,
        "plan_hash": plan.hash,
        "release": release.digest,
        "purpose": plan.purpose,
        "parties": list(plan.parties),
        "used": [str(atom) for atom in atoms(plan)],
        "necessity": dict(necessity),
        "unit": f"a person with at most {plan.rows_per_unit} rows at each of at most {plan.institutions_per_unit} institutions",
        "noise_of": "each party alone" if plan.shared is None else f"all parties together, withstanding {plan.shared}",
        "charged": {party: share.charged for party, share in shares.items()},
        "left": {party: share.left for party, share in shares.items()},
        "noise": [
            {
                "measure": scale.measure.key,
                "rho": price,
                "reach_squared": str(scale.reach_squared * scale.grain**2),
                "sigma": _ratio(scale.sigma * scale.grain),
            }
            for scale, price in zip(calibrate(plan), plan.prices, strict=True)
        ],
        "seen_by": [
            {"who": who, "rho": nano, "epsilon": f"{epsilon(nano, DELTA):.6f}"}
            for who, nano in coalitions(plan, asker=asker)
        ],
    }


def create(home: Path, *, party: str, pinned: Mapping[str, bytes]) -> Ed25519PrivateKey:
    """Make a desk's signing key under ``home`` and pin the parties' keys (checked out of band).

    Raises:
        PeerFault: if a desk was made there before.
    """
    signing = identity.make(home, party=party, what="desk")
    complete(home, pinned=pinned)
    return signing


def complete(home: Path, *, pinned: Mapping[str, bytes]) -> None:
    """Write the pins of a desk, if the making of it was stopped before they were there."""
    if not (home / PINNED).exists():
        identity.write_secret(
            home / PINNED, canonical.encode({name: key.hex() for name, key in pinned.items()}).decode()
        )


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
