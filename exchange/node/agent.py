"""The node at work: it calls the exchange, takes its tasks, judges, answers. Nobody calls it.

Everything it is told is checked against pinned keys and its own policy; the exchange can delay it, not direct it. A task
that breaks the protocol is logged and left alone; a task that was done before is answered with the same bytes.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from exchange.journal import RolledBack
from exchange.line import Line
from exchange.node import slots
from exchange.node.engine import SourceFault
from exchange.node.following import REGISTERED_WITHIN, Following
from exchange.node.rulings import hear
from exchange.node.source import Dataset, clip
from exchange.node.vault import Standing, Vault
from exchange.node.watch import Watch
from exchange.pins import fetch
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Overreach, PeerFault, Unknown
from exchange.protocol.keys import read_key, stored_key
from exchange.protocol.log import Forked
from exchange.protocol.messages import (
    LONGEST_TEXT,
    Abort,
    Accept,
    Ask,
    Commit,
    Consent,
    Decline,
    Indication,
    Kept,
    Message,
    Objection,
    Offence,
    Offer,
    Officers,
    Preview,
    Publication,
    Refusal,
    Registration,
    Share,
    StepInTerms,
    Verdict,
    expect,
)
from exchange.protocol.session import Move, Part, check_commits, roster_hash
from exchange.witness import Witness
from privacy import seal
from privacy.errors import Exhausted, Mismatch, Overflow, PrivacyError, Refused
from privacy.masks import Context, Peer, mask, pair_secret
from privacy.modulus import SESSION_BITS, PublicKey
from privacy.necessity import decide, shown_from
from privacy.noise import Noised, add_noise
from privacy.offences import Request
from privacy.packing import layout_of, pack
from privacy.plan import Plan
from privacy.policy import Policy
from privacy.recipients import addressed

log = logging.getLogger(__name__)

LEEWAY = 60
"""Seconds that the asker's clock and this one may differ."""

IDLE = 1.0
"""Seconds to rest after the exchange could not be reached."""


class Agent:
    """One institution's node on its line to the exchange; ``seconds`` tells the time since 1970."""

    def __init__(
        self,
        vault: Vault,
        line: Line,
        *,
        seconds: Callable[[], float],
        deliver: Callable[[], None] | None = None,
        witness: Witness | None = None,
        slot: Callable[[], AbstractContextManager[None]] = slots.held,
    ) -> None:
        """``deliver`` takes to the exchange what the owner has declared meanwhile; it is called between two polls.

        With a ``witness`` the node follows the exchange's log: no task is taken from one that shows none, or another.
        Rows are read and noise is drawn within a ``slot``, which says when the answer leaves.
        """
        self._slot = slot
        self._witness = witness
        self._deliver = deliver or _nothing
        self._seconds = seconds
        self._vault = vault
        self._line = line
        self._watch = Watch(vault, line, seconds=seconds)
        self._following = Following(vault, line)
        # The key agreement's secrets live in memory only: after a restart the node gives its open sessions up instead
        # of keeping on disk what could open them.
        self._secrets: dict[str, X25519PrivateKey] = {}
        self._accepts: dict[str, dict[str, Accept]] = {}
        self._changed = 0  # entry of the last change of a key that was looked at

    def announce(self) -> None:
        """Publish this node's datasets, policies and officers' names; saying the same again changes nothing, from any thread."""
        for dataset in self._vault.datasets():
            registration = Registration(
                dataset=dataset.name,
                title=dataset.title,
                standard=dataset.standard.id,
                standard_digest=dataset.standard.digest,
                population=dataset.population,
                columns=tuple(sorted(dataset.mapping)),
                refreshed=dataset.refreshed,
                declared=dataset.declared,
            )
            self._line.post("/v1/datasets", self._sign(registration))
            policy = self._vault.policy(dataset.name)
            self._line.post("/v1/policies", self._sign(Publication(policy=policy.to_json())))
        self._line.post("/v1/access/officers", self._sign(Officers(officers=tuple(self._vault.officers()))))

    def run(self, ending: threading.Event, *, working: threading.Lock) -> None:
        """Poll for tasks until ``ending`` is set; the exchange holds a poll open until there is something to do.

        ``working`` is held while tasks are done: who takes it knows that none is under way.

        Raises:
            RolledBack: if this node's ledger lacks what the exchange has witnessed.
            Forked: if the exchange's log is not the one that it has shown before.
        """
        while not ending.is_set():
            self._deliver()
            with working:
                self._watch.tend(self._today())
                self._following.tend(self._today())
            try:
                tasks = self._poll()
            except (RolledBack, Forked):
                raise
            except PrivacyError as error:  # out of reach, stopping, mending: whatever it is, it may pass
                log.warning("the exchange gave no tasks: %s; %s", error.reason, error.fix)
                ending.wait(IDLE)
                continue
            with working:
                done = [self.perform(task) for task in tasks]
            if tasks and not any(done):
                ending.wait(IDLE)  # whatever the exchange insists on, it does not make this node spin

    def _poll(self) -> list[Mapping[str, Any]]:
        """Show the head of the ledger, learn which head was shown last, and return the tasks.

        Raises:
            RolledBack: if the ledger lacks what was shown before.
            Forked, Mismatch: if the exchange's log is another one than before, or is not shown as it must be.
            PeerFault: if the exchange answers with something else.
        """
        seq, head = self._vault.head
        asked: dict[str, Any] = {"wait": 10, "seq": seq, "head": head}
        followed, cosigned = self._witness, None
        if followed is not None:
            cosigned = followed.cosign(self._vault.party, self._vault.signing)
            asked |= {"log": followed.size, "cosigned": None if cosigned is None else cosigned.to_json()}
        told = self._line.post("/v1/poll", asked)
        match told:
            case {"tasks": list(tasks), "witnessed": {"seq": int(shown), "head": str(digest)}} if shown >= 0:
                self._vault.check_witness(shown, digest)
                if followed is not None:
                    if cosigned is not None:
                        followed.told(followed.size)
                    followed.take(told.get("log"), now=int(self._seconds()))
                changed = told.get("rotated")
                if isinstance(changed, int) and changed > self._changed:
                    self._vault.follow(fetch(self._line))
                    self._changed = changed
                return tasks
        raise PeerFault("the exchange answered a poll with something else", fix="check the address and the version")

    def perform(self, task: Mapping[str, Any]) -> bool:
        """Do one task and return whether it could be done; what goes wrong with it concerns this task alone."""
        try:
            match task:
                case {"task": "judge", "ask": ask, "key": key}:
                    self._judge(Envelope.from_json(ask), Envelope.from_json(key))
                case {"task": "commit", "session": str(session), "accepts": list(accepts)}:
                    self._commit(session, [Envelope.from_json(item) for item in accepts])
                case {"task": "answer", "session": str(session), "commits": list(commits)}:
                    self._answer(session, [Envelope.from_json(item) for item in commits])
                case {"task": "preview", "ask": ask}:
                    self._preview(Envelope.from_json(ask))
                case {"task": "consent", "offer": offer}:
                    self._consider(Envelope.from_json(offer))
                case {"task": "rule", "request": request, "ruling": ruling}:
                    self._hear(Envelope.from_json(request), Envelope.from_json(ruling))
                case _:
                    raise PeerFault("the exchange sent a task that this release does not know", fix="update the node")
        except PrivacyError as error:
            log.warning("a task was left alone: %s", error.reason)
            return False
        return True

    # -- judging ---------------------------------------------------------------------------------------------------

    def _judge(self, envelope: Envelope, registered: Envelope) -> None:
        """Decide from plan, policy and budget alone, before any row is read (design 4.3)."""
        standing = self._vault.standing(envelope.id)
        if standing is not None:
            self._repeat(standing)
            return
        ask = expect(envelope, self._vault.directory(), Ask)
        plan = Plan.from_json(ask.plan)
        try:
            self._keep_key(envelope, ask, registered)
            reply, secret = self._verdict(envelope, ask, plan)
        except PrivacyError as error:
            declined = Decline(session=envelope.id, **dict(_refusal(error)))
            signed = self._sign(declined)
            self._vault.judged(envelope, plan_hash=plan.hash, part=Part.DECLINED, reply=signed)
            self._send(envelope.id, signed)
            return
        self._secrets[envelope.id] = secret
        signed = self._sign(reply)
        self._vault.judged(envelope, plan_hash=plan.hash, part=Part.ACCEPTED, reply=signed)
        self._send(envelope.id, signed)

    def _verdict(self, envelope: Envelope, ask: Ask, plan: Plan) -> tuple[Accept, X25519PrivateKey]:
        self._check_deadline(ask.expires)
        indication = self._weigh(plan, asker=envelope.signer, keeps=ask.keeps, bits=self._key(ask).bits)
        secret = X25519PrivateKey.generate()
        accept = Accept(
            session=envelope.id,
            plan_hash=plan.hash,
            policy_digest=indication.policy_digest,
            version=indication.version,
            nonce=secrets.token_hex(32),
            share=secret.public_key().public_bytes_raw().hex(),
            price=indication.price,
            left=indication.left - indication.price,
            min_group=indication.min_group,
        )
        return accept, secret

    def _preview(self, envelope: Envelope) -> None:
        """Tell an asker what its plan would meet here: judged as in a session, and nothing is written, read or promised."""
        preview = expect(envelope, self._vault.directory(), Preview)
        plan = Plan.from_json(preview.plan)
        self._check_deadline(preview.expires)
        outcome: Indication | Refusal
        try:
            outcome = self._weigh(plan, asker=envelope.signer, keeps=preview.keeps, bits=SESSION_BITS)
        except (Refused, Overflow) as error:
            outcome = _refusal(error)
        verdict = Verdict(preview=envelope.id, plan_hash=plan.hash, outcome=outcome)
        self._line.post(f"/v1/previews/{envelope.id}/verdicts", self._sign(verdict))

    def _weigh(self, plan: Plan, *, asker: str, keeps: int, bits: int) -> Indication:
        """Judge a plan by policy and budget alone; ``bits`` is the length of the key that it would be answered under.

        Raises:
            Refused: if the plan is not for this institution, exceeds what is granted or what is left.
            Overflow: if its cells do not fit the key.
        """
        if self._vault.party not in plan.parties:
            raise Refused("the plan does not name this institution", fix="name it among the parties")
        if not set(plan.parties) <= self._vault.institutions():
            raise Refused("the plan names a party that is not pinned as an institution", fix="leave it out, or pin it")
        try:
            dataset = self._vault.dataset(plan.standard)
            today = self._today()
            # whoever has just stepped in, or has no place any more, is known before anybody is judged
            self._following.tend(today, dataset=dataset.name)
            policy = self._vault.pointed(dataset, today)
        except Unknown:
            raise Refused("this institution holds nothing under the standard", fix="leave it out") from None
        request = Request(plan, asker, self._vault.role(asker), keeps, today)
        approvals = self._vault.approvals(today, asker=asker)
        decision = decide(request, standard=dataset.standard, policies=[policy], approvals=approvals)
        if not decision.allowed:
            raise Overreach.of(decision)
        layout_of(plan, modulus_bits=bits)
        pledge = self._vault.drawn_from(dataset, partner=asker, purpose=plan.purpose, day=today)
        price, account = self._vault.price(plan, partner=asker, dataset=dataset, pledge=pledge)
        if price > account.left:
            raise Exhausted(asked=price, left=account.left, cap=account.cap)
        (grant,) = decision.grants
        return Indication(
            policy_digest=policy.digest,
            version=dataset.refreshed,
            price=price,
            left=account.left,
            cap=account.cap,
            min_group=shown_from(plan, standard=dataset.standard, grant=grant),
        )

    def _keep_key(self, envelope: Envelope, ask: Ask, registered: Envelope) -> None:
        """Verify the asker's Paillier key once: from then on it is known by its fingerprint."""
        foreign = Mismatch("the session's key is not the asker's registered key", fix="register the key anew")
        known = self._vault.key(ask.key)
        if known is not None:
            if known.signer != envelope.signer:
                raise foreign
            return
        key = read_key(registered, self._vault.directory())
        if key.fingerprint != ask.key or registered.signer != envelope.signer:
            raise foreign
        self._vault.keep_key(key.fingerprint, registered)

    def _key(self, ask: Ask) -> PublicKey:
        registered = self._vault.key(ask.key)
        if registered is None:
            raise PeerFault("the session's key was never registered here", fix="open a new session")
        return stored_key(registered, self._vault.signed(registered))

    # -- committing ------------------------------------------------------------------------------------------------

    def _commit(self, session: str, accepts: list[Envelope]) -> None:
        standing = self._standing(session)
        if standing.part is not Part.ACCEPTED:
            self._repeat(standing)
            return
        if session not in self._secrets:
            self._give_up(session, "the node was restarted while the session was open")
            return
        roster, told = self._roster(standing, accepts)
        signed = self._sign(Commit(session=session, roster_hash=roster))
        # every party's accept is in hand now: keep them for the masks before promising anything
        self._accepts[session] = told
        self._vault.move(session, Move.COMMIT, roster=roster, reply=signed)
        self._send(session, signed)

    def _roster(self, standing: Standing, accepts: list[Envelope]) -> tuple[str, dict[str, Accept]]:
        """Check that each party of the plan accepted this very plan; return the roster's hash and what each party said."""
        ask, plan = self._question(standing)
        held = {envelope.signer: envelope for envelope in accepts}
        if tuple(sorted(held)) != plan.parties or len(held) != len(accepts):
            raise Mismatch("the roster is not the parties of the plan", fix="open a new session")
        if held[self._vault.party] != standing.accept:
            raise Mismatch("the roster carries another accept of this node", fix="open a new session")
        directory = self._vault.directory()
        told = {}
        for envelope in accepts:
            accept = told[envelope.signer] = expect(envelope, directory, Accept)
            if (accept.session, accept.plan_hash) != (standing.session, plan.hash):
                raise Mismatch(f"{envelope.signer} accepted another plan", fix="open a new session")
            # a share that no mask can be made with is found here, where nobody has charged yet
            pair_secret(self._secrets[standing.session], bytes.fromhex(accept.share))
        roster = roster_hash(session=standing.session, plan_hash=plan.hash, key_fingerprint=ask.key, accepts=held)
        return roster, told

    # -- answering -------------------------------------------------------------------------------------------------

    def _answer(self, session: str, commits: list[Envelope]) -> None:
        standing = self._standing(session)
        if standing.part not in (Part.COMMITTED, Part.CHARGED):
            self._repeat(standing)
            return
        secret, accepts = self._secrets.get(session), self._accepts.get(session)
        if secret is None or accepts is None or standing.roster is None:
            self._give_up(session, "the node was restarted while the session was open")
            return
        ask, plan = self._question(standing)
        directory = self._vault.directory()
        promised = {envelope.signer: expect(envelope, directory, Commit) for envelope in commits}
        if any(promise.session != session for promise in promised.values()):
            raise Mismatch("a promise belongs to another session", fix="open a new session")
        check_commits(standing.roster, parties=plan.parties, commits=promised)
        try:
            dataset = self._vault.dataset(plan.standard)
        except Unknown:
            self._give_up(session, "the dataset was withdrawn while the session was open")
            return
        try:
            # a dataset that cannot be read is told of at a fixed time, too
            with self._slot():
                share = self._seal(standing, ask=ask, plan=plan, dataset=dataset, secret=secret, accepts=accepts)
        except (Refused, SourceFault) as error:
            self._give_up(session, error.reason)
            return
        signed = self._sign(share)
        self._vault.move(session, Move.ANSWER, reply=signed)
        del self._secrets[session], self._accepts[session]
        self._send(session, signed)

    def _seal(
        self,
        standing: Standing,
        *,
        ask: Ask,
        plan: Plan,
        dataset: Dataset,
        secret: X25519PrivateKey,
        accepts: Mapping[str, Accept],
    ) -> Share:
        """Charge, read, clip, noise, store, pack, mask, seal: in this order and no other."""
        self._check_deadline(ask.expires)
        versions = {party: accept.version for party, accept in accepts.items()}
        if versions[self._vault.party] != dataset.refreshed:
            raise Refused("the dataset changed while the session was open", fix="ask again")
        asker, today = standing.ask.signer, self._today()
        self._check_step_in(plan, dataset, asker=asker, keeps=ask.keeps, today=today)
        receipt, charged = self._vault.charge(
            plan,
            session=standing.session,
            partner=asker,
            dataset=dataset,
            versions=versions,
            pledge=self._vault.drawn_from(dataset, partner=asker, purpose=plan.purpose, day=today),
        )
        noised = self._vault.noised(plan, dataset, versions)
        if noised is None:
            clipped = clip(plan, dataset, sampling_key=self._vault.sampling, ready=self._vault.prepared)
            noised = add_noise(clipped, plan, receipt)
            self._vault.keep_noised(noised, plan, dataset, versions)
        ciphertexts = self._masked(standing, ask=ask, plan=plan, noised=noised, secret=secret, accepts=accepts)
        seq, head = self._vault.head  # the charge is behind it: once this is witnessed, no old copy can deny the charge
        return Share(
            session=standing.session,
            roster_hash=str(standing.roster),
            ciphertexts=tuple(ciphertexts.to_wire()),
            charged=charged,
            left=receipt.left,
            seq=seq,
            head=head,
            reserve=receipt.reserve,
        )

    def _check_step_in(self, plan: Plan, dataset: Dataset, *, asker: str, keeps: int, today: date) -> None:
        """Judge again where a pledge has a reserve: a lender may have stepped in, or out, while the session was open.

        Raises:
            Overreach: if the plan would be refused now.
        """
        if not self._vault.reserves.held(dataset=dataset.name):
            return
        request = Request(plan, asker, self._vault.role(asker), keeps, today)
        policies, approvals = [self._vault.pointed(dataset, today)], self._vault.approvals(today, asker=asker)
        anew = decide(request, standard=dataset.standard, policies=policies, approvals=approvals)
        if not anew.allowed:
            raise Overreach.of(anew)

    def _masked(
        self,
        standing: Standing,
        *,
        ask: Ask,
        plan: Plan,
        noised: Noised,
        secret: X25519PrivateKey,
        accepts: Mapping[str, Accept],
    ) -> seal.Sealed:
        key = self._key(ask)
        masked = mask(
            pack(noised, layout_of(plan, modulus_bits=key.bits)),
            me=self._vault.party,
            secret=secret,
            nonce=bytes.fromhex(accepts[self._vault.party].nonce),
            peers={
                party: Peer(public=bytes.fromhex(accept.share), nonce=bytes.fromhex(accept.nonce))
                for party, accept in accepts.items()
                if party != self._vault.party
            },
            context=Context(
                session=standing.session,
                plan_hash=plan.hash,
                roster_hash=str(standing.roster),
                key_fingerprint=key.fingerprint,
            ),
            modulus=key.n,
        )
        return seal.seal(masked, key)

    # -- approvals ---------------------------------------------------------------------------------------------------

    def _hear(self, request: Envelope, ruling: Envelope) -> None:
        """Take an officer's ruling, or say why it counts for nothing."""
        word = hear(self._vault, request=request, ruling=ruling, day=self._today())
        self._line.post(f"/v1/access/{request.id}/rulings", word.resigned(self._vault.signing))

    # -- pledges ---------------------------------------------------------------------------------------------------

    def _consider(self, envelope: Envelope) -> None:
        """Answer a lender's offer by the owner's standing consent in the dataset's policy."""
        reply = self._vault.consent(envelope.id)
        if reply is None:
            offer = expect(envelope, self._vault.directory(), Offer)
            objection = self._objection(envelope.signer, offer)
            # the exchange registers no lien on rows that it cannot compare with others'
            objection = objection or self._watch.objection(offer.asset.partition("/")[2], self._today())
            message: Message
            try:
                message = (
                    Objection(offer=envelope.id, reason=objection) if objection else self._consent(envelope, offer)
                )
            except Refused as error:
                message = Objection(offer=envelope.id, reason=_short(error.reason))
            reply = self._sign(message)
            self._vault.keep_consent(envelope.id, reply)
        self._line.post(f"/v1/offers/{envelope.id}/answer", reply.resigned(self._vault.signing))

    def _consent(self, envelope: Envelope, offer: Offer) -> Consent:
        """Consent to an offer; what it agrees on for a step-in is kept back first.

        Raises:
            Refused: if the budget does not have it.
        """
        if offer.step_in is None:
            return Consent(offer=envelope.id)
        name = offer.asset.partition("/")[2]
        dataset = next(one for one in self._vault.datasets() if one.name == name)
        last = (self._today() + timedelta(days=REGISTERED_WITHIN)).isoformat()
        nano, until = self._vault.reserve(envelope, dataset=dataset, until=last)
        seq, head = self._vault.head  # the reserve is behind it: once this is witnessed, no old copy can deny it
        return Consent(offer=envelope.id, kept=Kept(reserve=nano, until=until, seq=seq, head=head))

    def _objection(self, lender: str, offer: Offer) -> str:
        """Return why the owner does not agree, or nothing."""
        owner, _, name = offer.asset.partition("/")
        try:
            policy: Policy = self._vault.policy(name)
        except Unknown:
            return "the owner holds no such asset"
        pledging = policy.pledging
        if owner != self._vault.party or pledging is None:
            return "the owner has not agreed to pledge this asset"
        if lender not in pledging.lenders:
            return "the owner has not agreed to pledge to this lender"
        if offer.is_of_nothing:
            return "the offer is of 0 yuan"
        if offer.amount > pledging.limit:
            return f"the owner agreed to at most {pledging.limit} yuan"
        if offer.matures > pledging.until:
            return f"the owner agreed to loans until {pledging.until}"
        return self._objection_to(offer.step_in, policy)

    def _objection_to(self, terms: StepInTerms | None, policy: Policy) -> str:
        """Return why the owner does not agree to the terms of a step-in, or nothing."""
        if terms is None:
            return ""
        declared = None if policy.pledging is None else policy.pledging.step_in
        if declared is None or declared.purpose != terms.purpose:
            return "the owner has agreed to no step-in for this purpose"
        if terms.reserve > declared.reserve:
            return f"the owner agreed to keep back at most {declared.reserve / 1e9:g} rho"
        if terms.exclusive and not declared.exclusive:
            return "the owner has not agreed to shut others out after a step-in"
        for operator in terms.operators:
            if not addressed(declared.recipients, asker=operator, role=self._vault.role(operator)):
                return "the owner has not agreed to one of the operators"
        return ""

    # -- common steps ----------------------------------------------------------------------------------------------

    def _today(self) -> date:
        """The day, in UTC; a clock that is set back does not bring back what has ended."""
        return datetime.fromtimestamp(max(self._seconds(), self._vault.moment / 1_000_000), tz=UTC).date()

    def _check_deadline(self, expires: int) -> None:
        """Refuse what the asker has given up: an exchange that sat on a session must not have it charged later."""
        if self._seconds() > expires + LEEWAY:
            raise Refused("the deadline has passed", fix="ask again")

    def _standing(self, session: str) -> Standing:
        # a name that no hash has, a lone surrogate say, does not reach the engine
        standing = self._vault.standing(session) if session.isascii() else None
        if standing is None:
            raise PeerFault("the exchange speaks of a session that this node never judged", fix="judge it first")
        return standing

    def _question(self, standing: Standing) -> tuple[Ask, Plan]:
        ask = expect(standing.ask, self._vault.signed(standing.ask), Ask)
        return ask, Plan.from_json(ask.plan)

    def _give_up(self, session: str, reason: str) -> None:
        signed = self._sign(Abort(session=session, reason=_short(reason)))
        self._vault.move(session, Move.ABORT, reply=signed)
        self._secrets.pop(session, None)
        self._accepts.pop(session, None)
        self._send(session, signed)

    def _repeat(self, standing: Standing) -> None:
        """Say again, byte for byte, what was said last, signed with the key of now."""
        if standing.reply is not None:
            self._send(standing.session, standing.reply.resigned(self._vault.signing))

    def _sign(self, message: Message) -> Envelope:
        return message.sealed_by(self._vault.party, self._vault.signing)

    def _send(self, session: str, envelope: Envelope) -> None:
        self._line.post(f"/v1/sessions/{session}/messages", envelope)


def _nothing() -> None:
    """Deliver nothing."""


def _refusal(error: PrivacyError) -> Refusal:
    """Say why a plan is declined, item by item, within what a message may hold."""
    items = error.violations if isinstance(error, Overreach) else ()
    offences = tuple(Offence(**{part: _short(text) for part, text in item.to_json().items()}) for item in items)
    return Refusal(reason=_short(error.reason), fix=_short(error.fix), offences=offences)


def _short(text: str) -> str:
    """Cut a text to what a message may hold; a refusal of many columns lists them all among its offences."""
    return (text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}...") or "-"
