"""A new party's side of its enrolment: keys of its own, one signed request, and what it remembers of the exchange.

Everything can be done again: keys that lie there are kept, and the exchange answers the same enrolment with the same word.
"""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import address, identity
from exchange.analyst import desk
from exchange.invite import Invite
from exchange.line import send
from exchange.node import vault
from exchange.protocol.attest import Attested
from exchange.protocol.enrolment import ENROLLED, enrol
from exchange.protocol.errors import PeerFault
from exchange.witness import Witness
from privacy.errors import Malformed, Mismatch


def settle(home: Path, invite: Invite) -> Ed25519PrivateKey:
    """Make what a party of the invite's role keeps under ``home``, as far as it is missing, and return its signing key.

    Raises:
        PeerFault: if another party lives there.
        Locked: if its keys are protected, and not by what was given.
    """
    if not (home / "party").exists():
        match invite.role:
            case "institution":
                return vault.create(home, party=invite.party)
            case "officer":
                return identity.make(home, party=invite.party, what="officer")
            case _:
                return desk.create(home, party=invite.party, pinned={})
    party, signing = identity.load(home, what="party")
    if party != invite.party:
        raise PeerFault("another party lives in this directory", fix="choose an empty directory")
    if invite.role == "institution":
        vault.complete(home)
    elif invite.role != "officer":
        desk.complete(home, pinned={})
    return signing


def join(home: Path, invite: Invite) -> str:
    """Enrol the party of an invite with keys under ``home``, and follow the exchange's log from then on; return its id.

    Raises:
        Uninvited: if the exchange refuses the invite, naming why.
        Mismatch: if whoever answers does not sign as the invited exchange.
        Unreachable, Impostor: if it does not answer, or somebody else does.
    """
    signing = settle(home, invite)
    document = enrol(invite.party, invite.role, key=signing, invite=invite.key)
    told = send(invite.url, "/v1/enrolments", document, pin=invite.pin)
    log = _confirmed(told, invite, signing.public_key().public_bytes_raw().hex())
    Witness(home).pin(log)
    address.remember(home, url=invite.url, pin=invite.pin)
    return log


def _confirmed(told: Any, invite: Invite, key: str) -> str:
    """Return the id of the log whose keys signed the word; it must begin as the invite says."""
    impostor = Mismatch(
        "whoever answered is not the exchange of the invite",
        fix="compare invite and address with the operator by phone",
    )
    try:
        word = Attested.from_json(told["enrolled"])
        log = word.keys.id
        if not bytes.fromhex(log).startswith(invite.log) or word.kind != ENROLLED:
            raise impostor
        if word.verify(log) != {"party": invite.party, "role": invite.role, "key": key}:
            raise impostor
    except (KeyError, TypeError, Malformed):
        raise impostor from None
    return log
