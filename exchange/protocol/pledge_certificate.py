"""The certificate of a pledge: every signed step of it with its entry of the journal, to be checked without the exchange.

Whoever verifies it takes the steps again, by the table of :mod:`exchange.protocol.pledge`, with the parties' own
signatures: an exchange cannot certify a pledge, a rank, an assignment or a release that its parties did not sign. That
nothing was said between the last step and the head is the exchange's word, under its key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exchange.protocol.agreement import Filing, Realisation, read_step
from exchange.protocol.certificate import SIGNER, Changed, Head, Keys, Place, entry_hash
from exchange.protocol.declaration import Hex32
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Amount, Message, Offer, Party, Registration, expect
from exchange.protocol.pledge import Agreement, State
from privacy.errors import Malformed, Mismatch


class Record(BaseModel):
    """An entry of the journal that moved the pledge."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    place: Place
    kind: str
    body: dict[str, Any]


class Paid(BaseModel):
    """What somebody got of the proceeds, in cents, and as what."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    role: str = Field(alias="as")
    name: str
    due: Amount
    paid: Amount


class PledgeCertificate(Message):
    """What the exchange certifies of a pledge; ``keys`` are the present Ed25519 keys of everybody who signed a step.

    ``rotations`` are the changes that led to them: each step is checked under the key that its signer had at its entry.
    """

    kind = "pledge-certificate"
    offer: Hex32
    state: State
    parties: dict[Party, str]
    keys: dict[Party, Hex32]
    exchange_key: Hex32
    title: dict[str, Any]
    entries: tuple[Record, ...] = Field(min_length=1)
    head: Head
    rotations: tuple[Changed, ...] = ()

    def sealed(self, key: Ed25519PrivateKey) -> Envelope:
        """Put the certificate into an envelope signed by the exchange."""
        return self.sealed_by(SIGNER, key)


@dataclass(frozen=True, slots=True)
class Pledged:
    """What a verified certificate proves: the agreement as its steps made it, the title, who is who, and its place in line."""

    told: PledgeCertificate
    agreement: Agreement
    title: Registration
    position: int
    registered_at: int
    paid: tuple[Paid, ...]


def verify(document: Any, *, exchange_key: bytes) -> Pledged:
    """Check a certificate against the exchange's key (32 bytes, compared out of band) and take every step again.

    Raises:
        Mismatch: if a signature, an entry's hash or the state does not belong to what is certified.
        PeerFault, Forbidden: if a step could not follow the ones before it.
        Malformed: if the document is not a certificate.
    """
    envelope = Envelope.from_json(document)
    envelope.verify({SIGNER: exchange_key})
    try:
        told = PledgeCertificate.model_validate_json(envelope.body)
    except ValidationError:
        raise Malformed(
            "the document is not a certificate of a pledge", fix="fetch it from the exchange again"
        ) from None
    if envelope.kind != PledgeCertificate.kind or told.exchange_key != exchange_key.hex():
        raise Mismatch("the certificate names another exchange", fix="compare the exchange's key out of band")
    keys = Keys.trace(told.keys, told.rotations)
    quote = Envelope.from_json(told.entries[0].body)
    expect(quote, keys.at(told.entries[0].place.seq), Offer)
    made, filed, before = Agreement.quoted(quote), None, 0
    paid: tuple[Paid, ...] = ()
    for number, record in enumerate(told.entries):
        if entry_hash(record.place, record.kind, record.body) != record.place.hash or record.place.seq <= before:
            raise Mismatch("a step is not the entry that the certificate names", fix="report the exchange")
        before = record.place.seq
        if number:
            made, paid = _taken(made, record, keys.at(record.place.seq))
        if record.kind == "lien":
            filed = record.place
    title = Envelope.from_json(told.title)
    registration = expect(title, keys.of(title), Registration)
    asset = f"{title.signer}/{registration.dataset}"
    if filed is None or title.id != made.title or asset != made.asset:
        raise Mismatch("the title is not the one that the pledge is tied to", fix="report the exchange")
    if made.id != told.offer or made.state is not told.state or before > told.head.seq:
        raise Mismatch("the pledge does not stand where the certificate says", fix="report the exchange")
    return Pledged(told, made, registration, position=filed.seq, registered_at=filed.at, paid=paid)


def _taken(made: Agreement, record: Record, directory: Mapping[str, bytes]) -> tuple[Agreement, tuple[Paid, ...]]:
    """Take the step that an entry holds."""
    if record.kind == "lapsed":
        if record.body != {"offer": made.id}:
            raise Mismatch("another pledge has lapsed", fix="report the exchange")
        return made.lapse(), ()
    envelope = Envelope.from_json(record.body.get("envelope", record.body))
    message = read_step(envelope, directory)
    if (record.kind == "lien") is not isinstance(message, Filing) or record.body.get("offer", made.id) != made.id:
        raise Mismatch("an entry of another kind holds the step", fix="report the exchange")
    after = made.step(message, envelope)
    if record.body.get("stage", after.state) != after.state:
        raise Mismatch("a step does not lead where its entry says", fix="report the exchange")
    if not isinstance(message, Realisation):
        return after, ()
    try:
        paid = tuple(Paid.model_validate(one) for one in record.body.get("paid", ()))
    except (ValidationError, TypeError):
        raise Mismatch("what was paid out cannot be read", fix="report the exchange") from None
    if sum(one.paid for one in paid) != message.proceeds:
        raise Mismatch("what was paid out is not what came in", fix="report the exchange")
    return after, paid
