"""What is wrong with a request, item by item: each layer's rule that it breaks, why, and the change that would lift it.

Every rule asks whether something of the request lies within what a layer allows; none stops at the first offence, and
nothing present lifts another's refusal. Source: PROOFS 8.1, 8.2, 8.3.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from privacy import canonical, precision
from privacy.approval import Approval, Manner
from privacy.atoms import ROWS, Atom, atoms
from privacy.expression import (
    ByCategory,
    Item,
    OneOf,
    Test,
    known,
    summed,
    walk,
)
from privacy.floor import FLOORS, barred
from privacy.grain import Grain, coarsest, finer, fits
from privacy.misuse import columns_of, misfits
from privacy.plan import Measure, Plan, Sum, term_of
from privacy.policy import Grant, Policy
from privacy.purposes import PURPOSES, REFUSED, Template
from privacy.scope import missing_rows
from privacy.terms import Bounds, Column, Kind, Standard

APPROVAL = "approval"
"""The item of a request that only a person's approval is missing for."""

_LONGEST = 200
"""Characters of a test in an explanation at most."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks what, on which day: ``role`` as the judging party knows it (``None`` if not), ``keeps`` days for the result."""

    plan: Plan
    asker: str
    role: str | None
    keeps: int
    on: date


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
class Judged:
    """What one policy says: the grant that covers the request, or comes nearest to it, and what is still wrong."""

    policy: Policy
    grant: Grant | None
    violations: frozenset[Violation]


def of_everybody(request: Request, standard: Standard) -> Iterator[Violation]:
    """Yield what no owner can grant: by the registry of purposes, the standard and the classification floor."""
    plan, template = request.plan, PURPOSES.get(request.plan.purpose)
    if template is None:
        yield _unregistered(plan.purpose)
    if plan.standard != standard.id or plan.standard_digest != standard.digest:
        yield Violation(
            "standard", "registry", "pinned standard", "the plan pins another standard", "fetch the standard anew"
        )
    if (plan.rows_per_unit, plan.institutions_per_unit) != (standard.rows_per_unit, standard.institutions_per_unit):
        why = "the bounds are not the standard's"
        yield Violation("contribution bounds", "registry", standard.id, why, "use the standard's bounds")
    columns = {column.name: column for column in standard.columns}
    for atom in atoms(plan):
        yield from of_atom(atom, columns, template)
    for name, why in sorted(misfits(plan, standard)):
        # an engine would fail on it, or answer what was not asked, after the charge: the language has no such thing
        fix = "compare categories with values, measures and dates with numbers"
        yield Violation(f"use of {name}", "registry", "kind of column", why, fix)
    if template is not None:
        yield from _of_template(request, template)
    for column in columns.values():
        for layer, rule, part in dated_limits(column, template):
            if _cuts_finer(plan, column, part):
                why, fix = f"dates are told by the {part} at most", f"cut {column.name} by the {part}"
                yield Violation(f"grain of {column.name}", layer, rule, why, fix)


def _unregistered(purpose: str) -> Violation:
    if purpose in REFUSED:
        return Violation("purpose", "registry", "always refused", REFUSED[purpose].why, "declare another purpose")
    fix = f"use one of: {', '.join(PURPOSES)}"
    return Violation("purpose", "registry", "known purpose", "this purpose is not registered", fix)


def _of_template(request: Request, template: Template) -> Iterator[Violation]:
    if request.keeps > template.keeps:
        yield _retention("purpose", template.purpose, template.keeps, request)
    if template.roles and request.role not in template.roles:
        why = f"only a {' or '.join(template.roles)} may declare this purpose"
        yield Violation("asker", "purpose", template.purpose, why, "declare another purpose")


def of_atom(atom: Atom, columns: Mapping[str, Column], template: Template | None) -> Iterator[Violation]:
    """Yield what the classification floor and the purpose's template have against one use of one column."""
    if atom.column == ROWS:
        return
    column = columns.get(atom.column)
    if column is None:
        why, fix = "the standard has no such column", "use a column of the standard"
        yield Violation(str(atom), "registry", "known column", why, fix)
        return
    struck = barred(atom, column)
    if struck is not None:
        yield Violation(str(atom), "classification", *struck, "drop it")
    elif template is not None and atom.use not in template.uses[column.kind]:
        why = f"the purpose {template.purpose} does not need a {column.kind.value} for {atom.use}"
        fix = "drop it or declare the purpose that needs it"
        yield Violation(str(atom), "purpose", template.purpose, why, fix)


def dated_limits(column: Column, template: Template | None) -> Iterator[tuple[str, str, str]]:
    """Yield layer, rule and finest period that the floor and the purpose's template set a date; nothing for what is none."""
    if column.kind is not Kind.DATE:
        return
    floor = FLOORS[column.security].part
    if floor != "day":
        yield "classification", f"level {column.security}", floor
    if template is not None and template.part != "day":
        yield "purpose", template.purpose, template.part


def _retention(layer: str, rule: str, limit: int, request: Request) -> Violation:
    why = f"the result may be kept for {limit} days, the request says {request.keeps}"
    return Violation("retention", layer, rule, why, f"keep it for {limit} days at most")


# -- what an owner grants --------------------------------------------------------------------------------------------


def of_policy(request: Request, policy: Policy, *, standard: Standard, approvals: Sequence[Approval] | None) -> Judged:
    """Judge a request by the one grant of a policy that covers it, or comes nearest to it.

    Without ``approvals`` (``None``) persons' approval is left to whoever knows them.
    """
    grants = policy.admitting(request.plan.purpose, asker=request.asker, role=request.role)
    if policy.pointing is not None and policy.pointing.shuts_out(request.asker):
        why, fix = "a lender has stepped in: answers go to another party", "ask again when the step-in is over"
        return Judged(policy, None, frozenset({Violation("asker", "policy", policy.id, why, fix)}))
    if not grants:
        why, fix = "the owner grants you nothing for this purpose", "ask the owner for access"
        return Judged(policy, None, frozenset({Violation("purpose", "policy", policy.id, why, fix)}))
    template, needed = PURPOSES.get(request.plan.purpose), atoms(request.plan)
    struck = frozenset(_prohibited(request, needed, policy))
    named = {violation.item for violation in struck}
    found = []
    for grant in grants:
        offences = struck.union(
            (offence for offence in _of_grant(request, needed, grant, policy.id) if offence.item not in named),
            _of_joining(request, grant, template, policy.id),
            _of_declared(request.plan, grant, policy),
            _of_grain(request.plan, grant, standard, policy.id),
            _of_rows(request.plan, grant, policy.id),
            () if approvals is None else _of_approval(request, needed, grant, approvals, policy.id),
        )
        found.append(Judged(policy, grant, offences))
    return found[0] if len(found) == 1 else min(found, key=_distance)


def _distance(judged: Judged) -> tuple[int, int, bytes]:
    """How much a request would have to change for a grant; among equals the one that shows smaller groups."""
    costs = {"date": 1000, "grain": 3, "retention": 1, "precision": 1, "rows": 3, "noise": 1, APPROVAL: 0}
    cost = sum(costs.get(violation.item.partition(" ")[0], 10) for violation in judged.violations)
    cost = 2 * cost + len(judged.violations)
    if judged.grant is None:
        return cost, 0, b""
    return cost, judged.grant.min_group, canonical.encode(judged.grant.to_json())


def _prohibited(request: Request, needed: Iterable[Atom], policy: Policy) -> Iterator[Violation]:
    for atom in needed:
        for one in policy.prohibitions:
            if one.forbids(atom, purpose=request.plan.purpose, asker=request.asker, role=request.role):
                yield Violation(
                    str(atom), "policy", policy.id, "the owner prohibits it, whatever is granted", "drop it"
                )


def _of_grant(request: Request, needed: Iterable[Atom], grant: Grant, rule: str) -> Iterator[Violation]:
    """Yield what is wrong with uses, price, size, retention and date."""
    plan = request.plan
    for atom in needed:
        if not grant.opens(atom):
            fix = "drop it or ask the owner for access"
            yield Violation(str(atom), "policy", rule, f"not granted for {plan.purpose}", fix)
    if plan.rho > grant.rho_per_query:
        why = f"at most {grant.rho_per_query / 1e9:.9g} rho a question, the plan asks {plan.rho / 1e9:.9g}"
        fix = f"set the budget to {grant.rho_per_query / 1e9:.9g} rho"
        yield Violation("precision", "policy", rule, why, fix)
    for column in sorted(precision.finer(plan, grant.finest)):
        what = "counts" if column == ROWS else f"sums of {column}"
        why = f"{what} are told to ± {grant.finest[column]} at 95 % at most"
        yield Violation(f"precision of {what}", "policy", rule, why, "ask at a lower price")
    if grant.max_cells is not None and plan.cells_count > grant.max_cells:
        why = f"at most {grant.max_cells} cells an answer, the plan has {plan.cells_count}"
        yield Violation("cells", "policy", rule, why, "group by less")
    if grant.keeps is not None and request.keeps > grant.keeps:
        yield _retention("policy", rule, grant.keeps, request)
    if grant.valid is not None and not grant.holds_on(request.on):
        why = f"the owner's grant holds from {grant.valid[0]} until, without, {grant.valid[1]}"
        yield Violation("date", "policy", rule, why, "ask within these days, or ask the owner to prolong it")


def _of_joining(request: Request, grant: Grant, template: Template | None, rule: str) -> Iterator[Violation]:
    """Yield what is wrong with those who answer together."""
    plan = request.plan
    least = max(grant.min_parties, template.min_parties if template else 1)
    others = len(set(plan.parties) - {request.asker})  # an asker knows its own part: it hides nobody else's
    if others < least:
        why = f"at least {least} institutions besides the asker must answer together, the plan has {others}"
        yield Violation("parties", "policy", rule, why, f"ask {least} or more institutions")
    if plan.shared is not None:
        withstand = withstood(request, grant)
        if withstand is None or plan.shared < withstand:
            wanted = "standalone noise" if withstand is None else f"noise that withstands {withstand}"
            yield Violation("noise", "policy", rule, f"the owner wants {wanted}", "ask for standalone noise")


def withstood(request: Request, grant: Grant) -> int | None:
    """How many colluding parties a shared noise must withstand; ``None`` if it is not granted."""
    # an asker on the roster is one of those that shared noise must withstand
    return None if grant.shared_from is None else max(grant.shared_from, int(request.asker in request.plan.parties))


def _of_declared(plan: Plan, grant: Grant, policy: Policy) -> Iterator[Violation]:
    """Yield the bounds and labels that the owner does not declare, of columns that are granted at all."""
    for column in sorted(added_up(plan.measures)):
        granted = grant.columns.get(column, ())
        allowed = policy.bounds.get(column)
        if {"sum", "product"} & set(granted) and (allowed is None or not allowed.covers(plan.clipped[column])):
            why = "the owner declares no bounds that cover these"
            yield Violation(f"bounds of {column}", "policy", policy.id, why, "use the declared bounds")
    for by in plan.groups:
        if isinstance(by, ByCategory) and "group" in grant.columns.get(by.column, ()):
            opened = set(policy.domains.get(by.column, ())) & set(grant.domains.get(by.column, known(by)))
            if not set(known(by)) <= opened:
                why = "the owner declares no public domain that covers these values"
                yield Violation(f"values of {by.column}", "policy", policy.id, why, "use the declared domain")
    for column in sorted(beyond(plan_items(plan, besides=grant.rows), grant.domains)):
        why = "the owner's grant opens other values"
        yield Violation(f"values of {column}", "policy", policy.id, why, "use the values that are opened")


def beyond(items: Iterable[Item], domains: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Return the columns that tests inside ``items`` compare with other labels than those of ``domains``."""
    compared = (inner for item in items for inner in walk(item) if isinstance(inner, OneOf))
    return frozenset(
        test.column for test in compared if not set(test.values) <= set(domains.get(test.column, test.values))
    )


def added_up(measures: Iterable[Measure]) -> frozenset[str]:
    """Return the columns whose values are added up, so that their bounds price a plan."""
    return frozenset(column for one in measures if isinstance(one, Sum) for column, _ in summed(one.term))


def plan_items(plan: Plan, *, besides: Iterable[Test] = ()) -> list[Item]:
    """Return the tests, dimensions and terms of a plan, without some of its tests."""
    inner = [term_of(measure) for measure in plan.measures]
    demanded = set(besides)
    where = [test for test in plan.where if test not in demanded]
    return [*where, *plan.groups, *(item for item in inner if item is not None)]


def _of_grain(plan: Plan, grant: Grant, standard: Standard, rule: str) -> Iterator[Violation]:
    if not grant.grain:
        return
    held = columns_of(standard)
    items = plan_items(plan, besides=grant.rows)
    for name, grain in grant.grain.items():
        column = held.get(name)
        if column is None or column.bounds is None or not fits(grain, column.kind):
            if name in plan.columns:  # a grain that says nothing about a column grants nothing of it
                yield Violation(f"grain of {name}", "policy", rule, "the owner's grain does not fit it", "drop it")
        elif any(finer(item, name, grain, range_of(plan, column)) for item in items):
            told = f"by the {grain}" if isinstance(grain, str) else f"at multiples of {grain} units"
            why, fix = f"the owner lets {name} be cut {told}", f"cut {name} {told}, or not at all"
            yield Violation(f"grain of {name}", "policy", rule, why, fix)


def _cuts_finer(plan: Plan, column: Column, grain: Grain) -> bool:
    bounds = range_of(plan, column)
    return any(finer(item, column.name, grain, bounds) for item in plan_items(plan))


def range_of(plan: Plan, column: Column) -> Bounds:
    """Return where the values of a measure or date lie in a plan."""
    return plan.clipped.get(column.name) or column.bounds or Bounds(0, 0)


def limit_of(column: Column, template: Template | None, grants: Iterable[Grant]) -> Grain | None:
    """Return the grain that keeps to floor, purpose and all grants; ``None`` is no limit.

    Grains that do not fit the column are for the caller to refuse.
    """
    told: list[Grain | None] = [grant.grain.get(column.name) for grant in grants]
    told += [part for _, _, part in dated_limits(column, template)]
    return coarsest(*(grain for grain in told if grain is not None and fits(grain, column.kind)))


# -- which rows are open -------------------------------------------------------------------------------------------


def _of_rows(plan: Plan, grant: Grant, rule: str) -> Iterator[Violation]:
    for test in missing_rows(plan.where, plan.groups, grant.rows):
        told = str(test)
        told = told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…"
        why, fix = f"the owner opens only rows where {told}", f"add {told} to WHERE"
        yield Violation("rows", "policy", rule, why, fix)


# -- who has approved ------------------------------------------------------------------------------------------------


def _of_approval(
    request: Request, needed: Iterable[Atom], grant: Grant, approvals: Sequence[Approval], rule: str
) -> Iterator[Violation]:
    consent = grant.consent
    if consent.manner is Manner.AUTOMATIC:
        return
    plan = request.plan
    told = [str(atom) for atom in needed]
    for approval in approvals:
        enough = len(approval.persons) >= consent.persons
        fitting = consent.manner is Manner.STANDING or approval.plan_hash is not None
        if (
            enough
            and fitting
            and approval.covers(
                asker=request.asker, purpose=plan.purpose, plan_hash=plan.hash, atoms=told, rho=plan.rho, on=request.on
            )
        ):
            return
    often = "each such question" if consent.manner is Manner.ONCE else "such questions"
    why = f"the owner approves {often} before it is answered"
    yield Violation(APPROVAL, "policy", rule, why, "ask the owner for an approval")
