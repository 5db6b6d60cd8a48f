"""A pledge taken through all its steps at a store, by the keys of all who sign."""

from hashlib import sha256

from exchange.hub import access, catalog, liens
from exchange.protocol.agreement import Drawdown, Endorsement, Filing, Signature
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Appraisal, Consent, Offer, Officers

NOW = 1_700_000_000
"""Seconds since 1970, 14 November 2023, at which steps are taken unless another time is told."""


def nonce(number=0):
    return sha256(str(number).encode()).hexdigest()


def name_officers(store, lender, *, key, officers):
    """Enrol people and have a lender name them its officers; ``officers`` are their keys by name."""
    for officer, signing in officers.items():
        raw = signing.public_key().public_bytes_raw()
        catalog.enrol(store, party=officer, name=officer.upper(), role="officer", key=raw)
    access.announce(store, Officers(officers=tuple(officers)).sealed_by(lender, key))


def title_of(store, asset="bank-a/accounts"):
    return store.view().registration(asset)[0].id


def quote(store, lender, *, key, asset="bank-a/accounts", rank=1, amount=100, matures="2027-12-31", **told):
    """Record an appraisal and offer a loan on it; returns the pledge's id."""
    told = {"nonce": nonce(), "forbids_juniors": False} | told
    appraisal = liens.record_appraisal(
        store, Appraisal(asset=asset, report="a" * 64, releases=()).sealed_by(lender, key)
    )
    offer = Offer(asset=asset, rank=rank, amount=amount, matures=matures, appraisal=appraisal, **told)
    return liens.offer(store, offer.sealed_by(lender, key))


def quoted_of_nothing(store, lender, *, key, asset="bank-a/accounts", matures="2027-12-31"):
    """Put an offer of 0 yuan on record, as an exchange took it before it asked for more; returns the pledge's id."""
    appraisal = liens.record_appraisal(
        store, Appraisal(asset=asset, report="a" * 64, releases=()).sealed_by(lender, key)
    )
    offer = Offer(
        asset=asset, rank=1, amount=0, matures=matures, appraisal=appraisal, nonce=nonce(), forbids_juniors=False
    )
    sealed = offer.sealed_by(lender, key)
    store.write(lambda _: ([("offer", sealed.to_json())], None))
    return sealed.id


def approve(store, offer, officers, now=NOW):
    """Have each officer approve; returns the ids of the approvals."""
    signed = [Endorsement(offer=offer, act="approve", because="").sealed_by(who, key) for who, key in officers.items()]
    for one in signed:
        liens.step(store, offer, one, now=now)
    return tuple(one.id for one in signed)


def agree(store, offer, lender, *, key, officers, owner="bank-a", owner_key, now=NOW):
    """Have two officers approve, and lender and owner sign."""
    offered(store, offer, lender, key=key, officers=officers, now=now)
    liens.answer(store, offer, Consent(offer=offer).sealed_by(owner, owner_key))


def offered(store, offer, lender, *, key, officers, now=NOW):
    """Have two officers approve and the lender sign: the owner's consent is awaited."""
    approvals = approve(store, offer, officers, now)
    liens.step(store, offer, Signature(offer=offer, endorsements=approvals).sealed_by(lender, key), now=now)


def file(store, offer, lender, *, key, expires="2027-12-31", now=NOW):
    """Have the lender register a signed pledge."""
    asset = liens.describe(store.view(), offer, caller=lender)["asset"]
    filing = Filing(offer=offer, title=title_of(store, asset), expires=expires)
    return liens.step(store, offer, filing.sealed_by(lender, key), now=now)


def draw(store, offer, lender, *, key, amount=10_000, now=NOW):
    """Have the lender say that the loan is paid out, in cents."""
    return liens.step(store, offer, Drawdown(offer=offer, amount=amount).sealed_by(lender, key), now=now)


def as_read(document):
    """An envelope as it is read from JSON."""
    return Envelope.from_json(document)
