"""The nearest request that passes: what is refused is dropped, narrowed, coarsened or made cheaper, and nothing else.

Every change answers an offence, so that undoing any one of them is refused again. Source: PROOFS 8.2.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from privacy import precision
from privacy.atoms import ROWS, Atom, atoms_of
from privacy.errors import Malformed
from privacy.expression import (
    Between,
    ByBand,
    ByCase,
    ByCategory,
    Dimension,
    Missing,
    OneOf,
    Test,
    Value,
    known,
    tested,
)
from privacy.grain import Grain, coarsened, finer, fits, snapped
from privacy.misuse import columns_of, misused
from privacy.offences import (
    Request,
    added_up,
    beyond,
    limit_of,
    of_atom,
    range_of,
    withstood,
)
from privacy.plan import CountRows, Histogram, Measure, Plan, computed, term_of
from privacy.policy import Grant, Policy
from privacy.purposes import PURPOSES, Template
from privacy.scope import missing_rows
from privacy.terms import UNKNOWN, Bounds, Column, Standard


def nearest(request: Request, *, standard: Standard, covering: Iterable[tuple[Policy, Grant]]) -> Request | None:
    """Return what is left of a request under one grant of each policy; nothing if that leaves no question worth asking.

    Who answers, on which day, under which standard is not changed: where that is refused, the caller finds that what is
    returned is refused as well.
    """
    template, pairs = PURPOSES.get(request.plan.purpose), list(covering)
    if template is None or not pairs:
        return None
    found = _Narrowing(request, template, standard, pairs).plan()
    if found is None:
        return None
    limits = [template.keeps, *(grant.keeps for _, grant in pairs if grant.keeps is not None)]
    return replace(request, plan=found, keeps=min(request.keeps, *limits))


@dataclass(slots=True)
class _Narrowing:
    """One request on its way to what passes under some policies' grants."""

    request: Request
    template: Template
    standard: Standard
    pairs: list[tuple[Policy, Grant]]
    held: dict[str, Column] = field(init=False)
    published: dict[str, Bounds] = field(init=False)

    def __post_init__(self) -> None:
        self.held = columns_of(self.standard)
        bounds = {name: column.bounds for name, column in self.held.items() if column.bounds}
        self.published = _narrowed(self.request.plan.clipped, [bounds])

    @property
    def grants(self) -> list[Grant]:
        return [grant for _, grant in self.pairs]

    def plan(self) -> Plan | None:
        """The narrowed plan, cheap and small enough; nothing if nothing is left."""
        plan = self.request.plan
        declared = _narrowed(self.published, [policy.bounds for policy, _ in self.pairs])
        usable = self._measures({column for column, bounds in declared.items() if bounds.weight})
        if not usable:
            return None
        groups = list(dict.fromkeys(by for by in map(self._group, plan.groups) if by is not None))
        where = [test for test in map(self._test, plan.where) if test is not None]
        opened = self._opened(where, groups)
        if opened is None:
            return None
        where, groups = opened
        if self._contradicts(where, groups):
            return None
        bounds = {name: column.bounds for name, column in self.held.items() if column.bounds} | self.published
        bounds |= {column: declared[column] for column in added_up(usable)}
        needed = computed((*usable, *groups, *where))
        if not needed <= set(bounds):
            return None
        share = plan.shared is not None and all(
            (least := withstood(self.request, grant)) is not None and plan.shared >= least for grant in self.grants
        )
        try:
            made = replace(
                plan,
                measures=tuple(usable),
                prices=tuple(usable.values()),
                rho=sum(usable.values()),
                groups=tuple(groups),
                where=tuple(where),
                bounds=tuple((column, bounds[column]) for column in sorted(needed)),
                shared=plan.shared if share else None,
            )
            return self._cheaper(self._smaller(made))
        except Malformed:
            return None

    # -- what passes -------------------------------------------------------------------------------------------------

    def _passes(self, needed: Iterable[Atom]) -> bool:
        """Whether floor, purpose and all owners allow these uses."""
        request = self.request
        return all(
            all(grant.opens(atom) for grant in self.grants)
            and not any(of_atom(atom, {column.name: column for column in self.standard.columns}, self.template))
            and not any(
                one.forbids(atom, purpose=request.plan.purpose, asker=request.asker, role=request.role)
                for policy, _ in self.pairs
                for one in policy.prohibitions
            )
            for atom in needed
        )

    def _fits(self, item: Test | Dimension | Measure) -> bool:
        return not any(misused(item, self.held)) and computed([item]) <= set(self.published)

    def _limits(self, item: Test | Dimension | Measure) -> dict[str, Grain]:
        """The grains of the columns that an item cuts finer than it may."""
        inner = term_of(item) if isinstance(item, Measure) else item
        found: dict[str, Grain] = {}
        for name in computed([item]):
            column = self.held[name]
            grain = limit_of(column, self.template, self.grants)
            if inner is not None and grain is not None and finer(inner, name, grain, self._range(column)):
                found[name] = grain
        return found

    def _range(self, column: Column) -> Bounds:
        return self.published.get(column.name) or range_of(self.request.plan, column)

    def _has_foreign_grain(self, item: Test | Dimension | Measure) -> bool:
        """Whether an owner sets a column of this item a grain that no such column can have."""
        named = {atom.column for atom in atoms_of(item)} if isinstance(item, Dimension | Measure) else tested(item)
        return any(
            name in grant.grain and (name not in self.held or not fits(grant.grain[name], self.held[name].kind))
            for name in named
            for grant in self.grants
        )

    def _domains(self) -> dict[str, tuple[str, ...]]:
        """The labels of each category that all grants that narrow it open."""
        found: dict[str, tuple[str, ...]] = {}
        for grant in self.grants:
            for column, labels in grant.domains.items():
                found[column] = tuple(label for label in found.get(column, labels) if label in labels)
        return found

    # -- item by item ------------------------------------------------------------------------------------------------

    def _measures(self, summable: set[str]) -> dict[Measure, int]:
        """The measures that pass with their prices; counting rows, if nothing else does."""
        plan, usable = self.request.plan, dict[Measure, int]()
        for asked, price in zip(plan.measures, plan.prices, strict=True):
            measure = self._measure(asked)
            if measure is not None and added_up([measure]) <= summable:
                usable.setdefault(measure, price)
        if not usable and self._passes([Atom(ROWS, "count")]):
            usable = {CountRows(): plan.rho}
        return usable

    def _measure(self, measure: Measure) -> Measure | None:
        if not self._passes(atoms_of(measure)) or not self._fits(measure) or self._has_foreign_grain(measure):
            return None
        inner = term_of(measure)
        if inner is not None and beyond([inner], self._domains()):
            return None
        limits = self._limits(measure)
        if not limits:
            return measure
        if isinstance(measure, Histogram):
            band = self._coarser(measure.band, limits)
            return Histogram(band) if isinstance(band, ByBand) else None
        return None

    def _group(self, by: Dimension) -> Dimension | None:
        if not self._passes(atoms_of(by)) or not self._fits(by) or self._has_foreign_grain(by):
            return None
        if isinstance(by, ByCategory):
            return self._within_domains(by)
        if beyond([by], self._domains()):
            return None
        limits = self._limits(by)
        return self._coarser(by, limits) if limits else by

    def _coarser(self, by: Dimension, limits: Mapping[str, Grain]) -> Dimension | None:
        ((name, grain), *others) = limits.items()
        column = self.held[name]
        return None if others else coarsened(by, grain, column, self._range(column))

    def _within_domains(self, by: ByCategory) -> Dimension | None:
        """The dimension with the labels that standard and all owners declare, in its own order.

        A label that is left out may not come back among the unknown.
        """
        declared = [set(self.held[by.column].domain)]
        declared += [set(policy.domains.get(by.column, ())) for policy, _ in self.pairs]
        declared += [set(grant.domains[by.column]) for grant in self.grants if by.column in grant.domains]
        labels = tuple(label for label in known(by) if all(label in domain for domain in declared))
        if labels == known(by):
            return by
        return ByCategory(by.column, labels) if labels else None

    def _test(self, test: Test) -> Test | None:
        if not self._passes(Atom(name, "filter") for name in tested(test)) or not self._fits(test):
            return None
        if any(test in grant.rows for grant in self.grants):
            return test if not self._limits_of_all(test) else None
        if self._has_foreign_grain(test):
            return None
        domains = self._domains()
        if beyond([test], domains):
            if not isinstance(test, OneOf):
                return None
            kept = tuple(value for value in test.values if value in domains[test.column])
            return OneOf(test.column, kept) if kept else None
        limits = self._limits(test)
        if not limits:
            return test
        ((name, grain), *others) = limits.items()
        return None if others else snapped(test, name, grain, self._range(self.held[name]))

    def _limits_of_all(self, test: Test) -> bool:
        """Whether a test that an owner demands is too fine for floor or purpose, or for another owner."""
        for name in computed([test]):
            column = self.held[name]
            others = [grant for grant in self.grants if test not in grant.rows]
            grain = limit_of(column, self.template, others)
            if grain is not None and finer(test, name, grain, self._range(column)):
                return True
        return False

    # -- the rows that are open -------------------------------------------------------------------------------------

    def _opened(self, where: list[Test], groups: list[Dimension]) -> tuple[list[Test], list[Dimension]] | None:
        """Tests and groups within the rows that all owners open; nothing if what is asked lies beyond them."""
        for grant in self.grants:
            for scope in missing_rows(where, groups, grant.rows):
                merged = [_merged(test, scope) for test in where]
                if any(_is_empty(test) for test in merged):
                    return None
                where = merged if merged != where else [*where, scope]
                groups = [_labelled(by, scope) for by in groups]
                if any(not by.labels for by in groups):
                    return None
        return where, groups

    def _contradicts(self, where: list[Test], groups: list[Dimension]) -> bool:
        """Whether what was narrowed leaves no row: a column is missing in all of them and told apart all the same."""
        missing = {test.column for test in where if isinstance(test, Missing)}
        told = {test.column for test in where if isinstance(test, OneOf)}
        told |= {test.term.column for test in where if isinstance(test, Between) and isinstance(test.term, Value)}
        changed = [by for by in groups if by not in self.request.plan.groups and UNKNOWN not in by.labels]
        told |= {by.column for by in changed if not isinstance(by, ByCase)}
        return bool(missing & told)

    # -- the whole ---------------------------------------------------------------------------------------------------

    def _smaller(self, plan: Plan) -> Plan:
        """Leave out groups until the cells are as few as all owners allow: as few groups as will do, the widest first."""
        most = min((grant.max_cells for grant in self.grants if grant.max_cells is not None), default=None)
        while most is not None and plan.cells_count > most and plan.groups:
            enough = [by for by in plan.groups if plan.cells_count // len(by.labels) <= most]
            # the group that costs least if one is enough; else the largest, and on
            dropped = (
                min(enough, key=lambda by: len(by.labels))
                if enough
                else max(plan.groups, key=lambda by: len(by.labels))
            )
            plan = self._without(plan, dropped)
        return plan

    def _without(self, plan: Plan, dropped: Dimension) -> Plan:
        groups = tuple(by for by in plan.groups if by != dropped)
        where = list(plan.where)
        where += [test for grant in self.grants for test in missing_rows(where, groups, grant.rows)]
        needed = computed((*plan.measures, *groups, *where))
        held = {name: column.bounds for name, column in self.held.items() if column.bounds} | plan.clipped
        bounds = tuple((column, held[column]) for column in sorted(needed) if column in held)
        return replace(plan, groups=groups, where=tuple(where), bounds=bounds)

    def _cheaper(self, plan: Plan) -> Plan | None:
        """Lower the price to what is granted; what falls away is not spent on the rest."""
        dearest = min(grant.rho_per_query for grant in self.grants)
        finest: dict[str, int] = {}
        for grant in self.grants:
            for column, half in grant.finest.items():
                finest[column] = max(half, finest.get(column, 0))
        # a column whose error is limited first: then what is left may already be cheap enough
        lowered = precision.lowered(plan, finest) if finest else plan
        if lowered is None or lowered.rho <= dearest:
            return lowered
        return lowered.priced(dearest)


def _merged(test: Test, scope: Test) -> Test:
    """Return what passes both of two comparisons of one column, where that is a comparison; else ``test``."""
    match test, scope:
        case OneOf(column, listed), OneOf(other, opened) if column == other:
            return OneOf(column, tuple(value for value in listed if value in opened))
        case Between(term, lower, upper), Between(other, least, most) if term == other:
            lows = [end for end in (lower, least) if end is not None]
            highs = [end for end in (upper, most) if end is not None]
            return Between(term, max(lows, default=None), min(highs, default=None))
        case _:
            return test


def _is_empty(test: Test) -> bool:
    match test:
        case OneOf(_, ()):
            return True
        case Between(_, int(lower), int(upper)):
            return lower > upper
        case _:
            return False


def _labelled(by: Dimension, scope: Test) -> Dimension:
    """Return a category with the labels that rows within ``scope`` can have; other dimensions as they are."""
    match by, scope:
        case ByCategory(column, labels), OneOf(other, opened) if column == other:
            return ByCategory(column, tuple(label for label in labels if label in opened))
        case _:
            return by


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
