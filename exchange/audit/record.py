"""What the log's entries add up to, one after the other: who takes part, what was asked, spent, valued and pledged.

Every room that reads entries changes this record and nothing else; what must hold at every position of the log is checked
where it changes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exchange.audit.spending import Spending
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import AccessRequest
from exchange.protocol.pledge import LIVE, Agreement
from exchange.protocol.rotation import signed_by
from exchange.protocol.session import Session
from privacy.errors import Mismatch
from privacy.modulus import PublicKey
from privacy.plan import Plan
from privacy.policy import Policy
from privacy.terms import Standard


@dataclass(slots=True)
class Dataset:
    """A registered dataset as its owner told it last."""

    owner: str
    name: str
    standard: str
    population: str
    ends: str | None
    title: str
    refreshed: str
    columns: tuple[str, ...]
    state: str = "active"


@dataclass(slots=True)
class Asked:
    """A session: its question, the entry that opened it, the parties' assets then, and where it stands."""

    asker: str
    plan: Plan
    opened: int
    assets: Mapping[str, str]
    session: Session
    product: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """A fingerprint on record."""

    id: str
    asset: str
    standard: str
    version: str
    columns: str
    root: str
    sketch: Sequence[str]
    seq: int


@dataclass(frozen=True, slots=True)
class Searched:
    """The last search for copies of what a pledge names, the entry that holds it, and what it found alike."""

    seq: int
    asset: str
    fingerprint: str
    state: str
    alike: frozenset[tuple[str, str]]


@dataclass(slots=True)
class Custody:
    """What is on record of the identity of collateral; words are by asset and id, rulings by pair, searches by offer."""

    marks: dict[str, Marked] = field(default_factory=dict)
    last: dict[str, Marked] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    reviewers: set[str] = field(default_factory=set)
    rulings: dict[frozenset[str], str] = field(default_factory=dict)
    searches: dict[str, Searched] = field(default_factory=dict)

    def mark(self, taken: Marked) -> None:
        """Take a fingerprint: it is its asset's last one now."""
        self.marks[taken.id] = self.last[taken.asset] = taken

    def rulings_on(self, fingerprint: str) -> dict[str, str]:
        """Return the rulings on a fingerprint by the other one of each pair."""
        return {
            other: act for pair, act in self.rulings.items() if fingerprint in pair for other in pair - {fingerprint}
        }


@dataclass(slots=True)
class Holder:
    """Who has, or had, a key; ``until`` is the entry from which on it signs nothing any more, ``heir`` the key it signed over to."""

    party: str
    until: int | None = None
    heir: bytes | None = None


@dataclass(slots=True)
class SteppedIn:
    """Who was answered in the owner's place under a pledge, from the entry ``since`` to the entry ``until``, if it has ended."""

    party: str
    purpose: str
    since: int
    until: int | None = None


@dataclass(slots=True)
class Record:
    """Everything on record after some entry of the log."""

    roles: dict[str, str] = field(default_factory=dict)
    directory: dict[str, bytes] = field(default_factory=dict)
    holders: dict[bytes, Holder] = field(default_factory=dict)
    enrolled: dict[str, int] = field(default_factory=dict)
    invites: set[bytes] = field(default_factory=set)
    standards: dict[str, Standard] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    policies: dict[str, list[tuple[int, Policy]]] = field(default_factory=dict)
    keys: dict[str, tuple[PublicKey, str]] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    sessions: dict[str, Asked] = field(default_factory=dict)
    appraisals: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    pledges: dict[str, Agreement] = field(default_factory=dict)
    claims: dict[tuple[str, int], str] = field(default_factory=dict)
    sales: dict[str, list[Agreement]] = field(default_factory=dict)
    step_ins: dict[str, list[SteppedIn]] = field(default_factory=dict)
    officers: dict[str, frozenset[str]] = field(default_factory=dict)
    requests: dict[str, tuple[AccessRequest, tuple[str, ...]]] = field(default_factory=dict)
    rulings: dict[str, dict[str, Envelope | None]] = field(default_factory=dict)
    custody: Custody = field(default_factory=Custody)
    spending: Spending = field(default_factory=Spending)
    kinds: Counter[str] = field(default_factory=Counter)
    overrides: list[dict[str, Any]] = field(default_factory=list)

    def take_key(self, party: str, key: bytes, *, seq: int) -> None:
        """Give a party a key from an entry on, in place of the one that it has.

        Raises:
            Mismatch: if the key belongs, or belonged, to a party.
        """
        require(key not in self.holders, "the key belongs to a party, or did")
        if party in self.directory:
            self.holders[self.directory[party]].heir = key
        self.drop_key(party, seq=seq)
        self.holders[key], self.directory[party] = Holder(party), key

    def drop_key(self, party: str, *, seq: int) -> None:
        """Take a party's key away, if it has one, from an entry on."""
        before = self.directory.pop(party, None)
        if before is not None:
            self.holders[before].until = seq

    def leads_to_present(self, party: str, key: bytes) -> bool:
        """Whether a key is a party's present one or has signed, over others perhaps, for it."""
        held = self.holders.get(key)
        while held is not None and held.party == party and held.heir is not None:
            key = held.heir
            held = self.holders[key]
        return held is not None and held.party == party and self.directory.get(party, key) == key

    def signed(self, envelope: Envelope) -> Mapping[str, bytes]:
        """Return the key under which an envelope that is on record holds, whatever key its signer has now."""
        return signed_by(envelope, [key for key, held in self.holders.items() if held.party == envelope.signer])

    def live(self, asset: str) -> Dataset:
        """Return a dataset that is not withdrawn.

        Raises:
            Mismatch: if there is none.
        """
        dataset = self.datasets.get(asset)
        require(dataset is not None and dataset.state != "withdrawn", "it is about an asset that is not on record")
        return self.datasets[asset]

    def held(self, owner: str, standard: str) -> str | None:
        """Return the asset that an institution holds under a standard."""
        return next(
            (
                asset
                for asset, one in self.datasets.items()
                if (one.owner, one.standard) == (owner, standard) and one.state != "withdrawn"
            ),
            None,
        )

    def moved(self, after: Agreement, *, seq: int) -> None:
        """Take what a pledge became by an entry; its claim is live for as long as the pledge is a live lien.

        Raises:
            Mismatch: if another claim is live on the asset at its rank.
        """
        before = self.pledges[after.id]
        self.pledges[after.id] = after
        if before.state in LIVE:
            del self.claims[before.asset, before.rank]
        if after.state in LIVE:
            self.claim(after.asset, after.rank, by=after.holder)
        self._point(after, seq)

    def _point(self, after: Agreement, seq: int) -> None:
        to = after.points(after.last_day)
        held = self.step_ins.setdefault(after.id, [])
        if held and held[-1].until is None:
            if to is not None and to.party == held[-1].party:
                return
            held[-1].until = seq
        if to is not None:
            held.append(SteppedIn(to.party, to.purpose, since=seq))

    def kept(self, owner: str, population: str) -> dict[str, tuple[str, int]]:
        """Return what live pledges keep back of a population's budget at an institution: by pledge, purpose and amount."""
        return {
            one.id: (one.terms.purpose, one.reserve)
            for one in self.pledges.values()
            if one.terms is not None
            and one.owner == owner
            and one.state in LIVE
            and self.datasets[one.asset].population == population
        }

    def claim(self, asset: str, rank: int, *, by: str) -> None:
        """Let a claim go live.

        Raises:
            Mismatch: if another one is live on the asset at this rank.
        """
        require((asset, rank) not in self.claims, f"a second claim of rank {rank} goes live on {asset}")
        self.claims[asset, rank] = by

    def ranks(self, asset: str) -> list[int]:
        """Return the ranks at which claims on an asset are live."""
        return sorted(rank for held, rank in self.claims if held == asset)


def require(holds: Any, reason: str) -> None:
    """Make sure of what an honest exchange never lets past.

    Raises:
        Mismatch: with the reason.
    """
    if not holds:
        raise Mismatch(reason, fix="ask the exchange's operator, and the party concerned")


def fields(body: Any, *names: str) -> Mapping[str, Any]:
    """Return an entry's body if it has exactly these fields.

    Raises:
        Mismatch: if it has others.
    """
    require(isinstance(body, dict) and body.keys() == set(names), "its body is not that of its kind")
    told: Mapping[str, Any] = body
    return told
