"""Minimum necessity: silence denies, less granted is never more allowed, refusals are complete, what passes is needed.

P1 to P13 are the properties of the policy model: determinism, monotone grants, layers, requests, fixes, silence, witness.
"""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import (
    DOMAINS,
    MEASURES,
    NUMBERS,
    PARTIES,
    STANDARD,
    computed_by,
    generous,
    mutations,
    plans,
    policies,
    wild,
)

from privacy import canonical
from privacy.atoms import ROWS, USES, Atom, atoms
from privacy.errors import Malformed
from privacy.expression import (
    Added,
    AnyOf,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Choice,
    Constant,
    Missing,
    Not,
    OneOf,
    Times,
    Value,
)
from privacy.necessity import decide
from privacy.offences import Request
from privacy.plan import (
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Plan,
    Sum,
)
from privacy.policy import Grant, Policy
from privacy.purposes import PURPOSES
from privacy.recipients import ANYBODY
from privacy.terms import UNKNOWN, Bounds, Kind

STATISTICS = "credit-risk-statistics"
BALANCE, AGE, INCOME, OPENED = map(Value, ("balance", "age", "income", "opened"))
PLAN = Plan(
    standard=STANDARD.id,
    standard_digest=STANDARD.digest,
    purpose=STATISTICS,
    parties=("bank-a", "bank-b", "insurer-c"),
    rows_per_unit=STANDARD.rows_per_unit,
    institutions_per_unit=STANDARD.institutions_per_unit,
    groups=(ByCategory("region", ("north", "east")),),
    where=(OneOf("product", ("card",)), Between(AGE, 18, 80)),
    measures=(CountRows(), CountPresent(BALANCE), Sum(BALANCE)),
    bounds=(("balance", Bounds(0, 500)), ("age", Bounds(0, 120))),
    rho=50_000_000,
    prices=(10_000_000, 15_000_000, 25_000_000),
)
GRANT = Grant(
    purpose=STATISTICS,
    recipients=("lender",),
    columns={
        ROWS: ("count",),
        "balance": ("count", "sum"),
        "region": ("group",),
        "product": ("filter",),
        "age": ("filter",),
    },
    min_parties=3,
    min_group=20,
    rho_per_query=50_000_000,
    budget=10**9,
)
POLICY = Policy(
    "bank-a", "accounts", STANDARD.id, 1, 10**9, 10**9, (GRANT,), {"balance": Bounds(0, 500)}, {"region": ("north", "east")}
)  # fmt: skip


TODAY = date(2026, 11, 22)


def judge(plan, held, *, asker="lender", role="lender", keeps=30, on=TODAY, standard=STANDARD, approvals=()):
    return decide(Request(plan, asker, role, keeps, on), standard=standard, policies=held, approvals=approvals)


def asking(plan, **change):
    """Another question at the same price, split evenly, with bounds for what it computes with."""
    parts = [change.get(field, getattr(plan, field)) for field in ("where", "groups", "measures")]
    held = NUMBERS | plan.clipped | change.pop("clipped", {})
    bounds = tuple((column, held.get(column, Bounds(0, 9))) for column in computed_by(*parts))
    return replace(plan, **({"prices": (), "bounds": bounds} | change))


def items(decision):
    return {violation.item for violation in decision.violations}


def granting(**change):
    return replace(POLICY, grants=(replace(GRANT, **change),))


def without(columns, column, use):
    return {name: tuple(u for u in uses if (name, u) != (column, use)) for name, uses in columns.items()}


some_policies = st.lists(policies(), min_size=1, max_size=2)
fitting = (
    plans(purposes=[STATISTICS])
    .map(lambda plan: replace(plan, parties=PARTIES, shared=None))
    .map(lambda plan: judge(plan, [generous(STATISTICS)]).nearest or plan)
    .filter(lambda plan: judge(plan, [generous(STATISTICS)]).allowed)
)
"""Plans that a generous owner allows."""

asked = plans(purposes=[STATISTICS, STATISTICS, "pledge-valuation", "marketing"])


def test_the_smallest_grant_that_a_plan_needs_allows_it():
    assert judge(PLAN, [POLICY]).allowed
    assert judge(PLAN, [POLICY]).nearest is None


@pytest.mark.parametrize("atom", atoms(PLAN), ids=str)
def test_each_derived_atom_is_needed_and_named(atom):
    """Irredundant: the plan fails without any one of them, and the refusal says which."""
    decision = judge(PLAN, [granting(columns=without(GRANT.columns, atom.column, atom.use))])
    assert items(decision) == {str(atom)}


@given(fitting)
def test_the_derived_atoms_suffice_and_each_is_needed(plan):
    columns = {}
    for atom in atoms(plan):
        columns.setdefault(atom.column, []).append(atom.use)
    policy = generous(plan.purpose)
    least = replace(policy.grants[0], columns={column: tuple(uses) for column, uses in columns.items()})
    assert judge(plan, [replace(policy, grants=(least,))]).allowed
    for atom in atoms(plan):
        narrowed = replace(least, columns=without(least.columns, atom.column, atom.use))
        decision = judge(plan, [replace(policy, grants=(narrowed,))])
        assert items(decision) == {str(atom)}


def columns_in(document):
    """Every column that a test's document names, at any depth."""
    if isinstance(document, dict):
        yield from (document[field] for field in ("value", "column", "missing") if field in document)
    if isinstance(document, dict | list):
        for inner in document.values() if isinstance(document, dict) else document:
            yield from columns_in(inner)


@given(asked)
def test_atoms_are_what_the_plan_says(plan):
    """Read off the plan's document a second time."""
    told = plan.to_json()
    expected = {Atom(column, "filter") for test in told["where"] for column in columns_in(test)}
    expected = expected.union(*map(atoms_of_a_group, told["groups"]), *map(atoms_of_a_measure, told["measures"]))
    assert set(atoms(plan)) == expected
    assert list(atoms(plan)) == sorted(expected)


def atoms_of_a_group(by):
    match by:
        case {"category": column} | {"date": column}:
            return {Atom(column, "group")}
        case {"band": column}:
            return {Atom(column, "histogram")}
        case {"case": cases}:
            return {Atom(column, "group") for test, _ in cases for column in columns_in(test)}


def atoms_of_a_measure(measure):
    match measure:
        case {"known": column} | {"filled": column}:
            return {Atom(column, "count")}
        case {"valid": column}:
            return {Atom(column, "valid")}
        case {"histogram": {"band": column}}:
            return {Atom(column, "histogram")}
        case {"sum": term} | {"present": term}:
            use = "sum" if "sum" in measure else "count"
            told = {Atom(column, use if use == "count" else found) for column, found in uses_of(term, use)}
            told = told or {Atom(ROWS, "count")}
            return told | {Atom(column, "filter") for column in deciding(term)}
        case _:
            return {Atom(ROWS, "count")}


def inside(term):
    """The terms inside a term's document, and the tests of its cases."""
    match term:
        case {"times": parts} | {"add": parts}:
            return parts, []
        case {"case": cases, "else": otherwise}:
            return [part for _, part in cases] + ([otherwise] if otherwise else []), [test for test, _ in cases]
        case _:
            return [], []


def deciding(term):
    parts, tests = inside(term)
    return {column for test in tests for column in columns_in(test)}.union(*map(deciding, parts))


def uses_of(term, use):
    """Each column of a term's document with each of its uses: once multiplied with another column, always a product."""
    if "value" in term:
        return {(term["value"], use)}
    parts, _ = inside(term)
    if "times" in term and all(uses_of(part, use) for part in parts):
        use = "product"
    return set().union(*(uses_of(part, use) for part in parts))


TAKEN = {
    CountRows(): {"rows as count"},
    CountUnits(): {"rows as count"},
    CountKnown("region"): {"region as count"},
    CountFilled("age"): {"age as count"},
    CountValid("age"): {"age as valid"},
    CountPresent(Times(BALANCE, AGE)): {"balance as count", "age as count"},
    CountPresent(Choice(((Missing("age"), Constant(1)),))): {"rows as count", "age as filter"},
    Sum(Times(BALANCE, BALANCE)): {"balance as product"},
    Sum(Times(BALANCE, Constant(2))): {"balance as sum"},
    Sum(Added((Times(BALANCE, AGE), INCOME))): {"balance as product", "age as product", "income as sum"},
    Sum(Choice(((OneOf("region", ("north",)), BALANCE),))): {"balance as sum", "region as filter"},
    Sum(Choice(((Between(AGE, 18, None), Constant(1)),))): {"rows as count", "age as filter"},
    Histogram(ByBand("age", (0, 18, 120), ("young", "old"))): {"age as histogram"},
    ByCategory("region", ("north",)): {"region as group"},
    ByDate("opened", "year", ("2020",)): {"opened as group"},
    ByBand("age", (0, 18, 120), ("young", "old")): {"age as histogram"},
    ByCase(((Not(Between(Added((AGE, BALANCE)), 0, 9)), "odd"), (Missing("income"), "none"))): {
        "age as group", "balance as group", "income as group",
    },
    AnyOf((OneOf("region", ("north",)), Not(Missing("grade")))): {"region as filter", "grade as filter"},
    Between(Choice(((OneOf("region", ("north",)), AGE),), INCOME), 0, 9): {
        "region as filter", "age as filter", "income as filter",
    },
}  # fmt: skip


@pytest.mark.parametrize("item", TAKEN, ids=lambda item: type(item).__name__ + " " + str(getattr(item, "key", "")))
def test_each_kind_of_item_needs_these_uses(item):
    if hasattr(item, "key"):
        plan = asking(PLAN, where=(), groups=(), measures=(item,))
        rest = set()
    else:
        field = "groups" if hasattr(item, "labels") else "where"
        plan = asking(PLAN, **{"where": (), "groups": (), "measures": (CountRows(),), field: (item,)})
        rest = {"rows as count"}
    assert {str(atom) for atom in atoms(plan)} == TAKEN[item] | rest
    everything = dict.fromkeys((ROWS, *DOMAINS, *NUMBERS), USES)
    assert judge(plan, [replace(granting(columns=everything), bounds=MEASURES, domains=DOMAINS)]).allowed == (
        not isinstance(item, CountValid)
    )


# -- P1, P10: the order of evaluation; one grant of each policy must cover ----------------------------------------------


@given(asked, some_policies, st.data())
def test_the_order_of_policies_grants_and_columns_changes_nothing(plan, held, data):
    turned = [
        replace(
            policy,
            grants=tuple(
                replace(grant, columns=dict(data.draw(st.permutations(list(grant.columns.items())))))
                for grant in data.draw(st.permutations(policy.grants))
            ),
        )
        for policy in data.draw(st.permutations(held))
    ]
    assert judge(plan, turned) == judge(plan, held)


@given(asked, some_policies, some_policies)
def test_all_policies_must_allow_and_each_is_judged_alone(plan, one, other):
    together = judge(plan, one + other)
    assert together.allowed == (judge(plan, one).allowed and judge(plan, other).allowed)
    assert set(together.violations) == set(judge(plan, one).violations) | set(judge(plan, other).violations)


# -- P2 to P6, P12: monotone --------------------------------------------------------------------------------------------


@settings(max_examples=80)
@given(asked, policies(), st.data())
def test_less_granted_is_never_more_allowed(plan, policy, data):
    assume(policy.grants)
    position = data.draw(st.integers(0, len(policy.grants) - 1))
    grant = policy.grants[position]
    smaller = data.draw(
        st.sampled_from(
            [
                None,
                replace(grant, recipients=()),
                replace(grant, min_parties=grant.min_parties + 1),
                replace(grant, rho_per_query=grant.rho_per_query // 2),
                replace(grant, columns=dict(list(grant.columns.items())[1:])),
                replace(grant, columns={column: uses[1:] for column, uses in grant.columns.items()}),
            ]
        )
    )
    grants = policy.grants[:position] + (() if smaller is None else (smaller,)) + policy.grants[position + 1 :]
    less = data.draw(
        st.sampled_from(
            [
                replace(policy, grants=grants),
                replace(policy, grants=grants, bounds={}),
                replace(policy, bounds={}),
                replace(policy, domains={}),
                replace(policy, domains={column: values[:1] for column, values in policy.domains.items()}),
            ]
        )
    )
    assert judge(plan, [policy]).allowed or not judge(plan, [less]).allowed
    # and each thing that was refused stays refused, unless nothing at all is granted for the purpose any more
    if policy.granted(plan.purpose) and any(grant.admits("lender", "lender") for grant in less.granted(plan.purpose)):
        assert items(judge(plan, [policy])) <= items(judge(plan, [less])) | {
            item for item in items(judge(plan, [policy])) if item.startswith(("bounds of", "values of"))
        }


@given(fitting, st.data())
def test_a_smaller_request_stays_allowed(plan, data):
    held = [generous(STATISTICS), replace(generous(STATISTICS), owner="bank-b")]
    assert judge(plan, held).allowed
    smaller = asking(
        plan,
        groups=tuple(data.draw(st.lists(st.sampled_from(plan.groups), unique=True))) if plan.groups else (),
        where=tuple(data.draw(st.lists(st.sampled_from(plan.where), unique=True))) if plan.where else (),
        measures=(measures := tuple(data.draw(st.lists(st.sampled_from(plan.measures), unique=True, min_size=1)))),
        rho=data.draw(st.integers(len(measures), plan.rho)),
    )
    assert judge(smaller, held).allowed


# -- P7, P8: complete explanation, nearest plan -------------------------------------------------------------------------


@settings(max_examples=80)
@given(asked, some_policies)
def test_the_nearest_plan_passes_and_only_drops_narrows_or_lowers(plan, held):
    decision = judge(plan, held)
    nearest = decision.nearest
    if decision.allowed or nearest is None:
        return
    assert judge(nearest, held).allowed
    assert nearest != plan
    assert 0 < nearest.rho <= plan.rho
    same = ("standard", "standard_digest", "purpose", "parties", "rows_per_unit", "institutions_per_unit")
    assert all(getattr(nearest, field) == getattr(plan, field) for field in same)
    assert nearest.shared in {plan.shared, None}
    assert set(nearest.where) <= set(plan.where)
    for by in nearest.groups:
        assert by in plan.groups or any(
            isinstance(asked_for, ByCategory)
            and asked_for.column == by.column
            and set(by.labels) < set(asked_for.labels) - {UNKNOWN}
            for asked_for in plan.groups
        )
    asked_bounds = plan.clipped
    assert all(asked_bounds[column].covers(bounds) for column, bounds in nearest.bounds)
    prices = dict(zip(plan.measures, plan.prices, strict=True))
    if nearest.measures != (CountRows(),):
        assert all(price <= prices[measure] for measure, price in zip(nearest.measures, nearest.prices, strict=True))


def names_of(item, plan):
    """The names that a refusal may give to one measure, group or test of a plan."""
    part = {"where": (), "groups": (), "measures": (CountRows(),)}
    if hasattr(item, "key"):
        part["measures"] = (item,)
    else:
        part["groups" if hasattr(item, "labels") else "where"] = (item,)
    alone = asking(plan, **part, shared=None)
    names = {str(atom) for atom in atoms(alone)} - (set() if hasattr(item, "key") else {"rows as count"})
    names |= {f"use of {column}" for column in alone.columns}
    if isinstance(item, Sum):
        names |= {f"bounds of {column}" for column in alone.columns}
    return names | ({f"values of {item.column}"} if isinstance(item, ByCategory) else set())


@settings(max_examples=80)
@given(asked, some_policies)
def test_the_nearest_plan_keeps_what_was_not_refused(plan, held):
    decision = judge(plan, held)
    nearest = decision.nearest
    if nearest is None:
        return
    refused = items(decision)
    kept = {*nearest.where, *nearest.groups, *nearest.measures}
    for item in (*plan.where, *plan.groups, *plan.measures):
        if not names_of(item, plan) & refused:
            assert item in kept
    prices = dict(zip(plan.measures, plan.prices, strict=True))
    if "precision" not in refused and set(nearest.measures) <= set(prices):
        assert nearest.prices == tuple(prices[measure] for measure in nearest.measures)
    if "noise" not in refused:
        assert nearest.shared == plan.shared


def _single_changes(plan, held):
    """Every plan that lacks one item, or has another price or roster, with the names that a refusal may give to it."""
    cheapest = 2 * len(plan.measures)
    for field in ("where", "groups", "measures"):
        for item in getattr(plan, field):
            others = tuple(other for other in getattr(plan, field) if other != item)
            if others or field != "measures":
                yield names_of(item, plan), asking(plan, **{field: others})
    if plan.rho > cheapest:
        # what even the cheapest price exceeds stays refused, at another figure
        limits = [grant.rho_per_query for policy in held for grant in policy.granted(plan.purpose)]
        yield {"precision"}, asking(plan, rho=cheapest if min(limits, default=cheapest) >= cheapest else plan.rho)
    yield {"parties"}, asking(plan, parties=("p-1", "p-2", "p-3", "p-4", "p-5"))
    yield {"noise"}, asking(plan, shared=None)


@given(asked, some_policies)
def test_explanations_are_complete_and_irredundant_by_brute_force(plan, held):
    """Dropping an item takes away only what names it, and all that names nothing else; every offence names something."""
    plan = asking(plan)
    decision = judge(plan, held)
    named = items(decision)
    changes = list(_single_changes(plan, held))
    only = names_of(plan.measures[0], plan) if len(plan.measures) == 1 else set()  # the last measure cannot be dropped
    for position, (names, changed) in enumerate(changes):
        after = set(judge(changed, held).violations)
        taken = {violation.item for violation in set(decision.violations) - after}
        elsewhere = only.union(*(others for index, (others, _) in enumerate(changes) if index != position))
        if changed != plan:
            assert named & names - elsewhere <= taken <= named & names
        assert after <= set(decision.violations)
    whole = {"purpose", "policy", "standard", "contribution bounds"}
    assert named <= whole.union(only, {"precision"}, *(names for names, _ in changes))


def test_every_offence_is_named_at_once():
    plan = asking(
        PLAN,
        parties=("bank-a", "bank-b"),
        groups=(ByCategory("region", ("north", "west")), ByCategory("grade", ("a",)), ByBand("age", (0, 9), ("x",))),
        where=(OneOf("person", ("x",)), Between(INCOME, 0, 1), Between(Value("product"), 0, 1), AnyOf((Missing("grade"), OneOf("income", ("1",))))),
        measures=(CountRows(), Sum(BALANCE), Sum(Times(AGE, AGE)), CountValid("balance"), CountPresent(Value("ghost"))),
        clipped={"balance": Bounds(0, 501), "age": Bounds(0, 1)},
        rho=50_000_001,
        rows_per_unit=4,
        standard_digest="0" * 64,
        shared=0,
    )  # fmt: skip
    assert items(judge(plan, [POLICY])) == {
        "parties", "values of region", "grade as group", "age as histogram", "person as filter", "income as filter",
        "grade as filter", "use of product", "use of income", "use of region", "bounds of balance", "age as product",
        "balance as valid", "ghost as count", "precision", "contribution bounds", "standard", "noise",
    }  # fmt: skip


def test_too_wide_bounds_and_foreign_values_are_narrowed():
    plan = asking(
        PLAN,
        groups=(ByCategory("region", ("west", "east", UNKNOWN)),),
        measures=(CountRows(), Sum(BALANCE)),
        clipped={"balance": Bounds(-7, 900), "age": Bounds(-40, 70)},
    )
    nearest = judge(plan, [POLICY]).nearest
    # a label that is left out may not come back among the unknown; a filter's bounds are narrowed to the standard's
    assert nearest == asking(
        plan, groups=(ByCategory("region", ("east",)),), clipped={"balance": Bounds(0, 500), "age": Bounds(0, 70)}
    )


def test_what_is_unknown_may_be_asked_for_beside_all_that_is_granted():
    assert judge(asking(PLAN, groups=(ByCategory("region", ("north", "east", UNKNOWN)),)), [POLICY]).allowed


def test_a_filter_keeps_its_bounds_when_the_sum_of_its_column_is_refused():
    plan = asking(PLAN, where=(Between(AGE, 18, 80),), measures=(CountRows(), Sum(AGE)))
    assert judge(plan, [POLICY]).nearest == asking(plan, measures=(CountRows(),), rho=25_000_000)


def test_the_price_of_what_falls_away_is_not_spent_on_the_rest():
    plan = asking(PLAN, measures=(CountRows(), Sum(AGE), Sum(BALANCE)), prices=(5_000_000, 30_000_000, 15_000_000))
    nearest = judge(plan, [POLICY]).nearest
    assert dict(zip(nearest.measures, nearest.prices, strict=True)) == {
        CountRows(): 5_000_000,
        Sum(BALANCE): 15_000_000,
    }
    cheaper = judge(plan, [granting(rho_per_query=10_000_000)]).nearest
    assert dict(zip(cheaper.measures, cheaper.prices, strict=True)) == {CountRows(): 2_500_000, Sum(BALANCE): 7_500_000}


def test_products_are_granted_apart_from_sums():
    """Whoever may add balances up may not yet add up their squares."""
    plan = asking(PLAN, measures=(Sum(BALANCE), Sum(Times(BALANCE, BALANCE))))
    decision = judge(plan, [POLICY])
    assert items(decision) == {"balance as product"}
    assert decision.nearest == asking(plan, measures=(Sum(BALANCE),), rho=25_000_000)
    wider = granting(columns=GRANT.columns | {"balance": ("sum", "product")})
    assert judge(plan, [wider]).allowed
    without_bounds = replace(wider, bounds={})
    assert items(judge(plan, [without_bounds])) == {"bounds of balance"}
    assert judge(plan, [without_bounds]).nearest is not None


def test_nothing_is_nearest_when_nothing_is_left():
    assert judge(replace(PLAN, parties=("bank-a",)), [POLICY]).nearest is None
    assert judge(PLAN, [granting(columns={})]).nearest is None
    assert judge(PLAN, [granting(rho_per_query=0)]).nearest is None
    assert judge(PLAN, [POLICY], asker="other").nearest is None


# -- P9, P13: silence and unknown terms deny ----------------------------------------------------------------------------


@given(asked)
def test_without_policies_everything_is_refused(plan):
    decision = judge(plan, [])
    assert not decision.allowed
    assert "policy" in items(decision)
    assert decision.nearest is None
    assert not judge(plan, [replace(POLICY, grants=())]).allowed


@given(plans(purposes=["marketing", "Credit-Risk-Statistics", "credit-risk-statistics ", "*"]), some_policies)
def test_unknown_purposes_are_refused_whatever_is_granted(plan, held):
    extra = replace(POLICY, grants=(replace(GRANT, purpose=plan.purpose, recipients=(ANYBODY,)),))
    for tried in (held, [extra]):
        decision = judge(plan, tried)
        assert "purpose" in items(decision)
        assert decision.nearest is None


@given(plans(), some_policies)
def test_identifiers_and_unknown_columns_are_refused_whatever_is_granted(plan, held):
    touched = {column for column in plan.columns if column in {"person", "ghost"}}
    assume(touched)
    for tried in (held, [generous(plan.purpose)] if plan.purpose in PURPOSES else held):
        decision = judge(plan, tried)
        assert touched <= {item.partition(" as ")[0] for item in items(decision)}
        assert decision.nearest is None or not touched & set(decision.nearest.columns)


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("kind", [Kind.CATEGORY, Kind.MEASURE, Kind.DATE])
@pytest.mark.parametrize("use", USES)
def test_a_purpose_opens_only_what_its_template_needs(purpose, kind, use):
    column = {Kind.CATEGORY: "region", Kind.MEASURE: "age", Kind.DATE: "opened"}[kind]
    number = Value(column)
    test = OneOf("region", ("north",)) if kind is Kind.CATEGORY else Between(number, 0, 9)
    plan = asking(PLAN, purpose=purpose, groups=(), where=(), measures=(CountRows(),))
    plan = {
        "group": asking(plan, groups=(ByCase(((test, "some"),)),)),
        "filter": asking(plan, where=(test,)),
        "count": asking(plan, measures=(CountFilled(column),)),
        "valid": asking(plan, measures=(CountValid(column),)),
        "sum": asking(plan, measures=(Sum(number),)),
        "product": asking(plan, measures=(Sum(Times(number, number)),)),
        "histogram": asking(plan, measures=(Histogram(ByBand(column, (0, 9), ("x",))),)),
    }[use]
    policy = replace(generous(purpose), bounds={**NUMBERS, "region": Bounds(0, 9)})
    template = PURPOSES[purpose]
    if template.part != "day" and kind is Kind.DATE and use in ("group", "filter"):
        return  # these days are no whole months: privacy.grain has tests of its own
    decision = judge(plan, [policy], role=(*template.roles, "lender")[0])
    assert decision.allowed == (use in PURPOSES[purpose].uses[kind])
    assert decision.allowed or f"{column} as {use}" in items(decision)


MISFITS = {
    OneOf("age", ("18",)): "use of age",
    Not(OneOf("opened", ("2020",))): "use of opened",
    Between(Value("region"), 0, 5): "use of region",
    AnyOf((Missing("age"), Between(Added((AGE, Value("region"))), 0, 5))): "use of region",
    Between(Choice(((OneOf("income", ("1",)), AGE),)), 0, 5): "use of income",
    ByCategory("age", ("18",)): "use of age",
    ByBand("grade", (0, 1), ("x",)): "use of grade",
    ByDate("age", "year", ("2020",)): "use of age",
    ByDate("region", "year", ("2020",)): "use of region",
    ByCase(((OneOf("balance", ("1",)), "x"),)): "use of balance",
    CountKnown("age"): "use of age",
    CountPresent(Value("region")): "use of region",
    Sum(Choice(((OneOf("age", ("1",)), BALANCE),))): "use of age",
    Histogram(ByBand("region", (0, 1), ("x",))): "use of region",
}


@pytest.mark.parametrize("item", MISFITS, ids=repr)
def test_what_a_kind_of_column_does_not_have_is_refused_and_falls_away(item):
    """An engine would fail on it, or answer another question, after the charge; whatever else was asked stays."""
    field = "measures" if hasattr(item, "key") else "groups" if hasattr(item, "labels") else "where"
    rest = {
        "where": (Missing("age"),),
        "groups": (ByDate("opened", "month", ("01",)),),
        "measures": (CountRows(), CountFilled("region")),
    }
    sound = asking(PLAN, **rest, rho=20_000_000)
    plan = asking(PLAN, **(rest | {field: (*rest[field], item)}), rho=30_000_000 if field == "measures" else 20_000_000)
    decision = judge(
        plan, [replace(generous(STATISTICS), bounds=dict.fromkeys((*DOMAINS, *NUMBERS), Bounds(-(10**6), 10**6)))]
    )
    assert MISFITS[item] in items(decision)
    assert {name for name in items(decision) if not name.startswith("use of")} <= {
        f"{column} as {use}" for column in plan.columns for use in ("histogram", "group", "sum", "product")
    } | {"values of age"}
    assert decision.nearest == sound


def test_bounds_beyond_the_standards_are_refused_and_narrowed():
    plan = asking(PLAN, where=(Between(AGE, 18, 80),), clipped={"age": Bounds(0, 121)})
    decision = judge(plan, [POLICY])
    assert items(decision) == {"use of age"}
    assert decision.nearest == asking(plan, clipped={"age": Bounds(0, 120)}, prices=plan.prices)
    beyond = asking(plan, clipped={"age": Bounds(130, 140)})
    assert judge(beyond, [POLICY]).nearest == asking(beyond, where=(), prices=beyond.prices)


@pytest.mark.parametrize("asker", ["lender", "other", "", ANYBODY])
def test_only_recipients_are_answered(asker):
    assert judge(PLAN, [POLICY], asker=asker).allowed == (asker == "lender")
    assert judge(PLAN, [granting(recipients=(ANYBODY,))], asker=asker).allowed
    assert not judge(PLAN, [granting(recipients=())], asker=asker).allowed


@pytest.mark.parametrize(("parties", "granted", "allowed"), [(3, 0, True), (2, 0, False), (3, 4, False), (4, 4, True)])
def test_the_purpose_and_the_owner_both_say_how_many_must_answer(parties, granted, allowed):
    plan = replace(PLAN, parties=("bank-a", "bank-b", "insurer-c", "telecom-d")[:parties])
    assert judge(plan, [granting(min_parties=granted)]).allowed == allowed


@pytest.mark.parametrize(("more", "allowed"), [(-1, True), (0, True), (1, False)])
def test_the_price_fits_to_the_unit(more, allowed):
    assert judge(asking(PLAN, rho=GRANT.rho_per_query + more), [POLICY]).allowed == allowed


@pytest.mark.parametrize(
    "bounds",
    [Bounds(0, 501), Bounds(-1, 500), Bounds(-1, 501), Bounds(600, 700)],
    ids=lambda bounds: f"{bounds.lower} {bounds.upper}",
)
def test_sums_keep_within_the_declared_bounds(bounds):
    for term, uses in ((BALANCE, ("sum",)), (Times(BALANCE, BALANCE), ("product",))):
        plan = asking(PLAN, measures=(Sum(term),), clipped={"balance": bounds})
        policy = granting(columns=GRANT.columns | {"balance": uses})
        assert items(judge(plan, [policy])) == {"bounds of balance"}
        assert judge(plan, [replace(policy, bounds={"balance": bounds})]).allowed


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"rows_per_unit": 4}, {"institutions_per_unit": 1}, {"title": "x"}], ids=str
)
def test_another_standard_is_refused(change):
    assert not judge(PLAN, [POLICY], standard=replace(STANDARD, **change)).allowed


@given(asked, some_policies)
def test_refusals_give_a_reason_and_a_way_out(plan, held):
    for violation in judge(plan, held).violations:
        assert all(violation.to_json().values())
        assert set(violation.to_json()) == {"item", "layer", "rule", "why", "fix"}


# -- policies as documents ----------------------------------------------------------------------------------------------


@given(policies())
def test_a_policy_survives_its_canonical_form(policy):
    told = Policy.from_json(canonical.decode(canonical.encode(policy.to_json())))
    assert told == policy
    assert told.digest == policy.digest
    assert told.caps == policy.caps


FULL = replace(POLICY, grants=(GRANT, replace(GRANT, purpose="pledge-valuation")))


@settings(max_examples=400)
@given(mutations({**FULL.to_json(), "pledging": {"lenders": ["lender"], "limit": 5, "until": "2027-12-31"}}))
def test_a_changed_policy_is_another_policy_or_malformed(document):
    try:
        policy = Policy.from_json(document)
    except Malformed:
        return
    assert policy.to_json() == document
    assert isinstance(judge(PLAN, [policy]).allowed, bool)
    whole = [policy.version, policy.everyone, policy.partner]
    whole += [
        number
        for grant in policy.grants
        for number in (grant.min_parties, grant.min_group, grant.rho_per_query, grant.budget)
    ]
    assert {type(number) for number in whole} == {int}
    assert min(whole) >= 0


@given(wild)
def test_nothing_else_is_a_policy(document):
    with pytest.raises(Malformed):
        Policy.from_json(document)


HOSTILE = {
    "owner": [None, "Bank A", "../x", 5, ["bank-a"]],
    "dataset": [None, "a-b", "main.x", 5, "x\n"],
    "standard": [None, 5, ["credit/1"], {}],
    "version": [None, "1", 1.0, True, -1],
    "everyone": [None, "1", 1.5, True, -1, 10**13],
    "partner": [None, "1", 1.5, True, -1, 10**13],
    "grants": [None, {}, "x", [None], [{}], [GRANT.purpose], 2 * POLICY.to_json()["grants"]],
    "bounds": [None, [], {"balance": [0]}, {"balance": [0, 1, 2]}, {"balance": [1, 0]}, {"balance": [0.0, 1]}, {"balance": "01"}],
    "domains": [None, [], {"region": "north"}, {"region": [1]}, {"region": None}],
    "pledging": [
        {}, [], "x", {"lenders": "x", "limit": 1, "until": "2027-12-31"}, {"lenders": [1], "limit": 1, "until": "2027-12-31"},
        {"lenders": [], "limit": "1", "until": "2027-12-31"}, {"lenders": [], "limit": 1, "until": "whenever"},
        {"lenders": [], "limit": 1, "until": "20271231"}, {"lenders": [], "limit": 1, "until": "2027-12-31", "also": 1},
    ],
}  # fmt: skip
HOSTILE_GRANT = {
    "purpose": [None, "marketing", 5, ["x"], {}],
    "recipients": [None, "lender", [5], [None], {}],
    "columns": [None, [], "x", {"age": "sum"}, {"age": ["median"]}, {"age": [["sum"]]}, {"age": None}],
    "min_parties": [None, "3", 3.0, True, -1],
    "min_group": [None, "3", 3.0, True, -1],
    "rho_per_query": [None, "3", 3.0, True, -1],
    "budget": [None, "3", 3.0, True, -1, 10**13],
    "shared_from": ["1", 1.0, True, -1],
    "extra": [1],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in HOSTILE.items() for value in values])
def test_hostile_policies_are_malformed(field, value):
    assert Policy.from_json(POLICY.to_json()) == POLICY
    with pytest.raises(Malformed):
        Policy.from_json({**POLICY.to_json(), field: value})


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in HOSTILE_GRANT.items() for value in values]
)
def test_hostile_grants_are_malformed(field, value):
    document = POLICY.to_json()
    with pytest.raises(Malformed):
        Policy.from_json({**document, "grants": [{**document["grants"][0], field: value}]})


@pytest.mark.parametrize("column", MEASURES)
def test_the_generators_grant_everything_they_claim(column):
    plan = asking(PLAN, where=(), groups=(), measures=(Sum(Value(column)),), clipped=MEASURES)
    assert judge(plan, [generous(STATISTICS)]).allowed
