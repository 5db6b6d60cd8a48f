"""Every message that moves a pledge after it was quoted, as a frozen, strict type; which of them counts when is ``pledge.py``'s.

Each names the pledge by ``offer``, the id of the quote's envelope. Money is in cents, as integers. ``title`` is the id of
the owner's registration, which every certificate of registration carries: what is pledged is tied to what was certified.
A ``nonce`` stands where the same words may be meant twice.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exchange.protocol.declaration import Asset, Date, Hex32
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Amount, Consent, Message, Objection, Party, Sparing, Words, expect
from privacy.errors import Malformed

Cents = Annotated[int, Field(ge=0, lt=1 << 53)]
Paid = Annotated[int, Field(gt=0, lt=1 << 53)]


class Level(StrEnum):
    """What a lender gives notice of: how the cover stands against the agreement's covenants."""

    WARNING = "warning"
    MARGIN_CALL = "margin_call"
    CURED = "cured"
    LIFTED = "lifted"


class Endorsement(Message):
    """An officer of the lender approves a quote or refuses it; a refusal has a reason (``because``)."""

    kind = "pledge-endorsement"
    offer: Hex32
    act: Literal["approve", "refuse"]
    because: Words

    @model_validator(mode="after")
    def _check_reason(self) -> Self:
        if not self.because and self.act == "refuse":
            raise ValueError
        return self


class Signature(Message):
    """The lender signs what its officers approved, and vouches by their ids for the approvals; the owner signs by its consent."""

    kind = "pledge-signature"
    offer: Hex32
    endorsements: tuple[Hex32, Hex32]


class Filing(Message):
    """The lender has a pledge registered that both have signed, until the end of the day ``expires``."""

    kind = "pledge-filing"
    offer: Hex32
    title: Hex32
    expires: Date


class Drawdown(Message):
    """The lender has paid the loan out: from now on ``amount`` is claimed."""

    kind = "pledge-drawdown"
    offer: Hex32
    amount: Paid


class Payment(Message):
    """The lender has received ``amount`` of what it claims."""

    kind = "pledge-payment"
    offer: Hex32
    amount: Paid
    nonce: Hex32


class Notice(Message):
    """The lender gives notice of the cover, by the digest of the evidence it rests on; a margin call says until when to cure."""

    kind = "pledge-notice"
    offer: Hex32
    level: Level
    evidence: Hex32
    cure_by: Date | None
    nonce: Hex32

    @model_validator(mode="after")
    def _check_day(self) -> Self:
        if (self.cure_by is None) is (self.level is Level.MARGIN_CALL):
            raise ValueError
        return self


class StepIn(Message):
    """The lender steps in: fees and grants of the asset go to ``operator`` from now on. No data moves."""

    kind = "pledge-step-in"
    offer: Hex32
    title: Hex32
    operator: Party
    evidence: Hex32


class Creditor(BaseModel):
    """Somebody who is owed money but has no lien, as the realisation's documents name it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Annotated[Words, Field(min_length=1, max_length=200)]
    amount: Paid


class Realisation(Message):
    """The lender has realised the asset: what came in, what it cost, who else is owed; ``successor`` has its fees and grants then."""

    kind = "pledge-realisation"
    offer: Hex32
    asset: Asset
    title: Hex32
    proceeds: Cents
    costs: Cents
    unregistered: Annotated[tuple[Creditor, ...], Field(max_length=100)]
    successor: Party
    evidence: Hex32


class PartialRelease(Sparing):
    """So much less is secured. The owner's word is enough as long as the live claim stays covered; below it, the lender's counts.

    ``reserve`` (1e-9 rho) of the privacy budget that is kept back goes back to the owner with it, if the lender says so.
    """

    kind = "pledge-partial-release"
    silent = ("reserve",)
    offer: Hex32
    title: Hex32
    amount: Paid
    nonce: Hex32
    reserve: Amount = 0


class Release(Message):
    """The lender lets go of the pledge."""

    kind = "pledge-release"
    offer: Hex32
    title: Hex32


class Assignment(Message):
    """The lender assigns the pledge with its claim to another lender, who must accept; a later assignment takes its place."""

    kind = "pledge-assignment"
    offer: Hex32
    title: Hex32
    to: Party
    nonce: Hex32


class Acceptance(Message):
    """The lender to whom a pledge was assigned takes it over; rank and position stay."""

    kind = "pledge-acceptance"
    offer: Hex32
    title: Hex32
    assignment: Hex32


class Renewal(Message):
    """The lender prolongs the registration; ``title`` is the registration in force now. Rank and position stay."""

    kind = "pledge-renewal"
    offer: Hex32
    title: Hex32
    expires: Date


class Leave(Message):
    """The lender lets another pledge of the same asset, quoted as ``other``, be registered although its own forbids it or is overtaken."""

    kind = "pledge-leave"
    offer: Hex32
    other: Hex32


Step = (
    Endorsement | Signature | Consent | Objection | Filing | Drawdown | Payment | Notice | StepIn | Realisation
    | PartialRelease | Release | Assignment | Acceptance | Renewal | Leave
)  # fmt: skip

STEPS: Mapping[str, type[Step]] = {
    cls.kind: cls
    for cls in (
        Endorsement, Signature, Consent, Objection, Filing, Drawdown, Payment, Notice, StepIn, Realisation,
        PartialRelease, Release, Assignment, Acceptance, Renewal, Leave,
    )
}  # fmt: skip


def read_step(envelope: Envelope, directory: Mapping[str, bytes]) -> Step:
    """Verify an envelope against the keys on record and parse the step that it holds.

    Raises:
        Mismatch: if the signature does not verify.
        Malformed: if it holds no step of a pledge.
    """
    cls = STEPS.get(envelope.kind)
    if cls is None:
        envelope.verify(directory)
        raise Malformed("a step of a pledge was expected", fix="use a client of this release")
    return expect(envelope, directory, cls)
