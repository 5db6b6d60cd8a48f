"""Whether an exchange was blind: every ciphertext that it ever took, read again from its journal, and all that lies beside.

What is looked for is any way to a figure of a single institution without the asker's secret key: a number in clear where a
ciphertext belongs, one that was not blinded, one that serves twice, a product of something else than its session's answers,
keys that open each other, and a field or a file that has no business in an exchange (:mod:`exchange.hub.premises`).

One pass over the journal, which may be growing meanwhile; nothing is locked or written. What is kept in memory is 16 bytes a
ciphertext, the registered keys, and the answers of the sessions that are not over.

It cannot show what only the asker's key could: that what a node has sealed carries its mask and its noise. Nor does it verify
signatures: that the entries are what parties have said is shown by an audit of the log.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from exchange import journal
from exchange.hub import premises
from exchange.hub.fold import fold
from exchange.journal import Entry, Head
from exchange.protocol import agreement, collateral, messages
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Unknown
from exchange.protocol.messages import Ask, Key, Message, Share, unverified
from exchange.protocol.rotation import Rotation
from exchange.protocol.session import OVER, Stage
from privacy import seal
from privacy.errors import Malformed, Mismatch, PrivacyError
from privacy.modulus import Proof, PublicKey, from_text, shares_a_factor, verify
from privacy.packing import layout_of
from privacy.plan import Plan
from privacy.terms import Standard

MOST = 100
"""Findings that are told one by one; of more, only the number."""

WIDTH = 64
"""Bits by which no ciphertext is short: an honest one is, in one of four ways, with probability ``2**-62`` at most."""

Progress = Callable[[int, int], None]
"""Told how many bytes of the journal are read, and of how many."""

HOLDS: Mapping[str, tuple[type[Message], ...]] = {
    "rotated": (Rotation,),
    "dataset": (messages.Registration,),
    "deprecated": (messages.Deprecation,),
    "withdrawn": (messages.Withdrawal,),
    "policy": (messages.Publication,),
    "key": (Key,),
    "session": (Ask,),
    "message": (messages.Accept, messages.Decline, messages.Commit, Share, messages.Abort),
    "appraisal": (messages.Appraisal,),
    "offer": (messages.Offer,),
    "lien": (agreement.Filing,),
    "objected": (messages.Objection,),
    "pledge": tuple(agreement.STEPS.values()),
    "officers": (messages.Officers,),
    "access": (messages.AccessRequest,),
    "ruling": (messages.Ruling, messages.Ruled),
    "fingerprint": (collateral.Fingerprint,),
    "confirmation": (collateral.Confirmation,),
    "clearance": (collateral.Clearance,),
}
"""Kinds of entries that hold a party's envelope, and the messages in it; each class refuses a field that it does not know."""

FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    kind: (frozenset(required.split()), frozenset(optional.split()))
    for kind, required, optional in (
        ("party", "id name role key", ""),
        ("invited", "party name role expires key", ""),
        ("revoked", "party key because", ""),
        ("key", "fingerprint envelope", ""),
        ("witness", "party seq hash", ""),
        ("session", "id asker plan_hash key_fingerprint parties expires ask", ""),
        ("message", "session stage envelope", ""),
        ("folded", "session product", ""),
        ("expired", "session", ""),
        ("refusal", "asker plan_hash items", "standard purpose"),
        ("pledge", "offer stage envelope", "awaits paid"),
        ("lapsed", "offer", ""),
        ("access", "owners closes envelope", ""),
        ("ruling", "request owner envelope", ""),
        ("appointed", "party", ""),
        ("searched", "offer asset fingerprint state found", ""),
    )
}
"""Of the kinds that are more than an envelope: the fields that an entry has, and those that it may have."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at entry ``seq`` of the journal, or beside the journal if that is 0; never with a value."""

    seq: int
    what: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Blindness:
    """What of an exchange was looked at, up to the entry ``head``, and the ``findings`` against its being blind.

    ``shares`` are answers of single institutions, with ``ciphertexts`` in them; ``products`` the sums that were made of
    them. ``sealed_keys`` are key files that nobody was asked to open; ``catalogue`` says what became of the comparison with
    it. ``more`` counts findings beyond those that are told.
    """

    head: Head
    keys: int
    sessions: int
    shares: int
    ciphertexts: int
    products: int
    files: int
    sealed_keys: int
    catalogue: premises.Catalogue
    findings: tuple[Finding, ...]
    more: int = 0

    @property
    def blind(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        return asdict(self) | {"blind": self.blind, "head": {"seq": self.head[0], "hash": self.head[1]}}


@dataclass(slots=True)
class _Session:
    """A session that is not over: its key, how many ciphertexts an answer has, and the answers that are in."""

    opened: int
    key: PublicKey
    length: int
    parties: tuple[str, ...]
    shares: dict[str, Sequence[str]] = field(default_factory=dict)


def blind_check(home: Path, *, progress: Progress = lambda _done, _total: None) -> Blindness:
    """Look through the home of an exchange, whether it is running or not.

    Raises:
        Unknown: if no exchange lives there.
        Damaged: if the journal is not what was written.
        OSError: if a file cannot be read.
    """
    if not premises.is_exchange(home):
        raise Unknown("exchange under this directory")
    total = sum(path.stat().st_size for path in (home / "journal").glob("*.log"))
    catalogue = premises.Catalogued.open(home)  # before the journal, so that the journal has all that it was made from
    record = _Record(catalogue)
    done, head = 0, (0, journal.origin("exchange").hex())
    for entry in journal.read(home / "journal", owner="exchange"):
        record.take(entry)
        head = entry.seq, entry.hash
        done += len(entry.text)
        progress(min(done, total), total)
    record.finish()
    files = premises.search(home, signers=record.signers)
    for what in (*catalogue.compare(head), *files.findings):
        record.find(0, what)
    return Blindness(
        head=head,
        keys=len(record.keys),
        sessions=record.sessions,
        shares=record.shares,
        ciphertexts=record.ciphertexts,
        products=record.products,
        files=files.count,
        sealed_keys=files.sealed,
        catalogue=catalogue.state,
        findings=tuple(record.findings),
        more=record.more,
    )


class _Record:
    """What the entries add up to, one after the other."""

    def __init__(self, catalogue: premises.Catalogued) -> None:
        self._catalogue = catalogue
        self._open: dict[str, _Session] = {}
        self._seen: set[bytes] = set()
        self.keys: dict[str, tuple[int, str, PublicKey]] = {}
        self.signers: set[bytes] = set()
        self.findings: list[Finding] = []
        self.sessions = self.shares = self.ciphertexts = self.products = self.more = 0

    def find(self, seq: int, what: str) -> None:
        """Take a finding down."""
        if self.findings and self.findings[-1] == Finding(seq, what):
            return
        if len(self.findings) < MOST:
            self.findings.append(Finding(seq, what))
        else:
            self.more += 1

    def take(self, entry: Entry) -> None:
        """Look at an entry; what is wrong with it becomes a finding, and the next one is looked at all the same."""
        for look in (self._read, self._catalogue.take):
            try:
                look(entry)
            except PrivacyError as error:
                self.find(entry.seq, error.reason)
            except (KeyError, TypeError, ValueError, AttributeError):
                self.find(entry.seq, "it is not well formed")

    def finish(self) -> None:
        """Look at what only shows at the end."""
        held = list(self.keys.values())
        for place in shares_a_factor([key for _, _, key in held]):
            self.find(held[place][0], "the key shares a factor with another one: each of their owners can open both")
        for session in self._open.values():
            if len(session.shares) == len(session.parties):
                self.find(session.opened, "all answers of the session are here, and their product is missing")

    def _read(self, entry: Entry) -> None:
        if entry.kind == "standard":
            Standard.from_json(entry.body)
            return
        if entry.kind not in HOLDS:
            _check_fields(entry)
            self._own(entry)
            return
        envelope, message = _held(entry)
        match message:
            case Key():
                self._key(entry, envelope, message)
            case Ask():
                self._session(entry, envelope, message)
            case Share():
                self._share(entry, envelope, message)
            case Rotation():
                self.signers |= {bytes.fromhex(message.old), bytes.fromhex(message.key)}
            case _ if entry.kind == "message":
                self._end(entry)
            case _:
                pass

    def _own(self, entry: Entry) -> None:
        match entry.kind:
            case "party":
                self.signers.add(bytes.fromhex(entry.body["key"]))
            case "folded":
                self._folded(entry)
            case "expired":
                self._open.pop(entry.body["session"], None)
            case _:
                pass

    def _key(self, entry: Entry, envelope: Envelope, message: Key) -> None:
        key = PublicKey.from_jwk(message.key)
        if key.fingerprint != entry.body["fingerprint"]:
            raise _wrong("the fingerprint is another key's")
        if key.fingerprint in self.keys:
            raise _wrong("the key is registered twice")
        verify(key, Proof.from_json(message.proof, key), context=envelope.signer)
        self.keys[key.fingerprint] = entry.seq, envelope.signer, key

    def _session(self, entry: Entry, envelope: Envelope, ask: Ask) -> None:
        told, plan = entry.body, Plan.from_json(ask.plan)
        self.sessions += 1
        named = (envelope.id, envelope.signer, ask.key, list(plan.parties))
        if named != tuple(told[name] for name in ("id", "asker", "key_fingerprint", "parties")):
            raise _wrong("it is not the session that was asked for")
        _, owner, key = self.keys.get(ask.key, (0, "", None))
        if key is None or owner != envelope.signer:
            raise _wrong("its key is not one that its asker has registered")
        length = layout_of(plan, modulus_bits=key.bits).plaintexts
        self._open[envelope.id] = _Session(entry.seq, key, length, plan.parties)

    def _share(self, entry: Entry, envelope: Envelope, share: Share) -> None:
        self.shares += 1
        self.ciphertexts += len(share.ciphertexts)
        session = self._open.get(share.session)
        if session is None or share.session != entry.body["session"]:
            raise _wrong("it answers no session that is open")
        if envelope.signer not in session.parties or envelope.signer in session.shares:
            raise _wrong(f"{envelope.signer} has no answer to give here")
        session.shares[envelope.signer] = share.ciphertexts
        if len(share.ciphertexts) != session.length:
            self.find(entry.seq, f"{envelope.signer} sent another number of ciphertexts than the plan has")
        self._ciphertexts(entry, share.ciphertexts, session.key, of=envelope.signer)
        self._end(entry)

    def _folded(self, entry: Entry) -> None:
        self.products += 1
        session = self._open.pop(entry.body["session"], None)
        if session is None or len(session.shares) != len(session.parties):
            raise _wrong("it is a product although the session's answers are not all here")
        product = entry.body["product"]
        if product != fold(session.shares.values(), session.key):
            self.find(entry.seq, "it is not the product of the session's answers")
        if len(session.parties) > 1:  # of one party's answer alone, that answer is the product
            self._ciphertexts(entry, product, session.key, of="the product")

    def _end(self, entry: Entry) -> None:
        """Forget a session that is over; an answered one still has its product to come."""
        stage = Stage(entry.body["stage"])
        if stage in OVER and stage is not Stage.ANSWERED:
            self._open.pop(entry.body["session"], None)

    def _ciphertexts(self, entry: Entry, texts: Sequence[str], key: PublicKey, *, of: str) -> None:
        for place, text in enumerate(texts, 1):
            flaw = flaw_of(text, key)
            if flaw:
                self.find(entry.seq, f"ciphertext {place} of {of} {flaw}")
            digest = blake2b(text.encode(), digest_size=16).digest()
            if digest in self._seen:
                self.find(entry.seq, f"ciphertext {place} of {of} was in the journal before")
            self._seen.add(digest)


def flaw_of(text: str, key: PublicKey) -> str:
    """Say why a ciphertext in wire form is none that a node seals under ``key``; nothing if it may be one.

    Numbers that are short are taken for numbers in clear: a figure, a masked sum that nobody sealed, and either of them as
    the exponent of ``1 + n``.
    """
    try:
        number = from_text(text, octets=key.ciphertext_bytes)
    except Malformed:
        return f"is not written as {key.ciphertext_bytes} bytes in canonical base64url"
    if not 1 < number < key.n_squared:
        return "is not a number between 1 and the square of its key"
    high, low = divmod(number, key.n)
    if low in (1, key.n - 1):
        return "can be read without a key: it was not blinded"
    try:
        seal.Sealed.from_wire([text], key)
    except Malformed:
        return "is not a unit: it holds a factor of its key"
    if min(high, key.n - 1 - high, low, key.n - low) < key.n >> WIDTH:
        return "can be read without a key: it is a number in clear"
    return ""


def _held(entry: Entry) -> tuple[Envelope, Message]:
    """Return the envelope in an entry and the message in that, each with the fields of its kind and no others."""
    told = entry.body
    if entry.kind in FIELDS:
        _check_fields(entry)
        told = told["ask" if entry.kind == "session" else "envelope"]
    envelope = Envelope.from_json(told)
    for cls in HOLDS[entry.kind]:
        if cls.kind == envelope.kind:
            return envelope, unverified(envelope, cls)
    raise _wrong("it holds a message of another kind")


def _check_fields(entry: Entry) -> None:
    if entry.kind not in FIELDS:
        raise _wrong("it is of a kind that this release does not know")
    required, optional = FIELDS[entry.kind]
    if not isinstance(entry.body, dict) or not required <= entry.body.keys() <= required | optional:
        raise _wrong("it has other fields than its kind")


def _wrong(reason: str) -> Mismatch:
    return Mismatch(reason, fix="ask the exchange's operator, and the party concerned")
