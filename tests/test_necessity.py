"""Minimum necessity: silence denies, less granted is never more allowed, refusals are complete, what passes is needed.

P1 to P13 are the properties of the policy model: determinism, monotone grants, layers, requests, fixes, silence, witness.
"""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import DOMAINS, MEASURES, PARTIES, STANDARD, generous, mutations, plans, policies, wild

from privacy import canonical
from privacy.errors import Malformed
from privacy.necessity import ANYBODY, PURPOSES, ROWS, Atom, Grant, Policy, atoms, decide
from privacy.plan import Between, CountPresent, CountRows, CountValid, GroupBy, OneOf, Plan, Sum
from privacy.terms import Bounds, Kind

STATISTICS = "credit-risk-statistics"
PLAN = Plan(
    standard=STANDARD.id,
    standard_digest=STANDARD.digest,
    purpose=STATISTICS,
    parties=("bank-a", "bank-b", "insurer-c"),
    rows_per_unit=STANDARD.rows_per_unit,
    institutions_per_unit=STANDARD.institutions_per_unit,
    groups=(GroupBy("region", ("north", "east")),),
    where=(OneOf("product", ("card",)), Between("age", Bounds(18, 80))),
    measures=(CountRows(), CountPresent("balance"), Sum("balance", Bounds(0, 500))),
    rho=50_000_000,
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


def judge(plan, held, *, asker="lender", standard=STANDARD):
    return decide(plan, asker=asker, standard=standard, policies=held)


def items(decision):
    return {violation.item for violation in decision.violations}


def granting(**change):
    return replace(POLICY, grants=(replace(GRANT, **change),))


def without(columns, column, use):
    return {name: tuple(u for u in uses if (name, u) != (column, use)) for name, uses in columns.items()}


some_policies = st.lists(policies(), min_size=1, max_size=2)
fitting = (
    plans(purposes=[STATISTICS])
    .map(lambda plan: replace(plan, parties=PARTIES))
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


@given(asked)
def test_atoms_are_what_the_plan_says(plan):
    found = set(atoms(plan))
    expected = {Atom(group.column, "group") for group in plan.groups} | {
        Atom(test.column, "filter") for test in plan.where
    }
    uses = {CountRows: "count", CountPresent: "count", CountValid: "valid", Sum: "sum"}
    expected |= {Atom(getattr(measure, "column", ROWS), uses[type(measure)]) for measure in plan.measures}
    assert found == expected
    assert list(atoms(plan)) == sorted(found)


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
    if policy.grant(plan.purpose) and less.grant(plan.purpose) and less.grant(plan.purpose).admits("lender"):
        assert items(judge(plan, [policy])) <= items(judge(plan, [less])) | {
            item for item in items(judge(plan, [policy])) if item.startswith(("bounds of", "values of"))
        }


@given(fitting, st.data())
def test_a_smaller_request_stays_allowed(plan, data):
    held = [generous(STATISTICS), replace(generous(STATISTICS), owner="bank-b")]
    assert judge(plan, held).allowed
    smaller = replace(
        plan,
        groups=tuple(data.draw(st.lists(st.sampled_from(plan.groups), unique=True))) if plan.groups else (),
        where=tuple(data.draw(st.lists(st.sampled_from(plan.where), unique=True))) if plan.where else (),
        measures=tuple(data.draw(st.lists(st.sampled_from(plan.measures), unique=True, min_size=1))),
        rho=data.draw(st.integers(1, plan.rho)),
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
    assert set(nearest.where) <= set(plan.where)
    asked_groups = {group.column: set(group.domain) for group in plan.groups}
    assert all(set(group.domain) <= asked_groups[group.column] for group in nearest.groups)
    asked_measures = {measure.key: measure for measure in plan.measures}
    if nearest.measures != (CountRows(),):
        for measure in nearest.measures:
            before = asked_measures[measure.key]
            assert before == measure or before.bounds.covers(measure.bounds)


@settings(max_examples=80)
@given(asked, some_policies)
def test_the_nearest_plan_keeps_what_was_not_refused(plan, held):
    decision = judge(plan, held)
    nearest = decision.nearest
    if nearest is None:
        return
    refused = items(decision)
    for measure in plan.measures:
        (atom,) = atoms(replace(plan, groups=(), where=(), measures=(measure,)))
        if str(atom) not in refused and f"bounds of {atom.column}" not in refused:
            assert measure in nearest.measures
    for group in plan.groups:
        if f"{group.column} as group" not in refused and f"values of {group.column}" not in refused:
            assert group in nearest.groups
    for test in plan.where:
        if f"{test.column} as filter" not in refused and f"filter on {test.column}" not in refused:
            assert test in nearest.where
    if "precision" not in refused:
        assert nearest.rho == plan.rho


def _single_changes(plan):
    """Every plan that differs in one item, with the names that a refusal may give to that item."""
    for measure in plan.measures:
        others = tuple(other for other in plan.measures if other != measure)
        (atom,) = atoms(replace(plan, groups=(), where=(), measures=(measure,)))
        names = {str(atom), f"bounds of {atom.column}"} if isinstance(measure, Sum) else {str(atom)}
        yield names, replace(plan, measures=others) if others else None
    for group in plan.groups:
        names = {f"{group.column} as group", f"values of {group.column}"}
        yield names, replace(plan, groups=tuple(other for other in plan.groups if other != group))
    for test in plan.where:
        names = {f"{test.column} as filter", f"filter on {test.column}"}
        yield names, replace(plan, where=tuple(other for other in plan.where if other != test))
    if plan.rho > 1:
        yield {"precision"}, replace(plan, rho=1)
    yield {"parties"}, replace(plan, parties=("p-1", "p-2", "p-3", "p-4", "p-5"))


@given(asked, some_policies)
def test_explanations_are_complete_and_irredundant_by_brute_force(plan, held):
    """An item is named exactly when changing it alone takes a violation away."""
    decision = judge(plan, held)
    named = items(decision)
    for names, changed in _single_changes(plan):
        if changed is None:
            continue
        after = set(judge(changed, held).violations)
        taken = set(decision.violations) - after
        assert {violation.item for violation in taken} == named & names
        assert after <= set(decision.violations)
    whole = {"purpose", "policy", "standard", "contribution bounds"}
    assert named <= whole.union(*(names for names, _ in _single_changes(plan)))


def test_every_offence_is_named_at_once():
    plan = replace(
        PLAN,
        parties=("bank-a", "bank-b"),
        groups=(GroupBy("region", ("north", "west")), GroupBy("grade", ("a",))),
        where=(OneOf("person", ("x",)), Between("income", Bounds(0, 1)), Between("product", Bounds(0, 1))),
        measures=(CountRows(), Sum("balance", Bounds(0, 501)), Sum("age", Bounds(0, 1)), CountValid("balance"), CountPresent("ghost")),
        rho=50_000_001,
        rows_per_unit=4,
        standard_digest="0" * 64,
    )  # fmt: skip
    assert items(judge(plan, [POLICY])) == {
        "parties", "values of region", "grade as group", "person as filter", "income as filter", "filter on product",
        "bounds of balance", "age as sum", "balance as valid", "ghost as count", "precision", "contribution bounds", "standard",
    }  # fmt: skip


def test_too_wide_bounds_and_foreign_values_are_narrowed():
    plan = replace(
        PLAN, groups=(GroupBy("region", ("west", "east")),), measures=(CountRows(), Sum("balance", Bounds(-7, 900)))
    )  # fmt: skip
    nearest = judge(plan, [POLICY]).nearest
    assert nearest == replace(
        plan, groups=(GroupBy("region", ("east",)),), measures=(CountRows(), Sum("balance", Bounds(0, 500)))
    )


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
@pytest.mark.parametrize("kind", [Kind.CATEGORY, Kind.MEASURE])
@pytest.mark.parametrize("use", ["group", "filter", "count", "valid", "sum"])
def test_a_purpose_opens_only_what_its_template_needs(purpose, kind, use):
    column = "region" if kind is Kind.CATEGORY else "age"
    test = OneOf("region", ("north",)) if kind is Kind.CATEGORY else Between("age", Bounds(0, 9))
    plan = replace(PLAN, purpose=purpose, groups=(), where=(), measures=(CountRows(),))
    plan = {
        "group": replace(plan, groups=(GroupBy(column, ("north",)),)),
        "filter": replace(plan, where=(test,)),
        "count": replace(plan, measures=(CountPresent(column),)),
        "valid": replace(plan, measures=(CountValid(column),)),
        "sum": replace(plan, measures=(Sum(column, Bounds(0, 1)),)),
    }[use]
    policy = generous(purpose)
    policy = replace(policy, bounds={**policy.bounds, "region": Bounds(0, 1)}, domains={**DOMAINS, "age": ("north",)})
    assert judge(plan, [policy]).allowed == (use in PURPOSES[purpose].uses[kind])


def test_tests_that_a_kind_does_not_have_are_refused():
    for test in (OneOf("age", ("18",)), Between("region", Bounds(0, 5))):
        plan = replace(PLAN, where=(test,))
        decision = judge(plan, [generous(STATISTICS)])
        assert items(decision) == {f"filter on {test.column}"}
        assert decision.nearest == replace(plan, where=())


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
    assert judge(replace(PLAN, rho=GRANT.rho_per_query + more), [POLICY]).allowed == allowed


@pytest.mark.parametrize(
    "bounds",
    [Bounds(0, 501), Bounds(-1, 500), Bounds(-1, 501), Bounds(600, 700)],
    ids=lambda bounds: f"{bounds.lower} {bounds.upper}",
)
def test_sums_keep_within_the_declared_bounds(bounds):
    plan = replace(PLAN, measures=(Sum("balance", bounds),))
    assert items(judge(plan, [POLICY])) == {"bounds of balance"}
    assert judge(plan, [replace(POLICY, bounds={"balance": bounds})]).allowed


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
    plan = replace(PLAN, where=(), groups=(), measures=(Sum(column, MEASURES[column]),))
    assert judge(plan, [generous(STATISTICS)]).allowed
