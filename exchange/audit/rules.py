"""What each kind of entry must hold and what it changes: one table, ``RULES``, with every kind that an exchange writes.

A kind that is not in it is refused: whoever adds an event adds its rule.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from exchange.audit import collateral, holders
from exchange.audit.record import Asked, Dataset, Record, fields, require
from exchange.audit.spending import Answer
from exchange.journal import Entry
from exchange.protocol.agreement import Endorsement, Filing, Realisation, Renewal, StepIn, read_step
from exchange.protocol.envelope import Envelope
from exchange.protocol.keys import read_key
from exchange.protocol.messages import (
    Accept,
    AccessRequest,
    Appraisal,
    Ask,
    Deprecation,
    Objection,
    Offer,
    Officers,
    Publication,
    Registration,
    Ruled,
    Ruling,
    Share,
    Withdrawal,
    expect,
    read,
)
from exchange.protocol.pledge import LIVE, Agreement
from exchange.protocol.session import OVER, Session, Stage
from exchange.protocol.waterfall import Ranked, distribute
from privacy import seal
from privacy.modulus import shares_a_factor
from privacy.plan import Plan
from privacy.policy import Policy
from privacy.purposes import PURPOSES, REFUSED
from privacy.terms import Standard

Rule = Callable[[Record, Entry], None]


def _standard(record: Record, entry: Entry) -> None:
    standard = Standard.from_json(entry.body)
    require(standard.id not in record.standards, f"{standard.id} is published twice")
    record.standards[standard.id] = standard


def _dataset(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = expect(envelope, record.directory, Registration)
    require(record.roles[envelope.signer] == "institution", "its signer is no institution")
    standard = record.standards.get(told.standard)
    require(standard is not None and standard.digest == told.standard_digest, "its standard is not the published one")
    asset = f"{envelope.signer}/{told.dataset}"
    before, holds = record.datasets.get(asset), record.held(envelope.signer, told.standard)
    require(before is None or before.state != "withdrawn", f"{asset} was withdrawn before")
    require(before is None or before.population == told.population, f"the people of {asset} change")
    require(holds in (None, asset), f"{envelope.signer} holds another dataset under the standard")
    if before is not None and before.standard.partition("/")[0] != told.standard.partition("/")[0]:
        require(not record.ranks(asset), f"{asset} is pledged and becomes something else")
    ends = [right.valid_until for right in told.declared.rights if right.valid_until is not None]
    record.datasets[asset] = Dataset(
        owner=envelope.signer,
        name=told.dataset,
        standard=told.standard,
        population=told.population,
        ends=min(ends, default=None),
        title=envelope.id,
        refreshed=told.refreshed,
        columns=tuple(told.columns),
        state="active" if before is None else before.state,
    )


def _declared(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    message = read(envelope, record.directory)
    cls = Withdrawal if entry.kind == "withdrawn" else Deprecation
    require(isinstance(message, cls), "its message is of another kind")
    dataset = record.live(f"{envelope.signer}/{getattr(message, 'dataset', '')}")
    require(dataset.state != entry.kind, f"it was {entry.kind} before")
    if entry.kind == "withdrawn":
        require(not record.ranks(f"{dataset.owner}/{dataset.name}"), "a pledged asset is withdrawn")
    dataset.state = entry.kind


def _policy(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    policy = Policy.from_json(expect(envelope, record.directory, Publication).policy)
    require(policy.owner == envelope.signer, "its signer does not own the dataset")
    asset = f"{policy.owner}/{policy.dataset}"
    require(record.live(asset).standard == policy.standard, "it is for another standard than the dataset's")
    held = record.policies.setdefault(asset, [])
    require(not held or held[-1][1].version < policy.version, "a newer policy is in force")
    held.append((entry.seq, policy))


def _key(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "fingerprint", "envelope")
    envelope = Envelope.from_json(told["envelope"])
    key = read_key(envelope, record.directory)
    require(key.fingerprint == told["fingerprint"], "the fingerprint is another key's")
    others = [held for held, _ in record.keys.values()]
    require(not shares_a_factor([*others, key]), "the key is not independent of a registered one")
    record.keys[key.fingerprint] = key, envelope.signer


def _witness(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "party", "seq", "hash")
    require(told["party"] in record.roles, "it is about a party that is not enrolled")
    if told["seq"] <= record.heads.get(told["party"], -1):
        # an operator's decision after a loss: the log's reader must know of it
        forgotten = record.spending.forgive(told["party"])
        override = {"what": "reset-witness", "party": told["party"], "to": told["seq"], "forgotten": forgotten}
        record.overrides.append({"seq": entry.seq, **override})
    record.heads[told["party"]] = told["seq"]


def _session(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "id", "asker", "plan_hash", "key_fingerprint", "parties", "expires", "ask")
    envelope = Envelope.from_json(told["ask"])
    ask = expect(envelope, record.directory, Ask)
    plan = Plan.from_json(ask.plan)
    named = (envelope.id, envelope.signer, plan.hash, ask.key, list(plan.parties), ask.expires)
    written = tuple(told[name] for name in ("id", "asker", "plan_hash", "key_fingerprint", "parties", "expires"))
    require(named == written, "it is not the session that was asked for")
    require(told["id"] not in record.sessions, "the session is opened twice")
    require(record.keys.get(ask.key, (None, ""))[1] == envelope.signer, "its key is not the asker's")
    standard = record.standards.get(plan.standard)
    require(standard is not None and standard.digest == plan.standard_digest, "its standard is not the published one")
    assets = {party: record.held(party, plan.standard) or "" for party in plan.parties}
    for party, asset in assets.items():
        require(asset, f"{party} holds nothing under the standard")
    session = Session(id=envelope.id, plan_hash=plan.hash, key_fingerprint=ask.key, parties=plan.parties)
    record.sessions[envelope.id] = Asked(envelope.signer, plan, entry.seq, assets, session)


def _message(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "session", "stage", "envelope")
    asked = _asked(record, told["session"])
    envelope = Envelope.from_json(told["envelope"])
    message = read(envelope, record.directory)
    after = asked.session.step(message, envelope)
    require(after != asked.session, "the message was heard before")
    require(after.stage == told["stage"], f"the session is {after.stage} after it")
    asked.session = after
    if isinstance(message, Share):
        _spend(record, asked, message, owner=envelope.signer)


def _spend(record: Record, asked: Asked, share: Share, *, owner: str) -> None:
    plan = asked.plan
    asset = asked.assets[owner]
    policies = record.policies.get(asset, [])
    # those in force when the session began, and all since: a node that was slow goes by the one it charged under
    first = max((at for at, (seq, _) in enumerate(policies) if seq < asked.opened), default=0)
    require(policies, f"{owner} has no policy in force")
    accepts = {
        party: expect(told, record.signed(told), Accept).version for party, told in asked.session.accepts.items()
    }
    population = record.datasets[asset].population
    record.spending.take(
        Answer(
            owner=owner,
            population=population,
            dataset=record.datasets[asset].name,
            asker=asked.asker,
            plan=plan,
            versions=accepts,
            caps=[policy.caps for _, policy in policies[first:]],
            charged=share.charged,
            left=share.left,
            reserve=None if share.reserve is None else (share.reserve, _drawable(record, asked, share.reserve, asset)),
            kept=record.kept(owner, population),
        )
    )


def _drawable(record: Record, asked: Asked, pledge: str, asset: str) -> int:
    """Return the reserve of a pledge on an asset, from which this asker was answered after a step-in that is on record."""
    held = _pledged(record, pledge)
    require(held.asset == asset, "it draws from the reserve of another asset's pledge")
    # a node may have charged just before the step-in ended
    stepped = any(
        (one.party, one.purpose) == (asked.asker, asked.plan.purpose)
        and (one.until is None or one.until > asked.opened)
        for one in record.step_ins.get(pledge, ())
    )
    require(stepped, "it draws from a reserve without a step-in of its asker for its purpose")
    return held.reserve


def _folded(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "session", "product")
    asked = _asked(record, told["session"])
    require(asked.session.stage is Stage.ANSWERED and not asked.product, "the session has no product to come")
    key, _ = record.keys[asked.session.key_fingerprint]
    shares = [expect(one, record.signed(one), Share).ciphertexts for one in asked.session.shares.values()]
    product = seal.fold([seal.Sealed.from_wire(list(share), key) for share in shares]).to_wire()
    require(product == told["product"], "it is not the product of the signed answers")
    asked.product = True


def _expired(record: Record, entry: Entry) -> None:
    asked = _asked(record, fields(entry.body, "session")["session"])
    require(asked.session.stage not in OVER, "the session was over before")
    asked.session = asked.session.expire()


def _refusal(record: Record, entry: Entry) -> None:
    if "standard" in entry.body:  # releases before did not write what the refused plan was about
        told = fields(entry.body, "asker", "plan_hash", "standard", "purpose", "items")
        require(told["standard"] in record.standards, "its standard is not published")
        known = told["purpose"] is None or told["purpose"] in {**PURPOSES, **REFUSED}
        require(known, "its purpose is not one of the registry's")
    else:
        told = fields(entry.body, "asker", "plan_hash", "items")
    require(told["asker"] in record.roles, "the asker is not enrolled")
    require(isinstance(told["items"], list) and told["items"], "it gives no reason")


def _appraisal(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = expect(envelope, record.directory, Appraisal)
    record.live(told.asset)
    require(envelope.id not in record.appraisals, "the appraisal is on record already")
    record.appraisals[envelope.id] = told.asset, told.report, envelope.signer


def _offer(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = expect(envelope, record.directory, Offer)
    require(record.roles[envelope.signer] == "lender", "its signer is no lender")
    require(envelope.id not in record.pledges, "the offer is on record already")
    dataset = record.live(told.asset)
    require(record.appraisals.get(told.appraisal, ("",))[0] == told.asset, "it rests on no appraisal of the asset")
    require(dataset.ends is None or told.matures <= dataset.ends, "a right in the asset ends before the loan")
    require(told.rank not in record.ranks(told.asset), "the rank was taken before")
    record.pledges[envelope.id] = Agreement.quoted(envelope)


def _lien(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    filing = expect(envelope, record.directory, Filing)
    held = _pledged(record, filing.offer)
    dataset = record.live(held.asset)
    require(dataset.title == filing.title, "it is filed under another title than the registration in force")
    for other in record.pledges.values():
        if other.asset != held.asset or other.state not in LIVE or held.id in other.lets_in:
            continue
        require(other.rank <= held.rank, "it goes over the head of a lien that was registered before")
        require(other.rank == held.rank or not other.forbids_juniors, "an earlier rank forbids it")
    collateral.check_searched(record.custody, offer=held.id, seq=entry.seq)
    in_time = held.kept_until is None or _day(entry) <= held.kept_until
    require(in_time, "it is registered after the day up to which its reserve was promised")
    record.moved(held.step(filing, envelope), seq=entry.seq)


def _objected(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    objection = expect(envelope, record.directory, Objection)
    record.moved(_pledged(record, objection.offer).step(objection, envelope), seq=entry.seq)


def _pledge(record: Record, entry: Entry) -> None:
    body = entry.body
    required = {"offer", "stage", "envelope"}
    require(
        isinstance(body, dict) and required <= body.keys() <= {*required, "awaits", "paid"}, "its body is another's"
    )
    envelope = Envelope.from_json(body["envelope"])
    message = read_step(envelope, record.directory)
    require(not isinstance(message, Filing | Objection), "its message is of another kind")
    held = _pledged(record, body["offer"])
    if isinstance(message, Endorsement):
        named = record.officers.get(held.lender, frozenset())
        require(envelope.signer in named and record.roles[envelope.signer] == "officer", "its signer is no officer")
    if isinstance(message, Renewal):
        require(record.live(held.asset).title == message.title, "it is renewed under another title")
    if isinstance(message, StepIn | Realisation):
        require(_pledged(record, message.offer).rank == _first(record, held.asset, message), "it is not the first rank")
    if isinstance(message, Realisation):
        paid = body.get("paid")
        require(paid == _waterfall(record, held.asset, message), "what was paid out does not follow from the claims")
    after = held.step(message, envelope)
    require(after.state == body["stage"], f"the pledge is {after.state} after it")
    record.moved(after, seq=entry.seq)


def _first(record: Record, asset: str, message: StepIn | Realisation) -> int:
    """Return the first live rank on an asset; a realisation's later entries go by the ranks at its first one."""
    if isinstance(message, Realisation):
        return min(made.rank for made in _realised(record, asset, message))
    return min(record.ranks(asset), default=0)


def _realised(record: Record, asset: str, message: Realisation) -> list[Agreement]:
    """Return the pledges that a realisation ends, as they stood before it: its entries follow each other, by rank."""
    if record.pledges[message.offer].state in LIVE or message.offer not in record.sales:
        record.sales[message.offer] = [
            one for one in record.pledges.values() if one.asset == asset and one.state in LIVE
        ]
    return record.sales[message.offer]


def _waterfall(record: Record, asset: str, message: Realisation) -> list[dict[str, str | int]]:
    payouts = distribute(
        message.proceeds,
        costs=message.costs,
        liens=[Ranked(one.rank, one.holder, one.secured, one.claim) for one in _realised(record, asset, message)],
        unregistered=[(one.name, one.amount) for one in message.unregistered],
        pledgor=asset.partition("/")[0],
    )
    return [payout.to_json() for payout in payouts]


def _lapsed(record: Record, entry: Entry) -> None:
    held = _pledged(record, fields(entry.body, "offer")["offer"])
    require(held.last_day < _day(entry), "its last day has not passed")
    record.moved(held.lapse(), seq=entry.seq)


def _day(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.at // 1_000_000, tz=UTC).date().isoformat()


def _officers(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = expect(envelope, record.directory, Officers)
    require(record.roles[envelope.signer] in ("institution", "lender"), "its signer has no officers")
    record.officers[envelope.signer] = frozenset(told.officers)


def _access(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "owners", "closes", "envelope")
    envelope = Envelope.from_json(told["envelope"])
    asked = expect(envelope, record.directory, AccessRequest)
    owners = tuple(told["owners"])
    require(asked.closes == told["closes"], "its last day is not the one asked for")
    require(owners and set(owners) <= set(Plan.from_json(asked.plan).parties), "its owners are not the plan's")
    require(envelope.id not in record.requests, "the request is on record already")
    record.requests[envelope.id] = asked, owners


def _ruling(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "request", "owner", "envelope")
    envelope = Envelope.from_json(told["envelope"])
    message = read(envelope, record.directory)
    held = record.requests.get(told["request"])
    require(held is not None and told["owner"] in held[1], "it is about no request to this owner")
    rulings = record.rulings.setdefault(told["request"], {})
    if isinstance(message, Ruling):
        require((message.request, message.owner) == (told["request"], told["owner"]), "it rules on something else")
        named = record.officers.get(message.owner, frozenset())
        require(envelope.signer in named and record.roles[envelope.signer] == "officer", "its signer is no officer")
        require(envelope.id not in rulings, "the ruling is on record already")
        rulings[envelope.id] = None
    else:
        require(isinstance(message, Ruled) and envelope.signer == told["owner"], "it is not the owner's word")
        ruling = getattr(message, "ruling", "")
        require(ruling in rulings and rulings[ruling] is None, "it is about no ruling that waits for a word")
        rulings[ruling] = envelope


RULES: Mapping[str, Rule] = {
    "standard": _standard,
    "dataset": _dataset,
    "deprecated": _declared,
    "withdrawn": _declared,
    "policy": _policy,
    "key": _key,
    "witness": _witness,
    "session": _session,
    "message": _message,
    "folded": _folded,
    "expired": _expired,
    "refusal": _refusal,
    "appraisal": _appraisal,
    "offer": _offer,
    "lien": _lien,
    "objected": _objected,
    "pledge": _pledge,
    "lapsed": _lapsed,
    "officers": _officers,
    "access": _access,
    "ruling": _ruling,
    **collateral.RULES,
    **holders.RULES,
}


def _asked(record: Record, session: Any) -> Asked:
    require(session in record.sessions, "it is about a session that was never opened")
    return record.sessions[session]


def _pledged(record: Record, offer: Any) -> Agreement:
    require(offer in record.pledges, "it is about no such offer")
    return record.pledges[offer]
