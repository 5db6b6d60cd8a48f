"""Enrolment by one-time invite: what the exchange keeps of an invite is in its journal, and no secret is among it."""

import secrets
from typing import Any

from exchange.hub import catalog
from exchange.hub.store import Event, Store
from exchange.hub.view import View
from exchange.identity import ROLES
from exchange.invite import LOG_BYTES, SECRET_BYTES, Invite, check_url
from exchange.protocol.attest import attest
from exchange.protocol.enrolment import ENROLLED, read_enrolment
from exchange.protocol.errors import PeerFault, Uninvited
from privacy.errors import Malformed
from privacy.terms import check_party

LONGEST = 30 * 86_400
"""Seconds that an invite may be good for."""


def invite(
    store: Store, *, party: str, name: str, role: str, url: str, pin: bytes | None, expires: int, now: int
) -> Invite:
    """Make an invite for a party, in place of any before; ``expires`` and ``now`` in seconds since 1970.

    Of an officer, who is a person, the log holds a salted commitment to the name.

    Raises:
        Malformed: if a part is not valid.
        PeerFault: if the party is enrolled and its key not revoked.
    """
    check_party(party)
    if role not in ROLES or not 0 < len(name) <= 200 or not name.isprintable():
        raise Malformed("the party's role or name is not valid", fix=f"roles: {', '.join(ROLES)}")
    if not now < expires <= now + LONGEST:
        raise Malformed("the invite's end is not within 30 days", fix="give it as 24h or 7d")
    made = Invite(
        party=party,
        role=role,
        expires=expires,
        url=check_url(url),
        log=bytes.fromhex(store.log.id)[:LOG_BYTES],
        pin=pin,
        secret=secrets.token_bytes(SECRET_BYTES),
    )
    told = store.log.commitment(party, name) if role == "officer" else name
    key = made.key.public_key().public_bytes_raw().hex()
    event = {"party": party, "name": told, "role": role, "expires": expires, "key": key}

    def decide(view: View) -> tuple[list[Event], None]:
        held = view.role(party)
        if held is not None and party not in view.revoked():
            raise PeerFault("this party is enrolled", fix="revoke its key first, if that is lost or stolen")
        if held not in (None, role):
            raise PeerFault("this party was enrolled in another role", fix="invite it in the role that it had")
        return [("invited", event)], None

    store.write(decide)
    return made


def enrol(store: Store, document: Any, *, now: int) -> dict[str, Any]:
    """Enrol the party that an invite is for and return the exchange's word for it, signed as its log is.

    The same enrolment again gets the same word: a party that was stopped asks again.

    Raises:
        Uninvited: naming what is wrong with the invite. PeerFault: if the key belongs, or belonged, to a party.
        Malformed, Mismatch: if the document is not an enrolment, or its sender does not have the key.
    """
    party, told, proved = read_enrolment(document)

    def decide(view: View) -> tuple[list[Event], None]:
        held = view.invite(told.invite)
        if held is None or not proved:
            raise Uninvited(
                "there is no such invite", fix="copy the invite again; one that was replaced counts no more"
            )
        if (party, told.role) != (held["party"], held["role"]):
            raise Uninvited("the invite is for another party or role", fix="use the name and role that it was made for")
        if held["used"]:
            if view.signer(party) == {party: bytes.fromhex(told.key)}:
                return [], None
            raise Uninvited(
                "the invite was used", fix="if that was not you, tell the operator now; else ask for another"
            )
        if now > held["expires"]:
            raise Uninvited("the invite has expired", fix="ask the operator for another")
        return catalog.enrolment(
            view, party=party, name=held["name"], role=held["role"], key=bytes.fromhex(told.key)
        ), None

    store.write(decide)
    word = {"party": party, "role": told.role, "key": told.key}
    return {"enrolled": attest(ENROLLED, word, store.log.signer).to_json()}
