"""An owner's rules for one dataset as one document: grants, prohibitions, bounds, domains, budgets, consent to a pledge.

A grant is a box: a request passes it if the request is inside in every dimension. A field that says nothing is left out of
the document, so that every policy has one spelling and one digest. ``privacy.necessity`` judges requests by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from privacy import canonical
from privacy.approval import Consent, Manner
from privacy.atoms import ROWS, USES, Atom
from privacy.errors import Malformed
from privacy.expression import AllOf, Test, arranged, read_test, test_json, tested
from privacy.grain import PERIODS, Grain
from privacy.ledger import Caps
from privacy.pledging import Pledging, Pointing
from privacy.purposes import PURPOSES
from privacy.recipients import ANYBODY, ROLE, addressed, check_recipients
from privacy.terms import Bounds, check_name, check_party

ANY = "*"

MAX_KEEPS = 36_600
"""Days that a result can be kept at most."""

_EXAMPLE = "compare it with the example in docs/node.md"


AUTOMATIC = Consent()
"""Nobody needs to approve."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What an owner allows for one purpose: who may ask, what of which column, how finely, at what price, with how many others.

    ``rho_per_query`` and ``budget`` are in 1e-9 rho; ``min_group`` is the least noisy count of a group worth showing.
    ``shared_from`` is the least number of colluding parties that a shared noise must withstand; ``None`` allows standalone
    noise alone. The rest narrows further, where it says anything:

    - ``grain``: the finest period of a date, or the least width of a cut in a measure's units (:mod:`privacy.grain`);
    - ``domains``: the labels of a category that may be named in groups and filters;
    - ``rows``: tests that the question's WHERE must make: the rows that are open;
    - ``finest``: for sums of a column (``*``: for counts) the least half-width (95 %, integer units) over all parties;
    - ``max_cells``: cells of an answer at most; ``keeps``: days that a result may be kept at most;
    - ``valid``: the first day (ISO) on which it holds, and the first on which it holds no more;
    - ``consent``: how persons of the owner approve what is asked under it.
    """

    purpose: str
    recipients: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    min_parties: int
    min_group: int
    rho_per_query: int
    budget: int
    shared_from: int | None = None
    grain: Mapping[str, Grain] = field(default_factory=dict)
    domains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: tuple[Test, ...] = ()
    finest: Mapping[str, int] = field(default_factory=dict)
    max_cells: int | None = None
    keeps: int | None = None
    valid: tuple[str, str] | None = None
    consent: Consent = AUTOMATIC

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", arranged(self.rows, AllOf))

    def admits(self, asker: str, role: str | None) -> bool:
        """Whether ``asker`` is among the recipients, by name or by the role that is known of it."""
        return addressed(self.recipients, asker=asker, role=role)

    def opens(self, atom: Atom) -> bool:
        """Whether it grants this use of this column."""
        return atom.use in self.columns.get(atom.column, ())

    def holds_on(self, day: date) -> bool:
        """Whether it is in force on a day."""
        return self.valid is None or self.valid[0] <= day.isoformat() < self.valid[1]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object; what says nothing is left out."""
        consent = self.consent
        rest: dict[str, Any] = {
            "grain": dict(self.grain),
            "domains": {column: list(domain) for column, domain in self.domains.items()},
            "rows": [test_json(test) for test in self.rows],
            "finest": dict(self.finest),
            "max_cells": self.max_cells,
            "keeps": self.keeps,
            "valid": None if self.valid is None else list(self.valid),
            "consent": None
            if consent == AUTOMATIC
            else {"manner": consent.manner.value, "persons": consent.persons, "days": consent.days},
        }
        return {
            "purpose": self.purpose,
            "recipients": list(self.recipients),
            "columns": {column: list(uses) for column, uses in self.columns.items()},
            "min_parties": self.min_parties,
            "min_group": self.min_group,
            "rho_per_query": self.rho_per_query,
            "budget": self.budget,
            "shared_from": self.shared_from,
            **{name: value for name, value in rest.items() if value not in (None, {}, [])},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Grant":
        """Parse a grant's JSON object; anything else raises ``Malformed``, ``KeyError``, ``TypeError`` or ``ValueError``."""
        valid, consent = document.get("valid"), document.get("consent")
        read = cls(
            **{
                **document,
                "recipients": tuple(document["recipients"]),
                "columns": {column: tuple(uses) for column, uses in document["columns"].items()},
                "grain": dict(document.get("grain", {})),
                "domains": {column: tuple(labels) for column, labels in document.get("domains", {}).items()},
                "rows": tuple(map(read_test, document.get("rows", ()))),
                "finest": dict(document.get("finest", {})),
                "valid": None if valid is None else (valid[0], valid[1]),
                "consent": AUTOMATIC
                if consent is None
                else Consent(Manner(consent["manner"]), persons=consent["persons"], days=consent["days"]),
            }
        )
        read.check()
        return read

    def check(self) -> None:
        """Make sure that every field can mean something.

        Raises:
            Malformed: naming what is wrong, never the value.
        """
        check_recipients(self.recipients)
        if self.purpose not in PURPOSES:
            raise Malformed("the policy grants an unknown purpose", fix=f"known purposes: {', '.join(PURPOSES)}")
        if any(use not in USES for uses in self.columns.values() for use in uses):
            raise Malformed("the policy grants an unknown use", fix=f"known uses: {', '.join(USES)}")
        numbers = [self.min_parties, self.min_group, self.rho_per_query, self.budget, *self.finest.values()]
        numbers += [limit for limit in (self.shared_from, self.max_cells, self.keeps) if limit is not None]
        if not all(map(_whole, numbers)) or (self.keeps or 0) > MAX_KEEPS:
            raise Malformed("a grant's limit is not a whole number", fix="declare limits as whole numbers")
        texts = [*self.columns, *self.grain, *self.domains, *self.finest]
        texts += [label for labels in self.domains.values() for label in labels]
        if not all(isinstance(text, str) for text in texts):
            raise Malformed("the policy has mistyped fields", fix=_EXAMPLE)
        for grain in self.grain.values():
            if not (grain in PERIODS if isinstance(grain, str) else _whole(grain) and grain > 0):
                raise Malformed("a grant's grain is none", fix=f"a date's is {', '.join(PERIODS)}; a measure's a width")
        for test in self.rows:
            if not all("filter" in self.columns.get(column, ()) for column in tested(test)):
                raise Malformed(
                    "a grant opens rows by a column that it does not let be filtered on",
                    fix="grant filter for the columns of its rows",
                )
        if self.valid is not None and not _day(self.valid[0]) < _day(self.valid[1]):
            raise Malformed("a grant ends before it begins", fix="write two dates as 2026-12-31, the earlier one first")


@dataclass(frozen=True, slots=True)
class Prohibition:
    """What an owner forbids whatever it grants: uses of columns, for purposes, to recipients; ``*`` stands for all."""

    purpose: str = ANY
    column: str = ANY
    use: str = ANY
    recipient: str = ANYBODY

    def forbids(self, atom: Atom, *, purpose: str, asker: str, role: str | None) -> bool:
        """Whether it strikes a use; an asker whose role is not known may have any."""
        whom = addressed((self.recipient,), asker=asker, role=role) or (
            role is None and self.recipient.startswith(ROLE)
        )
        return (
            whom
            and self.purpose in (ANY, purpose)
            and self.column in (ANY, atom.column)
            and self.use in (ANY, atom.use)
        )

    def to_json(self) -> dict[str, str]:
        """Return the canonical JSON object."""
        return {"purpose": self.purpose, "column": self.column, "use": self.use, "recipient": self.recipient}

    def check(self) -> None:
        """Make sure that it can strike something.

        Raises:
            Malformed: naming what is wrong, never the value.
        """
        check_recipients((self.recipient,))
        if self.purpose != ANY and self.purpose not in PURPOSES:
            raise Malformed("the policy prohibits an unknown purpose", fix=f"known purposes: {', '.join(PURPOSES)}")
        if self.use != ANY and self.use not in USES:
            raise Malformed("the policy prohibits an unknown use", fix=f"known uses: {', '.join(USES)}")
        if self.column != ANY:
            check_name(self.column, what="column")


@dataclass(frozen=True, slots=True)
class Policy:
    """An owner's rules for one dataset, signed and published as one document. Budgets in 1e-9 rho.

    Several grants may be for one purpose, for other recipients or other rows: one of them must cover a request. The budget
    of a purpose is one, whichever grant is used. ``pointing`` is a step-in that is in force, as far as it was declared: no
    part of the document, and set by :meth:`pointed` alone.
    """

    owner: str
    dataset: str
    standard: str
    version: int
    everyone: int
    partner: int
    grants: tuple[Grant, ...]
    bounds: Mapping[str, Bounds]
    domains: Mapping[str, tuple[str, ...]]
    pledging: Pledging | None = None
    prohibitions: tuple[Prohibition, ...] = ()
    pointing: Pointing | None = field(default=None, compare=False)
    _by_purpose: Mapping[str, tuple[Grant, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        listed: dict[str, tuple[Grant, ...]] = {}
        for grant in self.grants:
            listed[grant.purpose] = (*listed.get(grant.purpose, ()), grant)
        object.__setattr__(self, "_by_purpose", listed)

    @property
    def id(self) -> str:
        """``owner.dataset@version``, as refusals cite it."""
        return f"{self.owner}.{self.dataset}@{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return canonical.digest(self.to_json())

    @property
    def caps(self) -> Caps:
        """The caps that the ledger enforces."""
        return Caps(self.everyone, self.partner, {grant.purpose: grant.budget for grant in self.grants})

    @property
    def columns(self) -> frozenset[str]:
        """Every column that bounds, domains and grants speak of."""
        found = {*self.bounds, *self.domains}
        for grant in self.grants:
            found |= {*grant.columns, *grant.grain, *grant.domains, *grant.finest}
            found |= {column for test in grant.rows for column in tested(test)}
        return frozenset(found - {ROWS})

    def granted(self, purpose: str) -> tuple[Grant, ...]:
        """Return the grants for ``purpose``."""
        return self._by_purpose.get(purpose, ())

    def admitting(self, purpose: str, *, asker: str, role: str | None) -> list[Grant]:
        """Return the grants for a purpose that an asker may use: those that admit it, and whoever stepped in all of them."""
        granted, to = self.granted(purpose), self.pointing
        if to is not None and to.shuts_out(asker):
            return []
        if to is not None and (asker, purpose) == (to.party, to.purpose):
            return list(granted)
        return [grant for grant in granted if grant.admits(asker, role)]

    def pointed(self, to: Pointing | None, *, role: str | None) -> "Policy":
        """Return the policy as it stands while a verified step-in is in force, of which it grants what it has declared."""
        return replace(self, pointing=None if to is None else to.within(self.pledging, role=role))

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object of the policy."""
        prohibitions = {"prohibitions": [one.to_json() for one in self.prohibitions]} if self.prohibitions else {}
        return {
            "owner": self.owner,
            "dataset": self.dataset,
            "standard": self.standard,
            "version": self.version,
            "everyone": self.everyone,
            "partner": self.partner,
            "grants": [grant.to_json() for grant in self.grants],
            "bounds": {column: [bounds.lower, bounds.upper] for column, bounds in self.bounds.items()},
            "domains": {column: list(domain) for column, domain in self.domains.items()},
            "pledging": None if self.pledging is None else self.pledging.to_json(),
            **prohibitions,
        }

    @classmethod
    def from_json(cls, document: Any) -> "Policy":
        """Parse a policy's JSON object.

        Raises:
            Malformed: if a field is missing, extra, mistyped, or a use or purpose is unknown.
        """
        try:
            pledging = document["pledging"]
            policy = cls(
                owner=check_party(document["owner"]),
                dataset=check_name(document["dataset"], what="dataset"),
                standard=document["standard"],
                version=document["version"],
                everyone=document["everyone"],
                partner=document["partner"],
                grants=tuple(map(Grant.from_json, document["grants"])),
                bounds={column: Bounds(*ends) for column, ends in document["bounds"].items()},
                domains={column: tuple(domain) for column, domain in document["domains"].items()},
                pledging=None if pledging is None else Pledging.from_json(pledging),
                prohibitions=tuple(Prohibition(**item) for item in document.get("prohibitions", ())),
            )
            policy._validate()
            same = policy.to_json() == document
        except (LookupError, TypeError, ValueError, AttributeError):
            raise Malformed("the document is not a policy", fix=_EXAMPLE) from None
        if not same:
            raise Malformed("the policy has extra or mistyped fields", fix=_EXAMPLE)
        return policy

    def _validate(self) -> None:
        texts = [self.standard, *self.bounds, *self.domains]
        texts += [value for domain in self.domains.values() for value in domain]
        whole = [self.version]
        if self.pledging is not None:
            texts += [*self.pledging.lenders, self.pledging.until]
            whole.append(self.pledging.limit)
        if not all(isinstance(text, str) for text in texts) or not all(map(_whole, whole)):
            raise Malformed("the policy has mistyped fields", fix=_EXAMPLE)
        if self.pledging is not None:
            _day(self.pledging.until)
        told = [canonical.encode(grant.to_json()) for grant in self.grants]
        if len(set(told)) != len(told):
            raise Malformed("the policy grants the same twice", fix="leave one of the two grants out")
        for grants in self._by_purpose.values():
            if len({grant.budget for grant in grants}) != 1:
                raise Malformed(
                    "two grants of one purpose have other budgets", fix="give both the budget that the purpose has"
                )
        for prohibition in self.prohibitions:
            prohibition.check()
        _ = self.caps


def _day(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text:
        raise Malformed("a date of the policy is no date", fix="write dates as 2026-12-31")
    return text


def _whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0
