"""A party's side of pledges: a lender's, its officers', an owner's. Everything goes through the exchange, under their own keys.

What the exchange shows is checked: a pledge is known by the id of its quote, which is the hash of what the lender signed,
and where it stands follows from its messages by the same table. An exchange can hold a message back, not change one.
"""

from collections.abc import Callable
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.line import Line
from exchange.protocol.agreement import STEPS, Endorsement, Filing, Signature, Step
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.messages import Appraisal, Message, Offer, Officers, Registration, unverified
from exchange.protocol.pledge import Agreement
from privacy import canonical
from privacy.errors import Malformed, Mismatch


class Pledges:
    """The pledges that concern one party, over its line; ``sign`` puts a message into an envelope under its key."""

    def __init__(self, line: Line, sign: Callable[[Message], Envelope]) -> None:
        self._line = line
        self._sign = sign

    def quote(self, offer: Offer) -> str:
        """Offer a loan against an asset, and return the pledge's id.

        Raises:
            Taken: if the asset is pledged at this rank, with holder and time.
        """
        return self._post("/v1/offers", offer)

    @classmethod
    def under(cls, line: Line, key: Ed25519PrivateKey) -> Self:
        """Return the pledges of the line's party, which signs with ``key``."""
        return cls(line, lambda message: message.sealed_by(line.party, key))

    def name_officers(self, *officers: str) -> None:
        """Name the officers who approve this lender's quotes, in place of any named before."""
        self._line.post("/v1/access/officers", self._sign(Officers(officers=officers)))

    def record(self, appraisal: Appraisal) -> str:
        """Put a report's fingerprint on record for a quote to cite, and return its id."""
        return self._post("/v1/appraisals", appraisal)

    def every(self) -> list[dict[str, Any]]:
        """Return every pledge that concerns this party, newest first, as the exchange tells it."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._line.get(f"/v1/pledges?before={found[-1]['seq']}" if found else "/v1/pledges")["pledges"]
            if not page:
                return found
            found += page

    def show(self, pledge: str, *, wait: int = 0) -> tuple[Agreement, dict[str, Any]]:
        """Return a pledge as its messages make it, and what the exchange tells of it; with ``wait``, once the owner has answered.

        Raises:
            Mismatch: if the exchange shows another pledge, or another state than the messages lead to.
        """
        told = self._line.get(f"/v1/offers/{pledge}?wait={wait}&seen=100000" if wait else f"/v1/offers/{pledge}")
        quote = Envelope.from_json(told["envelope"])
        if quote.id != pledge:
            raise Mismatch("the exchange shows another pledge than the one asked for", fix="report the exchange")
        made = Agreement.quoted(quote)
        for step in told["steps"]:
            made = made.lapse() if step["said"] is None else _taken(made, Envelope.from_json(step["said"]))
        if made.state != told["state"]:
            raise Mismatch("the pledge does not stand where the exchange says", fix="report the exchange")
        return made, told

    def find(self, begins: str) -> str:
        """Return a pledge's id by the id or the beginning of it.

        Raises:
            Unknown: if there is none for this party, or several.
        """
        if len(begins) == 64:
            return begins
        found = {one["id"] for one in self.every() if begins and one["id"].startswith(begins)}
        if len(found) != 1:
            raise Unknown("pledge whose id begins like this" if not found else "one pledge: several begin like this")
        return str(found.pop())

    def send(self, message: Step) -> dict[str, Any]:
        """Send a step of a pledge and return where it stands then."""
        told: dict[str, Any] = self._line.post(f"/v1/pledges/{message.offer}/steps", self._sign(message))
        return told

    def approve(self, pledge: str) -> dict[str, Any]:
        """Approve a quote as an officer of its lender, having read what it says."""
        self.show(pledge)
        return self.send(Endorsement(offer=pledge, act="approve", because=""))

    def sign(self, pledge: str) -> dict[str, Any]:
        """Sign a quote that two officers have approved; the owner's signature is asked for next.

        Raises:
            PeerFault: if it was not approved yet.
        """
        made, _ = self.show(pledge)
        match tuple(name for _, name in made.endorsed):
            case (first, second):
                return self.send(Signature(offer=pledge, endorsements=(first, second)))
            case _:
                raise PeerFault("two officers must approve the quote first", fix="have them approve it")

    def file(self, pledge: str, *, expires: str | None = None) -> dict[str, Any]:
        """Have a signed pledge registered under the asset's title in force, until the loan matures or ``expires`` (ISO).

        Raises:
            Taken: if another lien of its rank is live, with holder and time.
            Refused: if its rows cannot be compared with all on record, or are or may be another asset's.
        """
        made, _ = self.show(pledge)
        return self.send(Filing(offer=pledge, title=self.title(made.asset), expires=expires or made.matures))

    def title(self, asset: str) -> str:
        """Return the id of the registration in force of an asset, as its certificate shows it.

        Raises:
            Mismatch: if the certificate is of another asset.
        """
        issued = Envelope.from_json(self._line.get(f"/v1/datasets/{asset}/certificate"))
        registration = Envelope.from_json(canonical.decode(issued.body)["registration"])
        if f"{registration.signer}/{unverified(registration, Registration).dataset}" != asset:
            raise Mismatch("the certificate is of another asset", fix="report the exchange")
        return registration.id

    def certificate(self, pledge: str) -> dict[str, Any]:
        """Return the exchange's certificate of a pledge that was registered."""
        told: dict[str, Any] = self._line.get(f"/v1/pledges/{pledge}/certificate")
        return told

    def field_sheet(self, pledge: str) -> dict[str, Any]:
        """Return the fields that the national movables registry asks for."""
        told: dict[str, Any] = self._line.get(f"/v1/pledges/{pledge}/form")
        return told

    def _post(self, path: str, message: Message) -> str:
        signed = self._sign(message)
        if self._line.post(path, signed) != {"id": signed.id}:
            raise Mismatch("the exchange took another message than the one sent", fix="report the exchange")
        return signed.id


def _taken(made: Agreement, said: Envelope) -> Agreement:
    cls = STEPS.get(said.kind)
    if cls is None:
        raise Malformed("the exchange shows a step that is none", fix="use a client of this release")
    return made.step(unverified(said, cls), said)
