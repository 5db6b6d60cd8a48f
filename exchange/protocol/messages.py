"""Every message of the protocol as a frozen, strict type; unknown, missing or mistyped fields are refused.

Each travels as the body of a signed envelope whose ``kind`` is the class's ``kind``. Hashes, nonces and keys are lower-case
hexadecimal; budgets are integers of 1e-9 rho; times are seconds since 1970-01-01 UTC.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from exchange.protocol.access import Act, Standing
from exchange.protocol.declaration import UNDECLARED, Asset, Date, Declaration, Hex32
from exchange.protocol.envelope import Envelope, sign
from privacy import canonical
from privacy.errors import Malformed
from privacy.policy import MAX_KEEPS


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError
    return text


Party = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
LONGEST_TEXT = 400
"""Characters that a text in a message may have."""

Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Words = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_printable)]
"""What one person writes for another to read: nothing that could steer the reader's screen."""

Amount = Annotated[int, Field(ge=0, lt=1 << 62)]
Days = Annotated[int, Field(ge=0, le=MAX_KEEPS)]


class Message(BaseModel):
    """Common strictness of all messages."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    kind: ClassVar[str]

    def sealed_by(self, signer: str, key: Ed25519PrivateKey) -> Envelope:
        """Put the message into an envelope signed by ``signer``."""
        return sign(self.kind, self.model_dump(mode="json"), signer=signer, key=key)


class Sparing(Message):
    """A message whose ``silent`` fields are left out of the body when they say nothing: it has one spelling in every release."""

    silent: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _spell(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = handler(self)
        return {name: value for name, value in told.items() if value or name not in self.silent}

    @model_validator(mode="after")
    def _check_spelling(self, info: ValidationInfo) -> Self:
        said = self.model_fields_set.intersection(self.silent)
        if info.mode == "json" and not all(getattr(self, name) for name in said):
            raise ValueError
        return self


class Registration(Message):
    """An institution announces a dataset that stays where it lies: metadata only, and what it declares of it."""

    kind = "registration"
    dataset: Name
    title: Text
    standard: Text
    standard_digest: Hex32
    population: Text
    columns: tuple[Name, ...]
    refreshed: Date
    declared: Declaration = UNDECLARED


class Deprecation(Message):
    """The owner advises against a dataset; it still answers. ``successor`` is what to use instead, ``owner/dataset``."""

    kind = "deprecation"
    dataset: Name
    because: Text
    successor: Asset | None = None


class Withdrawal(Message):
    """The owner takes a dataset out of the catalog for good: it is asked no more, its history and its budget's stay."""

    kind = "withdrawal"
    dataset: Name
    because: Text


class Publication(Message):
    """An institution publishes the policy of one of its datasets (the document of :class:`privacy.policy.Policy`)."""

    kind = "policy"
    policy: dict[str, Any]


class Key(Message):
    """An analyst registers the Paillier key that its sessions are answered under, with the proof of its modulus."""

    kind = "key"
    key: dict[str, Any]
    proof: dict[str, Any]


class Ask(Message):
    """An analyst opens a session: the plan, the fingerprint of its registered Paillier key, and a deadline.

    ``keeps`` is for how many days the asker undertakes to keep the result at most.
    """

    kind = "ask"
    plan: dict[str, Any]
    keeps: Days
    key: Hex32
    nonce: Hex32
    expires: Annotated[int, Field(ge=0, lt=1 << 40)]


class Accept(Message):
    """A node would answer: its nonce and X25519 share for the masks, its price and what the asker would have left.

    ``version`` is the public version of its data, ``min_group`` the least noisy count of a group worth showing to it.
    """

    kind = "accept"
    session: Hex32
    plan_hash: Hex32
    policy_digest: Hex32
    version: Text
    nonce: Hex32
    share: Hex32
    price: Amount
    left: Amount
    min_group: Amount


class Offence(BaseModel):
    """One offending item of a declined plan."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    item: Text
    layer: Text
    rule: Text
    why: Text
    fix: Text


class Decline(Message):
    """A node refuses, decided from plan, policy and budget alone, before any row is read."""

    kind = "decline"
    session: Hex32
    reason: Text
    fix: Text
    offences: tuple[Offence, ...]


class Commit(Message):
    """A node promises to run the session's plan with this roster, once."""

    kind = "commit"
    session: Hex32
    roster_hash: Hex32


class Share(Sparing):
    """A node's answer: its noised, packed, masked and sealed cells, and what was charged for them.

    ``seq`` and ``head`` are place and hash of an entry of its journal that comes after the charge, for the exchange to
    witness. ``reserve`` is the pledge whose reserve has paid, after a step-in.
    """

    kind = "share"
    silent = ("reserve",)
    session: Hex32
    roster_hash: Hex32
    ciphertexts: tuple[Annotated[str, Field(max_length=4096)], ...]
    charged: Amount
    left: Amount
    seq: Amount
    head: Hex32
    reserve: Hex32 | None = None


class Abort(Message):
    """A node cannot go on with a session it had accepted; nothing more will come from it."""

    kind = "abort"
    session: Hex32
    reason: Text


class Preview(Message):
    """An analyst asks every node of a plan whether it would answer and at what price; opens no session, costs nothing.

    ``keeps`` is as in :class:`Ask`.
    """

    kind = "preview"
    plan: dict[str, Any]
    keeps: Days
    nonce: Hex32
    expires: Annotated[int, Field(ge=0, lt=1 << 40)]


class Indication(BaseModel):
    """What a node would charge now (1e-9 rho) and what its answer would be made of; binds nobody.

    ``price`` is 0 if a stored answer serves the plan; ``left`` is what the tightest cap, named by ``cap``, has before that
    price; ``min_group`` and ``version`` are as in :class:`Accept`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    policy_digest: Hex32
    version: Text
    price: Amount
    left: Amount
    cap: Text
    min_group: Amount


class Refusal(BaseModel):
    """Why a node would decline a plan, as in :class:`Decline`; tells nothing of budgets that the asker may not use."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    reason: Text
    fix: Text
    offences: tuple[Offence, ...]


class Verdict(Message):
    """A node's answer to a preview, named by the id of its envelope: an indication, or why it would decline.

    It names no session and carries no nonce and no key share: nothing can be built on it.
    """

    kind = "verdict"
    preview: Hex32
    plan_hash: Hex32
    outcome: Indication | Refusal


class Appraisal(Message):
    """A valuer puts the fingerprint of a report on record, so that a lien can cite it."""

    kind = "appraisal"
    asset: Text
    report: Hex32
    releases: tuple[Hex32, ...]


class StepInTerms(BaseModel):
    """What the parties agree on for a step-in: who may be named, what for, and how much budget (1e-9 rho) is kept back for it.

    With ``exclusive`` the owner's node answers nobody else about the asset meanwhile.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    purpose: Text
    reserve: Annotated[int, Field(gt=0, lt=1 << 62)]
    operators: Annotated[tuple[Party, ...], Field(min_length=1, max_length=20)]
    exclusive: bool


class Offer(Sparing):
    """A lender offers a loan against a dataset, which quotes the pledge: amount in whole yuan, rank of the lien, maturity.

    With ``forbids_juniors`` no lien of a later rank is registered beside it without the lender's leave. Without ``step_in`` a
    step-in moves fees and grants on record, and no node acts on it.
    """

    kind = "offer"
    silent = ("step_in",)
    asset: Text
    rank: Annotated[int, Field(ge=1, le=9)]
    amount: Amount
    matures: Date
    appraisal: Hex32
    nonce: Hex32
    forbids_juniors: bool
    step_in: StepInTerms | None = None

    @property
    def is_of_nothing(self) -> bool:
        """Whether no money is offered: such an offer would hold a rank for no loan, so no exchange takes it and no owner agrees.

        It is a message all the same: a journal may hold some that were taken before this was asked, and stays verifiable.
        """
        return self.amount == 0


class Kept(BaseModel):
    """A node's word that its ledger keeps ``reserve`` (1e-9 rho) back for a pledge that is registered up to and including ``until``.

    ``seq`` and ``head`` are place and hash of an entry of its journal that comes after it, for the exchange to witness.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    reserve: Annotated[int, Field(gt=0, lt=1 << 62)]
    until: Date
    seq: Amount
    head: Hex32


class Consent(Sparing):
    """The owner agrees to pledge the asset on the terms of an offer; where these ask for a reserve, its node says that it is ``kept``."""

    kind = "consent"
    silent = ("kept",)
    offer: Hex32
    kept: Kept | None = None


class Objection(Message):
    """The owner does not agree to an offer."""

    kind = "objection"
    offer: Hex32
    reason: Text


class AccessRequest(Message):
    """An asker asks the owners of a plan's data to approve it: this one plan, or ``standing`` every plan that needs no more.

    ``why`` is the reason in words. Officers may approve or refuse up to and including the day ``closes``.
    """

    kind = "access-request"
    plan: dict[str, Any]
    why: Annotated[Words, Field(min_length=1)]
    standing: bool
    closes: Date
    nonce: Hex32


class Officers(Message):
    """An institution or lender names its officers, to whom the exchange shows what waits; a node goes by its own pins."""

    kind = "officers"
    officers: Annotated[tuple[Party, ...], Field(max_length=100)]


class Ruling(Message):
    """An officer of ``owner`` rules on an access request, named by the id of its envelope.

    An approval, and nothing else, has a last day (``until``); a refusal has a reason (``because``).
    """

    kind = "ruling"
    request: Hex32
    owner: Party
    act: Act
    until: Date | None
    because: Words
    nonce: Hex32

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if (self.until is None) is (self.act is Act.APPROVE):
            raise ValueError
        if not self.because and self.act is Act.REFUSE:
            raise ValueError
        return self


class Ruled(Message):
    """A node's word on a ruling, named by the id of its envelope: whether it counted, and where the request stands since.

    ``step`` is how many rulings have counted, ``until`` the approval's last day; ``reason`` is why a ruling counted for nothing, or what the officer who refused or withdrew gave as a reason.
    """

    kind = "ruled"
    request: Hex32
    ruling: Hex32
    counted: bool
    standing: Standing
    step: Amount
    until: Date | None
    reason: Annotated[str, Field(max_length=LONGEST_TEXT)]


class Cosigned(Message):
    """A party has seen the exchange's log at ``size`` entries under ``root``, going on from all that it saw before.

    ``log`` is the log's id.
    """

    kind = "cosigned"
    log: Hex32
    size: Amount
    root: Hex32


KINDS: Mapping[str, type[Message]] = {
    cls.kind: cls
    for cls in (
        Registration, Deprecation, Withdrawal, Publication, Key, Ask, Accept, Decline, Commit, Share, Abort, Preview, Verdict, Appraisal, Offer,
        Consent, Objection, AccessRequest, Officers, Ruling, Ruled, Cosigned,
    )
}  # fmt: skip

M = TypeVar("M", bound=Message)


def read(envelope: Envelope, directory: Mapping[str, bytes]) -> Message:
    """Verify an envelope against pinned keys and parse its body.

    Raises:
        Mismatch: if the signature does not verify.
        Malformed: if the kind is unknown or the body is not a message of that kind; never echoing the body.
    """
    envelope.verify(directory)
    cls = KINDS.get(envelope.kind)
    if cls is None:
        raise Malformed("the envelope holds an unknown kind of message", fix="use a client of this release")
    return _parse(envelope, cls)


def unverified(envelope: Envelope, cls: type[M]) -> M:
    """Parse a message without knowing its signer's key, to show it: nothing may rest on who is said to have signed it.

    Raises:
        Malformed: if it is not a message of that type.
    """
    if envelope.kind != cls.kind:
        raise Malformed(f"a message of kind {cls.kind} was expected", fix="use a client of this release")
    canonical.decode(envelope.body)
    return _parse(envelope, cls)


def _parse(envelope: Envelope, cls: type[M]) -> M:
    try:
        return cls.model_validate_json(envelope.body)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(str(part) for part in item["loc"][:1]) for item in error.errors()}))
        known = ", ".join(field for field in fields.split(", ") if field in cls.model_fields) or "body"
        raise Malformed(
            f"the {cls.kind} message has invalid fields: {known}", fix="use a client of this release"
        ) from None


def expect(envelope: Envelope, directory: Mapping[str, bytes], cls: type[M]) -> M:
    """Like :func:`read`, and the message must be of the given type.

    Raises:
        Malformed: if it is another message.
    """
    envelope.verify(directory)
    return unverified(envelope, cls)
