"""Minimum necessity: a request gets what its purpose needs and no more.

A plan is a set of **atoms** (column, use) and a few scalars. Three layers must each cover it: the classification floor
(identifiers are never used), the purpose's template, and one grant of the owner's policy for that purpose; silence and
unknown terms deny. A refusal names every offending item and the nearest plan that would pass. The exchange and every
node run this same function on the same documents; a node's own answer is the one that counts for its rows.
Source: PROOFS 8.1, 8.2.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from privacy import canonical
from privacy.errors import Malformed
from privacy.expression import (
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Dimension,
    Item,
    OneOf,
    known,
    summed,
    tested,
    values,
    walk,
)
from privacy.ledger import Caps
from privacy.plan import (
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Measure,
    Plan,
    Sum,
    term_of,
)
from privacy.terms import Bounds, Column, Kind, Standard, check_name, check_party

USES = ("group", "filter", "count", "valid", "sum", "product", "histogram")
"""What a column can be used for: to group by it, to filter on it, to count its values (or those that are valid), to add
them up, to add up their products (variance, correlation, regression), to count rows in bands of it (histogram, quantile)."""
ANYBODY = "*"
ROWS = "*"


@dataclass(frozen=True, slots=True, order=True)
class Atom:
    """One use of one column; ``column`` is ``*`` for counting rows."""

    column: str
    use: str

    def __str__(self) -> str:
        return "rows as count" if self.column == ROWS else f"{self.column} as {self.use}"


@dataclass(frozen=True, slots=True)
class Template:
    """What a purpose can need at most: uses by kind of column, and how many institutions an answer must join."""

    purpose: str
    title: str
    uses: Mapping[Kind, frozenset[str]]
    min_parties: int


PURPOSES: Mapping[str, Template] = {
    template.purpose: template
    for template in (
        Template(
            purpose="credit-risk-statistics",
            title="joint statistics of credit risk over several institutions",
            uses={
                Kind.CATEGORY: frozenset({"group", "filter", "count"}),
                Kind.MEASURE: frozenset({"group", "filter", "count", "sum", "product", "histogram"}),
                Kind.DATE: frozenset({"group", "filter", "count", "histogram"}),
            },
            min_parties=3,
        ),
        Template(
            purpose="pledge-valuation",
            title="quality of one dataset that is to be valued and pledged",
            uses={
                Kind.CATEGORY: frozenset({"count", "valid"}),
                Kind.MEASURE: frozenset({"count", "valid"}),
                Kind.DATE: frozenset({"count", "valid"}),
            },
            min_parties=1,
        ),
    )
}
"""The registry of purposes. A purpose that is not here is refused."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One purpose that an owner allows: who may ask, what of which column, at what price, jointly with how many others.

    ``rho_per_query`` and ``budget`` are in 1e-9 rho; ``min_group`` is the least noisy count of a group worth showing.
    ``shared_from`` is the least number of colluding parties that a shared noise must withstand; ``None`` allows standalone
    noise alone.
    """

    purpose: str
    recipients: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    min_parties: int
    min_group: int
    rho_per_query: int
    budget: int
    shared_from: int | None = None

    def admits(self, asker: str) -> bool:
        """Whether ``asker`` is among the recipients."""
        return asker in self.recipients or ANYBODY in self.recipients


@dataclass(frozen=True, slots=True)
class Pledging:
    """The owner's standing consent to pledge the dataset: to whom, up to what loan in yuan, until when (ISO date)."""

    lenders: tuple[str, ...]
    limit: int
    until: str


@dataclass(frozen=True, slots=True)
class Policy:
    """An owner's rules for one dataset, signed and published as one document. Budgets in 1e-9 rho."""

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

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return canonical.digest(self.to_json())

    @property
    def caps(self) -> Caps:
        """The caps that the ledger enforces."""
        return Caps(self.everyone, self.partner, {grant.purpose: grant.budget for grant in self.grants})

    def grant(self, purpose: str) -> Grant | None:
        """Return the one grant for ``purpose``, if any."""
        return next((grant for grant in self.grants if grant.purpose == purpose), None)

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object of the policy."""
        return {
            "owner": self.owner,
            "dataset": self.dataset,
            "standard": self.standard,
            "version": self.version,
            "everyone": self.everyone,
            "partner": self.partner,
            "grants": [
                {
                    "purpose": grant.purpose,
                    "recipients": list(grant.recipients),
                    "columns": {column: list(uses) for column, uses in grant.columns.items()},
                    "min_parties": grant.min_parties,
                    "min_group": grant.min_group,
                    "rho_per_query": grant.rho_per_query,
                    "budget": grant.budget,
                    "shared_from": grant.shared_from,
                }
                for grant in self.grants
            ],
            "bounds": {column: [bounds.lower, bounds.upper] for column, bounds in self.bounds.items()},
            "domains": {column: list(domain) for column, domain in self.domains.items()},
            "pledging": None
            if self.pledging is None
            else {"lenders": list(self.pledging.lenders), "limit": self.pledging.limit, "until": self.pledging.until},
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
                grants=tuple(
                    Grant(
                        **{
                            **grant,
                            "recipients": tuple(grant["recipients"]),
                            "columns": {column: tuple(uses) for column, uses in grant["columns"].items()},
                        }
                    )
                    for grant in document["grants"]
                ),
                bounds={column: Bounds(*ends) for column, ends in document["bounds"].items()},
                domains={column: tuple(domain) for column, domain in document["domains"].items()},
                pledging=None if pledging is None else Pledging(**{**pledging, "lenders": tuple(pledging["lenders"])}),
            )
            policy._validate()
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Malformed("the document is not a policy", fix="compare it with the example in docs/node.md") from None
        if policy.to_json() != document:
            raise Malformed(
                "the policy has extra or mistyped fields", fix="compare it with the example in docs/node.md"
            )
        return policy

    def _validate(self) -> None:
        texts = [self.standard, *(recipient for grant in self.grants for recipient in grant.recipients)]
        texts += [*self.bounds, *self.domains, *(column for grant in self.grants for column in grant.columns)]
        texts += [value for domain in self.domains.values() for value in domain]
        whole = [self.version]
        if self.pledging is not None:
            texts += [*self.pledging.lenders, self.pledging.until]
            whole.append(self.pledging.limit)
        if not all(isinstance(text, str) for text in texts) or not all(map(_whole, whole)):
            raise Malformed("the policy has mistyped fields", fix="compare it with the example in docs/node.md")
        if self.pledging is not None and date.fromisoformat(self.pledging.until).isoformat() != self.pledging.until:
            raise Malformed("the policy's pledging ends on no date", fix="write the date as 2026-12-31")
        if len({grant.purpose for grant in self.grants}) != len(self.grants):
            raise Malformed("the policy grants one purpose twice", fix="merge the two grants")
        for grant in self.grants:
            if grant.purpose not in PURPOSES:
                raise Malformed("the policy grants an unknown purpose", fix=f"known purposes: {', '.join(PURPOSES)}")
            if any(use not in USES for uses in grant.columns.values() for use in uses):
                raise Malformed("the policy grants an unknown use", fix=f"known uses: {', '.join(USES)}")
            numbers = [grant.min_parties, grant.min_group, grant.rho_per_query, grant.budget]
            numbers += [] if grant.shared_from is None else [grant.shared_from]
            if not all(map(_whole, numbers)):
                raise Malformed("a grant's limit is not a whole number", fix="declare limits as whole numbers")
        _ = self.caps


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One offending item: what was asked, which layer's rule refuses it and why, and the change that would lift it."""

    item: str
    layer: str
    rule: str
    why: str
    fix: str

    def to_json(self) -> dict[str, str]:
        """Return the JSON object shown to the asker."""
        return {"item": self.item, "layer": self.layer, "rule": self.rule, "why": self.why, "fix": self.fix}


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome for one plan: allowed when nothing is violated; otherwise the nearest plan that passes, if there is one."""

    violations: tuple[Violation, ...]
    nearest: Plan | None = None

    @property
    def allowed(self) -> bool:
        """Whether the plan passes every layer."""
        return not self.violations


def atoms(plan: Plan) -> tuple[Atom, ...]:
    """Return what the plan uses: the smallest grant it needs, sorted."""
    needed = {atom for by in plan.groups for atom in _grouped(by)}
    needed |= {Atom(column, "filter") for test in plan.where for column in tested(test)}
    needed |= {atom for measure in plan.measures for atom in _measured(measure)}
    return tuple(sorted(needed))


def decide(plan: Plan, *, asker: str, standard: Standard, policies: Iterable[Policy]) -> Decision:
    """Judge ``plan`` for ``asker`` against the floor, the purpose and each policy; all violations are named.

    A policy that is missing for a party of the plan is the caller's to refuse; an empty ``policies`` refuses.
    """
    held = list(policies)
    violations = _violations(plan, asker=asker, standard=standard, policies=held)
    if not violations:
        return Decision(())
    return Decision(tuple(sorted(violations)), _nearest(plan, asker=asker, standard=standard, policies=held))


def _whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _measured(measure: Measure) -> Iterator[Atom]:
    """Yield the atoms of one measure."""
    match measure:
        case CountRows() | CountUnits():
            yield Atom(ROWS, "count")
        case CountKnown(column) | CountFilled(column):
            yield Atom(column, "count")
        case CountValid(column):
            yield Atom(column, "valid")
        case Histogram(band):
            yield Atom(band.column, "histogram")
        case CountPresent(term):
            held = {column for column, _ in summed(term)}
            yield from (Atom(column, "count") for column in held)
            yield from (Atom(column, "filter") for column in tested(term))
            if not held:
                yield Atom(ROWS, "count")
        case Sum(term):
            uses = set(summed(term))
            yield from (Atom(column, use) for column, use in uses)
            yield from (Atom(column, "filter") for column in tested(term))
            if not uses:  # a sum of constants counts rows
                yield Atom(ROWS, "count")


def _grouped(by: Dimension) -> Iterator[Atom]:
    """Yield the atoms of one dimension."""
    match by:
        case ByCategory(column) | ByDate(column):
            yield Atom(column, "group")
        case ByBand(column):
            yield Atom(column, "histogram")
        case ByCase(cases):
            yield from (Atom(column, "group") for test, _ in cases for column in tested(test))


def _violations(plan: Plan, *, asker: str, standard: Standard, policies: list[Policy]) -> set[Violation]:
    found: set[Violation] = set()
    template = PURPOSES.get(plan.purpose)
    if template is None:
        known = ", ".join(PURPOSES)
        found.add(
            Violation("purpose", "registry", "known purpose", "this purpose is not registered", f"use one of: {known}")
        )
    if plan.standard != standard.id or plan.standard_digest != standard.digest:
        found.add(
            Violation(
                "standard", "registry", "pinned standard", "the plan pins another standard", "fetch the standard anew"
            )
        )
    if (plan.rows_per_unit, plan.institutions_per_unit) != (standard.rows_per_unit, standard.institutions_per_unit):
        found.add(
            Violation(
                "contribution bounds",
                "registry",
                standard.id,
                "the bounds are not the standard's",
                "use the standard's bounds",
            )
        )
    kinds = {column.name: column.kind for column in standard.columns}
    for atom in atoms(plan):
        found |= _floor(atom, kinds, template)
    for column, why in sorted(_misfits(plan, standard)):
        # an engine would fail on it, or answer what was not asked, after the charge: the language has no such thing
        fix = "compare categories with values, measures and dates with numbers"
        found.add(Violation(f"use of {column}", "registry", "kind of column", why, fix))
    if not policies:
        found.add(
            Violation(
                "policy", "policy", "published policy", "no owner has published a policy", "ask an owner to publish one"
            )
        )
    for policy in policies:
        found |= _grant_violations(plan, asker=asker, policy=policy)
    return found


def _floor(atom: Atom, kinds: Mapping[str, Kind], template: Template | None) -> set[Violation]:
    """Classification floor and purpose template: what no owner can grant."""
    if atom.column == ROWS:
        return set()
    kind = kinds.get(atom.column)
    if kind is None:
        return {
            Violation(
                str(atom), "registry", "known column", "the standard has no such column", "use a column of the standard"
            )
        }
    if kind is Kind.IDENTIFIER:
        return {
            Violation(str(atom), "classification", "identifiers", "identifiers are never used in statistics", "drop it")
        }
    if template is not None and atom.use not in template.uses[kind]:
        why = f"the purpose {template.purpose} does not need a {kind.value} for {atom.use}"
        return {Violation(str(atom), "purpose", template.purpose, why, "drop it or declare the purpose that needs it")}
    return set()


def _misfits(plan: Plan, standard: Standard) -> Iterator[tuple[str, str]]:
    """Yield the columns that are used as another kind than they are, or beyond the standard's bounds and labels, and why.

    Identifiers and columns that the standard lacks are the floor's to name.
    """
    held = _columns(standard)
    for item in (*plan.where, *plan.groups, *plan.measures):
        yield from _misused(item, held)
    for column, bounds in plan.bounds:
        declared = held[column].bounds if column in held else None
        if declared is not None and not declared.covers(bounds):
            yield column, "the bounds leave the standard's"
    for by in plan.groups:
        if isinstance(by, ByCategory) and by.column in held and not set(known(by)) <= set(held[by.column].domain):
            yield by.column, "the standard's public domain has other values"


def _columns(standard: Standard) -> dict[str, Column]:
    return {column.name: column for column in standard.columns if column.kind is not Kind.IDENTIFIER}


def _misused(used: Item | Measure, held: Mapping[str, Column]) -> Iterator[tuple[str, str]]:
    """Yield the columns that one item uses as another kind than they are, and why that has no meaning."""
    inner = term_of(used) if isinstance(used, Measure) else used
    items = [] if inner is None else list(walk(inner))
    dated = {item.column for item in items if isinstance(item, ByDate)}
    named = {item.column for item in items if isinstance(item, OneOf | ByCategory)}
    named |= {used.column} if isinstance(used, CountKnown) else set()
    for columns, kinds, why in (
        (dated, {Kind.DATE}, "only a date has such parts"),
        (named, {Kind.CATEGORY}, "only a category is compared with values"),
        (_valued(used), {Kind.MEASURE, Kind.DATE}, "a category has no numbers"),
    ):
        yield from ((column, why) for column in sorted(columns & set(held)) if held[column].kind not in kinds)


def _valued(used: Item | Measure) -> frozenset[str]:
    """Return the columns that one item computes with, so that the plan bounds them."""
    inner = term_of(used) if isinstance(used, Measure) else used
    return frozenset() if inner is None else values(inner)


def _grant_violations(plan: Plan, *, asker: str, policy: Policy) -> set[Violation]:
    rule = f"{policy.owner}.{policy.dataset}@{policy.version}"
    grant = policy.grant(plan.purpose)
    if grant is None or not grant.admits(asker):
        return {
            Violation(
                "purpose", "policy", rule, "the owner grants you nothing for this purpose", "ask the owner for access"
            )
        }
    found = {
        Violation(str(atom), "policy", rule, f"not granted for {plan.purpose}", "drop it or ask the owner for access")
        for atom in atoms(plan)
        if atom.use not in grant.columns.get(atom.column, ())
    }
    # bounds and domains matter only for what is granted at all: one offence is named once
    for column in sorted(_added_up(plan)):
        granted = grant.columns.get(column, ())
        allowed = policy.bounds.get(column)
        if {"sum", "product"} & set(granted) and (allowed is None or not allowed.covers(plan.clipped[column])):
            why = "the owner declares no bounds that cover these"
            found.add(Violation(f"bounds of {column}", "policy", rule, why, "use the declared bounds"))
    for by in plan.groups:
        if not isinstance(by, ByCategory) or "group" not in grant.columns.get(by.column, ()):
            continue
        if not set(known(by)) <= set(policy.domains.get(by.column, ())):
            why = "the owner declares no public domain that covers these values"
            found.add(Violation(f"values of {by.column}", "policy", rule, why, "use the declared domain"))
    template = PURPOSES.get(plan.purpose)
    least = max(grant.min_parties, template.min_parties if template else 1)
    others = len(set(plan.parties) - {asker})  # an asker knows its own part: it hides nobody else's
    if others < least:
        why = f"at least {least} institutions besides the asker must answer together, the plan has {others}"
        found.add(Violation("parties", "policy", rule, why, f"ask {least} or more institutions"))
    if plan.rho > grant.rho_per_query:
        why = f"at most {grant.rho_per_query / 1e9:.9g} rho a question, the plan asks {plan.rho / 1e9:.9g}"
        found.add(Violation("precision", "policy", rule, why, f"set the budget to {grant.rho_per_query / 1e9:.9g} rho"))
    # an asker on the roster is one of those that shared noise must withstand
    withstand = None if grant.shared_from is None else max(grant.shared_from, int(asker in plan.parties))
    if plan.shared is not None and (withstand is None or plan.shared < withstand):
        wanted = "standalone noise" if withstand is None else f"noise that withstands {withstand}"
        found.add(Violation("noise", "policy", rule, f"the owner wants {wanted}", "ask for standalone noise"))
    return found


def _nearest(plan: Plan, *, asker: str, standard: Standard, policies: list[Policy]) -> Plan | None:
    """Drop what is refused, narrow bounds and groups to what is declared, lower the price to what is granted.

    Nothing if that leaves no question worth asking.
    """
    kinds = {column.name: column.kind for column in standard.columns}
    template = PURPOSES.get(plan.purpose)
    grants = [grant for policy in policies if (grant := policy.grant(plan.purpose)) and grant.admits(asker)]
    if template is None or not policies or len(grants) != len(policies):
        return None

    def passes(found: Iterable[Atom]) -> bool:
        return all(
            all(atom.use in grant.columns.get(atom.column, ()) for grant in grants)
            and not _floor(atom, kinds, template)
            for atom in found
        )

    held = _columns(standard)
    published = _narrowed(plan.clipped, [{name: column.bounds for name, column in held.items() if column.bounds}])
    declared = _narrowed(published, [policy.bounds for policy in policies])
    summable = {column for column, bounds in declared.items() if bounds.weight}

    def fits(item: Item | Measure) -> bool:
        return not any(_misused(item, held)) and _valued(item) <= set(published)

    usable = {
        measure: price
        for measure, price in zip(plan.measures, plan.prices, strict=True)
        if passes(_measured(measure)) and fits(measure) and _added_up_by(measure) <= summable
    }
    if not usable and passes([Atom(ROWS, "count")]):
        usable = {CountRows(): plan.rho}
    if not usable:
        return None
    share = plan.shared is not None and all(
        grant.shared_from is not None and plan.shared >= max(grant.shared_from, int(asker in plan.parties))
        for grant in grants
    )
    narrowed = [_within_domains(by, held, policies) for by in plan.groups if passes(_grouped(by)) and fits(by)]
    groups = [by for by in narrowed if by is not None]
    where = [test for test in plan.where if passes(Atom(name, "filter") for name in tested(test)) and fits(test)]
    needed = frozenset[str]().union(*map(_valued, (*usable, *groups, *where)))
    bounds = published | {column: declared[column] for measure in usable for column in _added_up_by(measure)}
    # the price of a measure that falls away is not spent on the others, unless nothing else would be left
    price = min(sum(usable.values()), *(grant.rho_per_query for grant in grants))
    try:
        candidate = replace(
            plan,
            measures=tuple(usable),
            prices=tuple(usable.values()),
            rho=sum(usable.values()),
            groups=tuple(groups),
            where=tuple(where),
            bounds=tuple((column, bounds[column]) for column in sorted(needed)),
            shared=plan.shared if share else None,
        ).priced(price)
    except Malformed:
        return None
    return None if _violations(candidate, asker=asker, standard=standard, policies=policies) else candidate


def _added_up(plan: Plan) -> frozenset[str]:
    """The columns whose values are added up, so that their bounds price the plan."""
    return frozenset[str]().union(*map(_added_up_by, plan.measures))


def _added_up_by(measure: Measure) -> frozenset[str]:
    return frozenset(column for column, _ in summed(measure.term)) if isinstance(measure, Sum) else frozenset()


def _narrowed(asked: Mapping[str, Bounds], declared: Iterable[Mapping[str, Bounds]]) -> dict[str, Bounds]:
    """Return the parts of the bounds asked for that all of ``declared`` cover; no column where nothing is left."""
    narrowed = dict(asked)
    for told in declared:
        narrowed = {
            column: Bounds(lower, upper)
            for column, bounds in narrowed.items()
            if column in told
            and (lower := max(bounds.lower, told[column].lower)) <= (upper := min(bounds.upper, told[column].upper))
        }
    return narrowed


def _within_domains(by: Dimension, held: Mapping[str, Column], policies: list[Policy]) -> Dimension | None:
    """Return the dimension with the labels that standard and all owners declare, in its own order; categories alone.

    A label that is left out may not come back among the unknown.
    """
    if not isinstance(by, ByCategory):
        return by
    declared = [set(held[by.column].domain), *(set(policy.domains.get(by.column, ())) for policy in policies)]
    labels = tuple(label for label in known(by) if all(label in domain for domain in declared))
    if labels == known(by):
        return by
    return ByCategory(by.column, labels) if labels else None
