"""What each party would send next: right messages, for who walks along the links of the interface's description.

A walker says on which route it is, with which ids in the path, and which ``move`` it makes; ``next`` is what moves things on.
What a message must name is read over the interface, as its sender would.
"""

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.demo import town
from exchange.analyst.reading import parse
from exchange.hub import access, catalog, collateral, invites
from exchange.protocol import agreement as steps
from exchange.protocol.access import Act, Standing
from exchange.protocol.collateral import Clearance, Confirmation, Fingerprint, band, columns_digest
from exchange.protocol.enrolment import enrol
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import (
    Abort,
    Accept,
    AccessRequest,
    Appraisal,
    Ask,
    Commit,
    Consent,
    Decline,
    Deprecation,
    Key,
    Objection,
    Offer,
    Officers,
    Preview,
    Publication,
    Refusal,
    Ruled,
    Ruling,
    Share,
    Verdict,
    Withdrawal,
)
from exchange.protocol.rotation import rotate
from exchange.protocol.session import roster_hash
from privacy.masks import Masked
from privacy.packing import layout_of
from privacy.seal import seal
from privacy.terms import NANO
from privacy.unseal import SecretKey
from tests.marked import sketch_of
from tests.served import CREDIT, ROLES, publication, registration, serve

VECTORS = Path(__file__).parent / "vectors"
SECRET = SecretKey.from_jwk(json.loads((VECTORS / "paillier.json").read_text())["secret_jwk"])
INPUTS = json.loads((VECTORS / "valuation_three_approaches.json").read_text("utf-8"))
PURPOSE = town.PURPOSE
OFFICERS = ("ann", "ben")
"""Officers of the lender."""

PARTIES = ROLES | {
    "bank-c": "institution",  # registers, deprecates and withdraws one dataset after the other
    "bank-d": "institution",  # holds rows like those of bank-e
    "bank-e": "institution",
    "turner": "regulator",  # changes its key again and again
    "ann": "officer",
    "ben": "officer",
    "li": "officer",  # of bank-b, whose policy wants requests approved
    "judge": "officer",  # reviewer of the exchange
}
ROWS = {"bank-a": range(5_000), "bank-d": range(10_000, 15_000), "bank-e": range(12_500, 17_500)}


def hashed(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def today(days=0):
    return (datetime.now(tz=UTC).date() + timedelta(days=days)).isoformat()


def policy(owner, *, dataset="accounts", version, consent=False):
    """A policy that opens counts to everybody, and pledges to the lenders."""
    grant = {
        "purpose": PURPOSE, "recipients": ["*"], "columns": {"*": ["count"]}, "min_parties": 3, "min_group": 10,
        "rho_per_query": NANO, "budget": 9 * NANO, "shared_from": None,
    }  # fmt: skip
    if consent:
        grant["consent"] = {"manner": "standing", "persons": 1, "days": 90}
    told = publication(owner, version=version).policy
    return Publication(
        policy=told | {"dataset": dataset, "everyone": 99 * NANO, "partner": 99 * NANO, "grants": [grant]}
    )


def fingerprint(dataset, rows, earlier=None):
    rows = list(rows)
    least, below = band(len(rows))
    columns = columns_digest(standard_digest=CREDIT.digest, columns=["balance", "person"])
    return Fingerprint(
        dataset=dataset, version="2026-10-31", standard=CREDIT.id, key="ab" * 32, root=hashed(rows), earlier=earlier,
        columns_digest=columns, least=least, below=below, sketch=sketch_of(rows),
    )  # fmt: skip


def inhabited(home):
    """Start an exchange with everybody who sends something, and return the walkers' hand on it."""
    invited = []

    def settle(store, keys):
        for owner in ("bank-d", "bank-e"):
            catalog.register(store, registration().sealed_by(owner, keys[owner]))
        for owner in ("bank-a", "bank-b", "bank-d"):
            told = policy(owner, version=2, consent=owner == "bank-b")
            catalog.publish_policy(store, told.sealed_by(owner, keys[owner]))
        for owner, rows in ROWS.items():
            collateral.record_fingerprint(store, fingerprint("accounts", rows).sealed_by(owner, keys[owner]))
        for owner, officers in (("lender-x", OFFICERS), ("bank-b", ("li",))):
            access.announce(store, Officers(officers=officers).sealed_by(owner, keys[owner]))
        collateral.appoint(store, "judge")
        now = int(time.time())
        told = {"name": "newcomer", "role": "lender", "url": "http://exchange.test:1", "pin": None}
        invited.append(invites.invite(store, party="newcomer", expires=now + 86_400, now=now, **told))

    proof = SECRET.prove(context="lender-x").to_json(SECRET.public)
    plan = parse(
        "SELECT COUNT(*) FROM consumer_credit", standard=CREDIT, purpose=PURPOSE, parties=("bank-a", "bank-b", "bank-d"),
        rho=NANO // 10, shared=None,
    ).plan  # fmt: skip
    exchange = serve(home, roles=PARTIES, settle=settle)
    return Hand(exchange, invited[0], proof=proof, plan=plan)


class Hand:
    """Signs for everybody; ``proof`` is that of the lender's Paillier key, ``plan`` what it asks."""

    def __init__(self, exchange, invite, *, proof, plan):
        self.exchange = exchange
        self.keys = exchange.keys
        self.proof, self.plan = proof, plan
        self.invite = invite
        self.walked = 0

    # -- who is who ------------------------------------------------------------------------------------------------

    def reader(self, route, ids):
        """Who reads at a route: whoever may see what the ways lead to."""
        if "{owner}" in route:
            return ids["owner"] if ids["owner"] in self.keys else "bureau"
        if route == "GET /v1/reviews":
            return "judge"
        if route in ("GET /v1/parties", "GET /v1/rotations"):
            return "turner"
        return "lender-x"

    def read(self, party, path):
        """Return what a party reads at an address, or nothing."""
        answer = self.exchange.call(party, "GET", path)
        while answer.status_code == 429:
            time.sleep(1)
            answer = self.exchange.call(party, "GET", path)
        return answer.json() if answer.status_code == 200 else None

    def say(self, route, ids, move="next", salt=0):
        """Return who sends what on a route: a party, and the document."""
        party, message = SAYS[route](self, ids, move, salt)
        if isinstance(message, dict):
            return party, message
        sealed = message if isinstance(message, Envelope) else message.sealed_by(party, self.keys[party])
        return party, sealed.to_json()

    # -- datasets --------------------------------------------------------------------------------------------------

    def dataset(self):
        """The dataset of bank-c that is registered, or that it would register next."""
        held = self.read("bank-c", f"/v1/datasets/bank-c/walk_{self.walked}")
        if held is not None and held["state"] == "withdrawn":
            self.walked += 1
        return f"walk_{self.walked}"

    def _register(self, _ids, _move, salt):
        return "bank-c", registration(dataset=self.dataset(), title=f"A walk's, {salt}")

    def _publish(self, _ids, _move, _salt):
        name = self.dataset()
        held = self.read("bank-c", f"/v1/datasets/bank-c/{name}") or {"policy": None}
        return "bank-c", policy("bank-c", dataset=name, version=(held["policy"] or 0) + 1)

    def _deprecate(self, _ids, _move, salt):
        return "bank-c", Deprecation(dataset=self.dataset(), because=f"for a reason, {salt}")

    def _withdraw(self, _ids, _move, salt):
        return "bank-c", Withdrawal(dataset=self.dataset(), because=f"for a reason, {salt}")

    def _mark(self, _ids, _move, _salt):
        name = self.dataset()
        first = 10**6 + 5_000 * self.walked
        return "bank-c", fingerprint(name, range(first, first + 5_000))

    def _confirm(self, _ids, _move, _salt):
        name = self.dataset()
        held = self.read("bank-c", f"/v1/collateral/bank-c/{name}") or {"fingerprint": "0" * 64}
        return "bank-c", Confirmation(dataset=name, fingerprint=held["fingerprint"], day=today(), found="confirmed")

    # -- parties ---------------------------------------------------------------------------------------------------

    def _rotate(self, _ids, _move, _salt):
        self.turning = Ed25519PrivateKey.generate()
        return "turner", rotate("turner", old=self.keys["turner"], new=self.turning)

    def _enrol(self, _ids, _move, _salt):
        self.keys.setdefault("newcomer", Ed25519PrivateKey.generate())
        return "newcomer", enrol("newcomer", "lender", key=self.keys["newcomer"], invite=self.invite.key)

    # -- joint questions -------------------------------------------------------------------------------------------

    def _key(self, _ids, _move, _salt):
        return "lender-x", Key(key=SECRET.public.to_jwk(), proof=self.proof)

    def _preview(self, _ids, _move, salt):
        expires = int(time.time()) + 50
        return "lender-x", Preview(plan=self.plan.to_json(), keeps=30, nonce=hashed(salt, expires), expires=expires)

    def _verdict(self, ids, move, _salt):
        no = Refusal(reason="not today", fix="ask tomorrow", offences=())
        told = Verdict(preview=ids["preview_id"], plan_hash=self.plan.hash, outcome=no)
        return "bank-b" if move == "other" else "bank-a", told

    def _ask(self, _ids, _move, salt):
        expires = int(time.time()) + 3_600
        told = {"key": SECRET.public.fingerprint, "nonce": hashed(salt, expires), "expires": expires}
        return "lender-x", Ask(plan=self.plan.to_json(), keeps=30, **told)

    def _tell(self, ids, move, salt):
        name = ids["session"]
        if move == "abort":
            return "bank-a", Abort(session=name, reason="the disk is full")
        if move == "decline":
            return "bank-b", Decline(session=name, reason="the budget is used up", fix="wait", offences=())
        held = self.read("lender-x", f"/v1/sessions/{name}")
        stage, party = ("", "bank-a") if held is None else (held["stage"], (held["waiting_for"] or ["bank-a"])[0])
        if stage not in ("committing", "answering"):
            told = {"plan_hash": self.plan.hash, "policy_digest": "0" * 64, "version": "2026-10-31"}
            more = {"nonce": hashed(name, party), "share": hashed(party, name), "price": 1, "left": 2, "min_group": 10}
            return party, Accept(session=name, **told, **more)
        accepts = {one["signer"]: Envelope.from_json(one) for one in held["accepts"]}
        roster = roster_hash(
            session=name, plan_hash=self.plan.hash, key_fingerprint=SECRET.public.fingerprint, accepts=accepts
        )
        if stage == "committing":
            return party, Commit(session=name, roster_hash=roster)
        cells = (salt,) * layout_of(self.plan, modulus_bits=SECRET.public.bits).plaintexts
        sealed = tuple(seal(Masked(cells, SECRET.public.n), SECRET.public).to_wire())
        place = time.time_ns() // 1_000
        spent = {"charged": 1, "left": 2, "seq": place, "head": hashed(party, place)}
        return party, Share(session=name, roster_hash=roster, ciphertexts=sealed, **spent)

    # -- access ----------------------------------------------------------------------------------------------------

    def _request(self, _ids, _move, salt):
        told = {"why": "to watch the risk", "standing": False, "closes": today(30)}
        return "lender-x", AccessRequest(plan=self.plan.to_json(), nonce=hashed(salt, "access"), **told)

    def _rule(self, ids, move, salt):
        name = ids["request_id"]
        held = self.read("li", f"/v1/access/{name}") or {"owners": {"bank-b": {"rulings": [], "words": []}}}
        rulings, words = held["owners"]["bank-b"]["rulings"], held["owners"]["bank-b"]["words"]
        if move == "next" and len(rulings) > len(words):
            ruling = Envelope.from_json(rulings[-1])
            told = {"counted": True, "standing": Standing.APPROVED, "step": len(rulings), "until": today(9)}
            return "bank-b", Ruled(request=name, ruling=ruling.id, reason="", **told)
        refuses = move == "refuse"
        told = {"act": Act.REFUSE, "until": None, "because": "it is asked too often"}
        told = told if refuses else {"act": Act.APPROVE, "until": today(9), "because": ""}
        return "li", Ruling(request=name, owner="bank-b", nonce=hashed(salt, len(rulings)), **told)

    # -- pledges ---------------------------------------------------------------------------------------------------

    def _appraisal(self, ids, _move, salt):
        return "lender-x", Appraisal(asset=ids.get("asset", "bank-a/accounts"), report=hashed(salt), releases=())

    def _offer(self, ids, _move, salt):
        asset = ids.get("asset", "bank-a/accounts")
        appraisal = ids.get("appraisal", self.exchange.appraisal)
        told = {"matures": today(365), "nonce": hashed(salt, time.time_ns()), "forbids_juniors": False}
        return "lender-x", Offer(
            asset=asset, rank=ids.get("rank", salt % 9 + 1), amount=1_000, appraisal=appraisal, **told
        )

    def _answer(self, ids, move, _salt):
        name = ids["offer_id"]
        held = self.read("lender-x", f"/v1/offers/{name}") or {"owner": "bank-a"}
        if move == "object":
            return held["owner"], Objection(offer=name, reason="not to this lender")
        return held["owner"], Consent(offer=name)

    def _step(self, ids, move, salt):  # noqa: C901  one state after the other
        name = ids["offer_id"]
        held = self.read("lender-x", f"/v1/offers/{name}") or {"state": "", "title": None, "asset": "bank-a/accounts"}
        title = held["title"] or "0" * 64
        if move == "refuse":
            return "ann", steps.Endorsement(offer=name, act="refuse", because="the cover is thin")
        if move == "release":
            return "lender-x", steps.Release(offer=name, title=title)
        if move == "assign":
            return "lender-x", steps.Assignment(offer=name, title=title, to="lender-y", nonce=hashed(salt))
        match held["state"]:
            case "quoted":
                officer = next(one for one in OFFICERS if one not in held["approved_by"])
                return officer, steps.Endorsement(offer=name, act="approve", because="")
            case "approved":
                return "lender-x", steps.Signature(offer=name, endorsements=tuple(held["endorsements"]))
            case "signed":
                record = self.read("lender-x", f"/v1/datasets/{held['asset']}")
                title = Envelope.from_json(record["versions"][-1]["registration"]).id
                return "lender-x", steps.Filing(offer=name, title=title, expires=held["matures"])
            case "registered":
                return "lender-x", steps.Drawdown(offer=name, amount=90_000)
            case "active" if salt % 3:
                return "lender-x", steps.Payment(offer=name, amount=1_000, nonce=hashed(salt, time.time_ns()))
            case "active":
                told = {"level": steps.Level.MARGIN_CALL, "cure_by": today(9)}
                return "lender-x", steps.Notice(offer=name, evidence="e" * 64, nonce=hashed(salt), **told)
            case "margin_call":
                return "lender-x", steps.StepIn(offer=name, title=title, operator="bank-b", evidence="e" * 64)
            case _:
                return "lender-x", steps.Release(offer=name, title=title)

    def _clear(self, _ids, _move, salt):
        held = self.read("judge", "/v1/reviews")["reviews"][0]
        other = held["found"][0]
        told = {"asset": held["asset"], "fingerprint": held["fingerprint"]}
        told |= {"other": other["asset"], "other_fingerprint": other["fingerprint"], "nonce": hashed(salt)}
        return "judge", Clearance(act="clear", because="both were sold by the same survey", **told)

    # -- reports ---------------------------------------------------------------------------------------------------

    def _appraise(self, _ids, _move, _salt):
        return "lender-x", INPUTS

    def _verify(self, ids, _move, _salt):
        return "lender-x", ids["body"]


SAYS = {
    "POST /v1/datasets": Hand._register,
    "POST /v1/policies": Hand._publish,
    "POST /v1/deprecations": Hand._deprecate,
    "POST /v1/withdrawals": Hand._withdraw,
    "POST /v1/fingerprints": Hand._mark,
    "POST /v1/confirmations": Hand._confirm,
    "POST /v1/rotations": Hand._rotate,
    "POST /v1/enrolments": Hand._enrol,
    "POST /v1/keys": Hand._key,
    "POST /v1/previews": Hand._preview,
    "POST /v1/previews/{preview_id}/verdicts": Hand._verdict,
    "POST /v1/sessions": Hand._ask,
    "POST /v1/sessions/{session}/messages": Hand._tell,
    "POST /v1/access": Hand._request,
    "POST /v1/access/{request_id}/rulings": Hand._rule,
    "POST /v1/appraisals": Hand._appraisal,
    "POST /v1/offers": Hand._offer,
    "POST /v1/offers/{offer_id}/answer": Hand._answer,
    "POST /v1/pledges/{offer_id}/steps": Hand._step,
    "POST /v1/reviews": Hand._clear,
    "POST /v1/reports": Hand._appraise,
    "POST /v1/reports/verify": Hand._verify,
}
"""Who signs what, by route; each takes the ids of the path, a move, and a number that makes a message a new one."""
