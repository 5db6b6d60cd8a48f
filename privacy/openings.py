"""What a change of policy opens or closes, told before it is made.

It is told exactly: a grant is a box, and a new box opens nothing if one old box for the same party holds it
in every dimension. Each opening comes with a request that passes now and did not before, wherever a small one shows it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from privacy.approval import Manner
from privacy.atoms import ROWS, Atom, atoms
from privacy.errors import Malformed
from privacy.expression import Between, ByBand, ByCategory, ByDate, Dimension, OneOf, Test, Times, Value, date_label
from privacy.grain import coarsest
from privacy.misuse import columns_of
from privacy.necessity import decide
from privacy.offences import Request, of_atom
from privacy.permissions import STRANGER, Person, institutions, persons
from privacy.plan import (
    CountFilled,
    CountPresent,
    CountRows,
    CountValid,
    Histogram,
    Measure,
    Plan,
    Sum,
    computed,
)
from privacy.policy import Grant, Policy
from privacy.purposes import PURPOSES
from privacy.scope import missing_rows
from privacy.terms import Column, Kind, Standard


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a change of policy opens (or, read the other way, closes), to whom, and a request that shows it."""

    who: tuple[Person, ...]
    purpose: str
    what: str
    example: str


# -- what a change opens ---------------------------------------------------------------------------------------------


def opened(old: Policy, new: Policy, standard: Standard, *, on: date) -> list[Change]:
    """Return what ``new`` allows and ``old`` did not; none means that whatever passes now passed before.

    Swap the two for what a change closes.
    """
    found: dict[tuple[str, str], list[tuple[Person, str]]] = {}
    for who in persons([old, new]):
        for purpose in PURPOSES:
            for grant in _admitting(new, who, purpose):
                before = _admitting(old, who, purpose)
                differences = [
                    _excess(who, grant, one, new_policy=new, old_policy=old, standard=standard) for one in before
                ]
                least = min(differences, key=len) if differences else [("purpose", _granted(grant))]
                for item, what in least:
                    shown = _example(who, grant, item, old=old, new=new, standard=standard, on=on)
                    found.setdefault((purpose, what), []).append((who, shown))
    changes = []
    for (purpose, what), told in found.items():
        example = next((shown for _, shown in told if shown), "")
        changes.append(Change(tuple(dict.fromkeys(who for who, _ in told)), purpose, what, example))
    return [*changes, *_of_document(old, new), *_of_step_in(old, new, standard)]


def _admitting(policy: Policy, who: Person, purpose: str) -> list[Grant]:
    roles = PURPOSES[purpose].roles
    if roles and who.role not in roles:
        return []
    return [grant for grant in policy.granted(purpose) if grant.admits(who.party, who.role)]


def _granted(grant: Grant) -> str:
    listed = sorted(str(Atom(column, use)) for column, uses in grant.columns.items() for use in uses)
    return f"access at all: {', '.join(listed) or 'to nothing'}"


def _of_document(old: Policy, new: Policy) -> Iterator[Change]:
    """Yield what is not about single requests: budgets in all, and the standing consent to a pledge."""
    nobody: tuple[Person, ...] = ()
    if new.everyone > old.everyone:
        what = f"{new.everyone / 1e9:g} rho for everybody together instead of {old.everyone / 1e9:g}"
        yield Change(nobody, "*", what, "")
    if new.partner > old.partner:
        yield Change(nobody, "*", f"{new.partner / 1e9:g} rho for each asker instead of {old.partner / 1e9:g}", "")
    if new.pledging is not None:
        before = old.pledging
        wider = before is None or (
            not set(new.pledging.lenders) <= set(before.lenders)
            or new.pledging.limit > before.limit
            or new.pledging.until > before.until
        )
        if wider:
            yield Change(nobody, "*", "a pledge to other lenders, of a larger loan or for longer", "")


def _of_step_in(old: Policy, new: Policy, standard: Standard) -> Iterator[Change]:
    """Yield what opens to whoever steps in under a pledge: the clause itself, then what grants of its purpose open more."""
    before, after = ((None if one.pledging is None else one.pledging.step_in) for one in (old, new))
    if after is None:
        return
    if before is None or not before.covers(after):
        whom = ", ".join(after.recipients)
        what = (
            f"to {whom} after a step-in, whatever is granted for it, from up to {after.reserve / 1e9:g} rho kept back"
        )
        yield Change((), after.purpose, what, "")
        return
    who = Person(STRANGER, "")
    for grant in new.granted(after.purpose):
        differences = [
            _excess(who, grant, one, new_policy=new, old_policy=old, standard=standard)
            for one in old.granted(after.purpose)
        ]
        for _, what in min(differences, key=len) if differences else [("purpose", _granted(grant))]:
            yield Change((), after.purpose, f"after a step-in: {what}", "")


def _excess(
    who: Person, new: Grant, old: Grant, *, new_policy: Policy, old_policy: Policy, standard: Standard
) -> list[tuple[str, str]]:
    """Return in which dimensions the box of ``new`` is not held by that of ``old``: the item that refused, and words."""
    found = [
        (str(atom), str(atom))
        for atom in _open_atoms(who, new, new_policy, standard)
        if atom not in _open_atoms(who, old, old_policy, standard)
    ]
    template = PURPOSES[new.purpose]
    least, before = (max(grant.min_parties, template.min_parties) for grant in (new, old))
    if least < before:
        found.append(("parties", f"answers joined by {institutions(least)} instead of {before}"))
    if new.min_group < old.min_group:
        found.append(("groups", f"groups from {new.min_group} rows on instead of {old.min_group}"))
    if new.rho_per_query > old.rho_per_query:
        found.append(
            ("precision", f"{new.rho_per_query / 1e9:g} rho a question instead of {old.rho_per_query / 1e9:g}")
        )
    if new.budget > old.budget:
        found.append(("budget", f"{new.budget / 1e9:g} rho for the purpose instead of {old.budget / 1e9:g}"))
    if new.shared_from is not None and (old.shared_from is None or new.shared_from < old.shared_from):
        found.append(("noise", f"shared noise that withstands {new.shared_from}"))
    found += _finer_than(new, old, standard)
    found += _beyond(new, old, new_policy=new_policy, old_policy=old_policy, standard=standard)
    if old.max_cells is not None and (new.max_cells is None or new.max_cells > old.max_cells):
        found.append(("cells", f"{new.max_cells or 'any number of'} cells an answer instead of {old.max_cells}"))
    days, before = (template.keeps if one.keeps is None else min(one.keeps, template.keeps) for one in (new, old))
    if days > before:
        found.append(("retention", f"kept for {days} days instead of {before}"))
    if old.valid is not None and (
        new.valid is None or not (old.valid[0] <= new.valid[0] and new.valid[1] <= old.valid[1])
    ):
        found.append(("date", f"days beyond {old.valid[0]} to {old.valid[1]}"))
    if _weaker(new, old):
        found.append(("approval", "without, or with a weaker, approval of the owner's officers"))
    return found


def _open_atoms(who: Person, grant: Grant, policy: Policy, standard: Standard) -> set[Atom]:
    columns, template = {column.name: column for column in standard.columns}, PURPOSES[grant.purpose]
    return {
        atom
        for column, uses in grant.columns.items()
        for atom in (Atom(column, use) for use in uses)
        if not any(of_atom(atom, columns, template))
        and not any(
            one.forbids(atom, purpose=grant.purpose, asker=who.party, role=who.role) for one in policy.prohibitions
        )
    }


def _finer_than(new: Grant, old: Grant, standard: Standard) -> Iterator[tuple[str, str]]:
    kinds = {column.name: column.kind for column in standard.columns}
    for name, grain in old.grain.items():
        if name in kinds and (name not in new.grain or coarsest(new.grain[name], grain) != new.grain[name]):
            told = new.grain.get(name, "any cut")
            yield f"grain of {name}", f"{name} by {told} instead of {grain}"
    for name, half in old.finest.items():
        if new.finest.get(name, 0) < half:
            what = "counts" if name == ROWS else f"sums of {name}"
            yield f"precision of {what}", f"{what} told to ± {new.finest.get(name, 0)} instead of ± {half}"


def _beyond(
    new: Grant, old: Grant, *, new_policy: Policy, old_policy: Policy, standard: Standard
) -> Iterator[tuple[str, str]]:
    """Yield labels, bounds and rows of what the new grant opens that the old one did not."""
    for column in standard.columns:
        more: set[str] = set()
        if new.opens(Atom(column.name, "group")):
            more |= _labels(new, new_policy, column) - _labels(old, old_policy, column)
        # a filter may name every value of the standard, unless the grant has labels of its own
        more |= {*new.domains.get(column.name, column.domain)} - {*old.domains.get(column.name, column.domain)}
        if more:
            yield f"values of {column.name}", f"{column.name} named as {', '.join(sorted(more))}"
        bounds, held = new_policy.bounds.get(column.name), old_policy.bounds.get(column.name)
        summed = any(new.opens(Atom(column.name, use)) for use in ("sum", "product"))
        if summed and bounds is not None and (held is None or not held.covers(bounds)):
            yield f"bounds of {column.name}", f"sums of {column.name} within wider bounds"
    if missing_rows(new.rows, (), old.rows):
        yield "rows", "rows beyond those that were open"


def _labels(grant: Grant, policy: Policy, column: Column) -> set[str]:
    """The labels of a category that may be grouped by."""
    return set(policy.domains.get(column.name, ())) & set(grant.domains.get(column.name, column.domain))


def _weaker(new: Grant, old: Grant) -> bool:
    order = (Manner.AUTOMATIC, Manner.STANDING, Manner.ONCE)
    ranks = [(order.index(grant.consent.manner), grant.consent.persons, -grant.consent.days) for grant in (new, old)]
    return any(now < before for now, before in zip(*ranks, strict=True)) and old.consent.manner is not Manner.AUTOMATIC


# -- small requests that show it -------------------------------------------------------------------------------------


def _example(who: Person, grant: Grant, item: str, *, old: Policy, new: Policy, standard: Standard, on: date) -> str:
    """Return a request under a new grant that passes now and did not before, for this item, in words; "" if none is small."""
    judge_old = () if grant.consent.manner is Manner.AUTOMATIC else None
    for request in probes(who, grant, new, standard, on=on):
        if decide(request, standard=standard, policies=[new], approvals=None).allowed:
            before = decide(request, standard=standard, policies=[old], approvals=judge_old)
            if any(violation.item == item for violation in before.violations):
                return spelled(request, who)
    return ""


def probes(who: Person, grant: Grant, policy: Policy, standard: Standard, *, on: date) -> Iterator[Request]:
    """Yield small requests at the edge of a grant: one for each use, label and kind of cut, at its price, for its time."""
    template = PURPOSES[grant.purpose]
    least = max(grant.min_parties, template.min_parties)
    days = [on] if grant.valid is None else [on, *(date.fromisoformat(end) for end in grant.valid)]
    day = next((one for one in days if grant.holds_on(one)), on)
    keeps = template.keeps if grant.keeps is None else min(template.keeps, grant.keeps)
    held = columns_of(standard)
    for groups, where, measures in _shapes(grant, policy, held):
        # a group alone is counted in; a grant that does not open counting shows it by nothing this small
        tests = (*where, *missing_rows(where, groups, grant.rows))
        bounds = {name: column.bounds for name, column in held.items() if column.bounds is not None}
        bounds |= {name: own for name, own in policy.bounds.items() if name in bounds and bounds[name].covers(own)}
        try:
            for shared in (None,) if grant.shared_from is None else (None, grant.shared_from):
                parties = max(least, 1 if shared is None else shared + 2)
                plan = Plan(
                    standard=standard.id,
                    standard_digest=standard.digest,
                    purpose=grant.purpose,
                    parties=tuple(f"institution-{number}" for number in range(1, parties + 1)),
                    rows_per_unit=standard.rows_per_unit,
                    institutions_per_unit=standard.institutions_per_unit,
                    groups=tuple(groups),
                    where=tests,
                    measures=tuple(measures),
                    rho=max(1, min(grant.rho_per_query, 10**11)),
                    bounds=tuple(
                        (name, bounds[name])
                        for name in sorted(computed((*groups, *tests, *measures)))
                        if name in bounds
                    ),
                    shared=shared,
                )
                yield Request(plan, who.party, who.role, keeps, day)
        except Malformed:
            continue


Shape = tuple[list[Dimension], list[Test], list[Measure]]


def _shapes(grant: Grant, policy: Policy, held: dict[str, Column]) -> Iterator[Shape]:
    counted: list[Measure] = [CountRows()]
    if grant.opens(Atom(ROWS, "count")):
        yield [], [], counted
    for name, column in held.items():
        for use in grant.columns.get(name, ()):
            yield from _shape_of(name, column, use, grant, policy, counted)


def _shape_of(
    name: str, column: Column, use: str, grant: Grant, policy: Policy, counted: list[Measure]
) -> Iterator[Shape]:
    if use in ("group", "filter"):
        cuts = _groups(name, column, grant, policy) if use == "group" else _filters(name, column, grant)
        for cut in cuts:
            yield ([], [cut], counted) if isinstance(cut, Test) else ([cut], [], counted)
        return
    value, bounds = Value(name), column.bounds
    measures: dict[str, Measure] = {
        "count": CountFilled(name) if bounds is None else CountPresent(value),
        "valid": CountValid(name),
    }
    if bounds is not None:
        measures |= {"sum": Sum(value), "product": Sum(Times(value, value))}
        measures |= {"histogram": Histogram(ByBand(name, (bounds.lower, bounds.upper + 1), ("all",)))}
    if use in measures:
        yield [], [], [measures[use]]


def _groups(name: str, column: Column, grant: Grant, policy: Policy) -> Iterator[Dimension]:
    for label in grant.domains.get(name, policy.domains.get(name, ())) if column.domain else ():
        yield ByCategory(name, (label,))
    if column.kind is Kind.DATE:
        for part, code in {"year": 2020, "year-quarter": 4 * 2020, "year-month": 12 * 2020, "weekday": 1}.items():
            yield ByDate(name, part, (date_label(part, code),))


def _filters(name: str, column: Column, grant: Grant) -> Iterator[Test]:
    for label in grant.domains.get(name, column.domain):
        yield OneOf(name, (label,))
    if column.bounds is not None:
        yield Between(Value(name), column.bounds.lower + 1, None)
        width = grant.grain.get(name)
        if isinstance(width, int):
            yield Between(Value(name), None, (column.bounds.lower // width + 1) * width - 1)


def spelled(request: Request, who: Person) -> str:
    """Return a request as a sentence."""
    plan = request.plan
    asked = ", ".join(measure.key for measure in plan.measures)
    by = ", ".join(dict.fromkeys(str(atom.column) for atom in atoms(plan) if atom.use == "group"))
    where = " and ".join(map(str, plan.where))
    return (
        f"{who} asks {asked}{f' by {by}' if by else ''}{f' where {where}' if where else ''} for {plan.purpose}, "
        f"joined by {institutions(len(plan.parties))}, at {plan.rho / 1e9:g} rho, kept for {request.keeps} days"
    )
