"""The policy model beyond uses and prices: grain, labels, rows, error, cells, retention, dates, roles, prohibitions, levels.

The properties run over random plans and policies with several grants; the vectors show each dimension by itself.
"""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from privacy import canonical, purposes
from privacy.approval import Approval, Consent, Manner
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
    Missing,
    Not,
    OneOf,
    Times,
    Value,
    date_label,
)
from privacy.floor import FLOORS
from privacy.necessity import Outcome, decide, shown_from
from privacy.plan import CountRows, CountUnits, Histogram, Plan, Sum
from privacy.policy import Policy, Prohibition
from privacy.purposes import PURPOSES, REFUSED
from privacy.recipients import ANYBODY
from privacy.sensitivity import calibrate
from privacy.terms import UNKNOWN, Bounds, Column, Kind
from tests.strategies import (
    NUMBERS,
    PARTIES,
    STANDARD,
    computed_by,
    generous,
    mutations,
    narrowed,
    plans,
    prohibitions,
    put,
    rich_policies,
    wild,
)

STATISTICS = "credit-risk-statistics"
BALANCE, AGE, INCOME, OPENED = map(Value, ("balance", "age", "income", "opened"))
EVERYTHING = generous(STATISTICS)
COUNTED = (CountRows(),)


def asking(where=(), groups=(), measures=COUNTED, *, rho=50_000_000, clipped=None, **change):
    held = NUMBERS | (clipped or {})
    return Plan(
        **{
            "standard": STANDARD.id,
            "standard_digest": STANDARD.digest,
            "purpose": STATISTICS,
            "parties": ("bank-a", "bank-b", "insurer-c"),
            "rows_per_unit": STANDARD.rows_per_unit,
            "institutions_per_unit": STANDARD.institutions_per_unit,
            "groups": groups,
            "where": where,
            "measures": measures,
            "bounds": tuple((name, held[name]) for name in computed_by(where, groups, measures)),
            "rho": rho,
        }
        | change
    )


def allowing(**change):
    return replace(EVERYTHING, grants=(replace(EVERYTHING.grants[0], **change),))


def judge(plan, *policies, standard=STANDARD, approvals=(), **change):
    return decide(put(plan, **change), standard=standard, policies=policies, approvals=approvals)


def items(decision):
    return {violation.item for violation in decision.violations}


def months(first, last, part="year-month"):
    per = {"year-month": 12, "year-quarter": 4, "year": 1}[part]
    codes = range(first[0] * per + first[1] - 1, last[0] * per + last[1])
    return ByDate("opened", part, tuple(date_label(part, code) for code in codes))


def day(text):
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


asked = plans(purposes=[STATISTICS]).map(lambda plan: replace(plan, parties=PARTIES, shared=None))
requests = st.builds(
    put,
    plans(purposes=[*PURPOSES, "marketing", "sale-to-third-parties"]),
    asker=st.sampled_from(["lender", "other", "bank-a", ""]),
    role=st.sampled_from([None, "lender", "regulator", "institution", "officer", ""]),
    keeps=st.integers(-5, 10**6),
    on=st.dates(),
)


# -- properties ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(requests, st.lists(rich_policies(), max_size=2), st.booleans())
def test_every_input_yields_a_decision_the_same_whatever_the_order(request_, held, left):
    """Total and deterministic: no input raises, and no order of policies, grants or prohibitions tells in the decision."""
    approvals = None if left else ()
    decision = decide(request_, standard=STANDARD, policies=held, approvals=approvals)
    assert decision.outcome in Outcome
    assert decision.allowed == (decision.outcome is Outcome.ALLOW)
    turned = [
        replace(policy, grants=policy.grants[::-1], prohibitions=policy.prohibitions[::-1]) for policy in held[::-1]
    ]
    assert decide(request_, standard=STANDARD, policies=turned, approvals=approvals) == decision
    told = [Policy.from_json(policy.to_json()) for policy in held]
    assert decide(request_, standard=STANDARD, policies=told, approvals=approvals) == decision
    for violation in decision.violations:
        assert all(violation.to_json().values())
        assert all(len(text) <= 400 for text in violation.to_json().values())


@settings(max_examples=60, deadline=None)
@given(asked, rich_policies(), st.data())
def test_less_is_never_more_in_any_dimension(plan, policy, data):
    """Removing a grant, narrowing one, prohibiting, adding a policy or a level never allows what was refused."""
    place = data.draw(st.integers(0, len(policy.grants) - 1))
    grant = policy.grants[place]
    rest = policy.grants[:place] + policy.grants[place + 1 :]
    added = data.draw(prohibitions)
    least = data.draw(st.sampled_from(["balance", "region", "opened", "age"]))
    columns = tuple(replace(one, level=5) if one.name == least else one for one in STANDARD.columns)
    raised = replace(STANDARD, columns=columns)
    replanned = replace(plan, standard_digest=raised.digest)
    before = judge(plan, policy).allowed
    for less in (
        replace(policy, grants=rest),
        replace(policy, grants=(*rest, _within(data.draw(narrowed(grant)), grant))),
        replace(policy, prohibitions=(*policy.prohibitions, added)),
    ):
        assert before or not judge(plan, less).allowed
    assert before or not judge(plan, policy, EVERYTHING).allowed
    assert before or not judge(replanned, policy, standard=raised).allowed


def _within(narrow, grant):
    """``narrow`` with whatever the first grant had said already kept, so that it holds in it."""
    finest = {
        name: max(narrow.finest.get(name, 0), grant.finest.get(name, 0)) for name in {**narrow.finest, **grant.finest}
    }
    kept = [one for one in (narrow.max_cells, grant.max_cells) if one is not None]
    return replace(
        narrow,
        grain=narrow.grain if not grant.grain else grant.grain,
        domains=grant.domains or narrow.domains,
        rows=(*narrow.rows, *(test for test in grant.rows if test not in narrow.rows)),
        finest=finest,
        max_cells=min(kept, default=None),
        keeps=min([one for one in (narrow.keeps, grant.keeps) if one is not None], default=None),
        valid=grant.valid if grant.valid is not None else narrow.valid,
        consent=grant.consent if grant.consent != Consent() else narrow.consent,
    )


@settings(max_examples=80, deadline=None)
@given(asked, st.lists(rich_policies(), min_size=1, max_size=2), st.integers(0, 400))
def test_the_nearest_request_passes_and_every_change_is_needed(plan, held, keeps):
    request_ = put(plan, keeps=keeps)
    decision = decide(request_, standard=STANDARD, policies=held, approvals=None)
    if decision.nearest is None:
        return
    nearest = replace(request_, plan=decision.nearest, keeps=decision.keeps)
    assert nearest != request_
    assert nearest.plan.rho <= plan.rho
    assert nearest.keeps <= keeps

    def passes(tried):
        return decide(tried, standard=STANDARD, policies=held, approvals=None).allowed

    assert passes(nearest)
    undone = list(_undone(request_, nearest))
    for name, tried in undone:
        assert not passes(tried), name


def _undone(request_, nearest):
    """The nearest request with one of its changes undone, each."""
    if nearest.keeps < request_.keeps:
        yield "retention", replace(nearest, keeps=request_.keeps)
    plan, left = request_.plan, nearest.plan
    for name, undone in (*_undone_items(plan, left), *_undone_numbers(plan, left)):
        yield name, replace(nearest, plan=undone)


def _undone_items(plan, left):
    for field in ("where", "groups"):
        for item in getattr(plan, field):
            if item not in getattr(left, field):
                # what was narrowed is widened again, what was dropped comes back
                others = (one for one in getattr(left, field) if one in getattr(plan, field) or not _alike(one, item))
                yield str(item), _with(left, plan, field, (*others, item))
    for test in left.where:
        if test not in plan.where and not isinstance(test, Between | OneOf):  # these may be drawn in, not added
            yield f"added {test}", _with(left, plan, "where", tuple(one for one in left.where if one != test))


def _alike(one, other):
    """Whether two items compare or group by one column in one way."""
    if isinstance(one, Between) and isinstance(other, Between):
        return one.term == other.term
    return type(one) is type(other) and getattr(one, "column", None) == getattr(other, "column", "")


def _undone_numbers(plan, left):
    prices = dict(zip(plan.measures, plan.prices, strict=True))
    if set(left.measures) <= set(prices):
        back = tuple(prices[measure] for measure in left.measures)
        if back != left.prices:
            yield "price", replace(left, prices=back, rho=sum(back))
    for name, bounds in left.bounds:
        if name in plan.clipped and plan.clipped[name] != bounds:
            wider = tuple((one, plan.clipped[name] if one == name else held) for one, held in left.bounds)
            yield f"bounds of {name}", replace(left, bounds=wider)


def _with(left, plan, field, value):
    parts = {name: getattr(left, name) for name in ("where", "groups", "measures")} | {field: value}
    held = NUMBERS | plan.clipped | left.clipped
    bounds = tuple((name, held[name]) for name in computed_by(*parts.values()))
    return replace(left, **parts, bounds=bounds)


@settings(max_examples=60, deadline=None)
@given(asked, st.lists(rich_policies(), min_size=1, max_size=3))
def test_an_exchange_and_its_nodes_agree(plan, held):
    """The exchange, which judges all policies, refuses what any node refuses, for the same reasons, and nothing else."""
    documents = [policy.to_json() for policy in held]
    request_ = put(plan)
    whole = decide(request_, standard=STANDARD, policies=map(Policy.from_json, documents), approvals=None)
    nodes = [
        decide(request_, standard=STANDARD, policies=[Policy.from_json(told)], approvals=None) for told in documents
    ]
    assert set(whole.violations) == {violation for one in nodes for violation in one.violations}
    assert whole.allowed == all(one.allowed for one in nodes)


@settings(max_examples=60, deadline=None)
@given(asked, rich_policies(), st.data())
def test_a_narrower_request_stays_allowed(plan, policy, data):
    plan = judge(plan, policy).nearest or plan
    request_ = put(plan)
    assume(decide(request_, standard=STANDARD, policies=[policy], approvals=None).allowed)
    measures = tuple(data.draw(st.lists(st.sampled_from(plan.measures), unique=True, min_size=1)))
    prices = tuple(price for one, price in zip(plan.measures, plan.prices, strict=True) if one in measures)
    ordered = tuple(one for one in plan.measures if one in measures)
    bounds = tuple((name, plan.clipped[name]) for name in computed_by(plan.where, plan.groups, ordered))
    smaller = replace(plan, measures=ordered, prices=prices, rho=sum(prices), bounds=bounds)
    for tried in (smaller, plan.priced(max(len(plan.measures), plan.rho // 2)) if min(plan.prices) > 2 else smaller):
        assert decide(
            put(tried, keeps=data.draw(st.integers(0, 30))), standard=STANDARD, policies=[policy], approvals=None
        ).allowed


# -- one grant of several -------------------------------------------------------------------------------------------


def test_one_grant_must_cover_a_request_grants_are_not_added_up():
    one = replace(EVERYTHING.grants[0], columns={ROWS: ("count",), "region": ("group",)})
    other = replace(EVERYTHING.grants[0], columns={ROWS: ("count",), "product": ("filter",)})
    both = replace(EVERYTHING, grants=(one, other))
    by, where = (ByCategory("region", ("north",)),), (OneOf("product", ("card",)),)
    assert judge(asking(groups=by), both).allowed
    assert judge(asking(where=where), both).allowed
    together = judge(asking(groups=by, where=where), both)
    assert items(together) in ({"region as group"}, {"product as filter"})
    assert together.outcome is Outcome.TRIM


def test_grants_of_one_purpose_may_differ_by_role():
    wide = replace(EVERYTHING.grants[0], recipients=("role:regulator",))
    narrow = replace(EVERYTHING.grants[0], recipients=(ANYBODY,), columns={ROWS: ("count",)})
    policy = Policy.from_json(replace(EVERYTHING, grants=(narrow, wide)).to_json())
    plan = asking(measures=(Sum(BALANCE),))
    assert judge(plan, policy, role="regulator").allowed
    for role in ("lender", "institution", None, "officer"):
        assert items(judge(plan, policy, role=role)) == {"balance as sum"}


@pytest.mark.parametrize("role", ["lender", None, "", "role:lender", "officer"])
def test_a_role_that_is_not_known_is_no_recipient(role):
    held = allowing(recipients=("role:regulator",))
    assert items(judge(asking(), held, role=role)) == {"purpose"}


# -- prohibitions ----------------------------------------------------------------------------------------------------

STRIKES = [
    (Prohibition(), True),
    (Prohibition(column="balance"), True),
    (Prohibition(column="balance", use="sum"), True),
    (Prohibition(column="balance", use="product"), False),
    (Prohibition(column="income"), False),
    (Prohibition(purpose="pledge-valuation"), False),
    (Prohibition(recipient="lender"), True),
    (Prohibition(recipient="other"), False),
    (Prohibition(recipient="role:lender"), True),
    (Prohibition(recipient="role:regulator"), False),
]


@pytest.mark.parametrize(("one", "strikes"), STRIKES)
def test_a_prohibition_overrides_every_grant(one, strikes):
    policy = Policy.from_json(replace(EVERYTHING, prohibitions=(one,)).to_json())
    decision = judge(asking(measures=(Sum(BALANCE),)), policy)
    assert decision.allowed != strikes
    assert items(decision) == ({"balance as sum"} if strikes else set())
    assert all("prohibits" in violation.why for violation in decision.violations)


def test_a_prohibition_of_a_role_strikes_whoever_has_no_known_role():
    policy = replace(EVERYTHING, prohibitions=(Prohibition(recipient="role:lender"),))
    assert not judge(asking(), policy, role=None).allowed
    assert judge(asking(), policy, role="regulator").allowed


# -- purposes and levels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", sorted(REFUSED))
def test_some_purposes_are_refused_by_name(purpose):
    decision = judge(asking(purpose=purpose), EVERYTHING)
    (refusal,) = (one for one in decision.violations if one.layer == "registry")
    assert (refusal.item, refusal.rule, refusal.why) == ("purpose", "always refused", REFUSED[purpose].why)
    assert decision.nearest is None


@pytest.mark.parametrize("purpose", [name for name, one in PURPOSES.items() if one.roles])
def test_some_purposes_are_for_some_roles(purpose):
    for role in ("lender", "regulator", "institution", None):
        decision = judge(asking(purpose=purpose), generous(purpose), role=role)
        assert decision.allowed == (role in PURPOSES[purpose].roles)
        assert items(decision) <= {"asker"}


def test_a_purpose_says_how_long_a_result_is_kept():
    most = PURPOSES[STATISTICS].keeps
    assert judge(asking(), EVERYTHING, keeps=most).allowed
    decision = judge(asking(), EVERYTHING, keeps=most + 1)
    assert items(decision) == {"retention"}
    assert (decision.nearest, decision.keeps) == (asking(), most)


def test_a_purpose_says_how_finely_dates_are_told():
    plan = asking(groups=(months((2020, 1), (2020, 12)),), purpose="portfolio-risk")
    decision = judge(plan, generous("portfolio-risk"))
    assert items(decision) == {"grain of opened"}
    assert decision.nearest == replace(plan, groups=(months((2020, 1), (2020, 4), "year-quarter"),))


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1"}, {"purposes": None}, {"purposes": [{}]}, {"refused": [{"purpose": "x"}]}, {"also": 1},
        {"refused": [{"purpose": STATISTICS, "parent": "x", "why": "y"}]},
    ],
)  # fmt: skip
def test_a_registry_is_read_strictly(change):
    template = PURPOSES[STATISTICS]
    uses = {kind.value: sorted(listed) for kind, listed in template.uses.items()}
    entry = {
        "purpose": STATISTICS, "version": 1, "title": "t", "parent": "p", "uses": uses, "min_parties": 3, "keeps": 365,
        "roles": [], "part": "day",
    }  # fmt: skip
    sound = {"version": 1, "purposes": [entry], "refused": []}
    assert set(purposes.read(sound)[0]) == {STATISTICS}
    with pytest.raises(Malformed):
        purposes.read({**sound, **change})
    for field in entry:
        with pytest.raises(Malformed):
            purposes.read({**sound, "purposes": [{name: value for name, value in entry.items() if name != field}]})
        with pytest.raises(Malformed):
            purposes.read({**sound, "purposes": [{**entry, field: None}]})


def test_every_purpose_has_a_parent_in_the_data_privacy_vocabulary():
    for one in (*PURPOSES.values(), *REFUSED.values()):
        assert one.parent.startswith("https://w3id.org/dpv#")


def at_level(level, *names):
    columns = tuple(replace(one, level=level) if one.name in names else one for one in STANDARD.columns)
    return replace(STANDARD, columns=columns)


@pytest.mark.parametrize("level", sorted(FLOORS))
@pytest.mark.parametrize("use", USES)
def test_a_level_opens_only_what_its_floor_allows(level, use):
    standard = at_level(level, "age")
    shapes = {
        "group": {"groups": (ByCase(((Between(AGE, 18, 80), "some"),)),)},
        "filter": {"where": (Between(AGE, 18, 80),)},
        "count": {"measures": (_present(AGE),)},
        "sum": {"measures": (Sum(AGE),)},
        "product": {"measures": (Sum(Times(AGE, AGE)),)},
        "histogram": {"measures": (Histogram(ByBand("age", (0, 120), ("all",))),)},
    }
    if use not in shapes:
        return
    decision = judge(asking(**shapes[use], standard_digest=standard.digest), EVERYTHING, standard=standard)
    assert decision.allowed == (use in FLOORS[level].uses)
    assert items(decision) <= {f"age as {use}"}


def _present(term):
    from privacy.plan import CountPresent

    return CountPresent(term)


@pytest.mark.parametrize(("level", "shown"), [(None, 20), (1, 2), (2, 5), (3, 20), (4, 100)])
def test_a_level_says_from_how_many_rows_on_a_group_is_shown(level, shown):
    standard = STANDARD if level is None else at_level(level, "balance")
    plan = asking(measures=(Sum(BALANCE),), standard_digest=standard.digest)
    grant = replace(EVERYTHING.grants[0], min_group=2)
    assert shown_from(plan, standard=standard, grant=grant) == shown
    assert shown_from(plan, standard=standard, grant=replace(grant, min_group=500)) == 500


def test_dates_of_people_are_told_by_the_month():
    standard = at_level(3, "opened")
    plan = asking(groups=(ByDate("opened", "weekday", ("1", "2")),), standard_digest=standard.digest)
    assert items(judge(plan, EVERYTHING, standard=standard)) == {"grain of opened"}
    assert judge(
        asking(groups=(months((2020, 1), (2020, 2)),), standard_digest=standard.digest), EVERYTHING, standard=standard
    ).allowed


@pytest.mark.parametrize("level", [0, 6, "3", 3.0, True])
def test_a_level_is_one_of_five(level):
    with pytest.raises(Malformed):
        Column(name="age", kind=Kind.MEASURE, meaning="age", bounds=Bounds(0, 120), level=level)


# -- grain -----------------------------------------------------------------------------------------------------------

CUTS = [
    # a date by the quarter
    ("quarter", {"groups": (months((2020, 1), (2020, 2), "year-quarter"),)}, True),
    ("quarter", {"groups": (months((2020, 1), (2020, 1), "year"),)}, True),
    ("quarter", {"groups": (months((2020, 1), (2020, 2)),)}, False),
    ("quarter", {"groups": (ByDate("opened", "quarter", ("Q1",)),)}, True),
    ("quarter", {"groups": (ByDate("opened", "month", ("01",)),)}, False),
    ("quarter", {"groups": (ByDate("opened", "weekday", ("1",)),)}, False),
    ("year", {"groups": (ByDate("opened", "quarter", ("Q1",)),)}, False),
    ("day", {"groups": (ByDate("opened", "weekday", ("1",)),)}, True),
    ("quarter", {"where": (Between(OPENED, day("2020-04-01"), day("2020-06-30")),)}, True),
    ("quarter", {"where": (Between(OPENED, day("2020-04-01"), day("2020-07-01")),)}, False),
    ("quarter", {"where": (Between(OPENED, day("2020-04-02"), None),)}, False),
    ("quarter", {"where": (Between(OPENED, None, 20_000),)}, True),
    ("quarter", {"where": (Not(Between(OPENED, 18_001, None)),)}, False),
    ("quarter", {"groups": (ByCase(((Between(OPENED, 18_001, None), "late"),)),)}, False),
    ("quarter", {"groups": (ByBand("opened", (day("2020-01-01"), day("2020-04-01")), ("q",)),)}, True),
    ("quarter", {"groups": (ByBand("opened", (day("2020-01-01"), day("2020-04-02")), ("q",)),)}, False),
    # a measure at multiples of 10 units
    (10, {"groups": (ByBand("age", (0, 20, 120), ("young", "old")),)}, True),
    (10, {"groups": (ByBand("age", (0, 18, 120), ("young", "old")),)}, False),
    (10, {"measures": (Histogram(ByBand("age", (0, 30, 120), ("x", "y"))),)}, True),
    (10, {"measures": (Histogram(ByBand("age", (0, 35, 120), ("x", "y"))),)}, False),
    (10, {"where": (Between(AGE, 20, 79),)}, True),
    (10, {"where": (Between(AGE, 20, 80),)}, False),
    (10, {"where": (Between(AGE, 0, 120),)}, True),
    (10, {"where": (AnyOf((Missing("age"), Between(AGE, 21, None))),)}, False),
    (10, {"where": (Between(Added((AGE, INCOME)), 20, None),)}, False),
    (10, {"measures": (Sum(AGE),)}, True),
    (1, {"where": (Between(Added((AGE, INCOME)), 20, None),)}, True),
    ("month", {"where": (Between(AGE, 20, None),)}, False),  # a grain that does not fit the column opens nothing of it
]


@pytest.mark.parametrize(("grain", "shape", "allowed"), CUTS)
def test_cuts_fall_on_the_grid(grain, shape, allowed):
    dated = "opened" in str(shape)
    name = "opened" if dated else "age"
    decision = judge(asking(**shape), allowing(grain={name: grain}))
    assert decision.allowed == allowed
    assert items(decision) == (set() if allowed else {f"grain of {name}"})


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["year", "quarter", "month"]), st.integers(17_900, 20_100), st.integers(0, 900))
def test_a_filter_on_a_date_passes_where_a_calendar_says_so(grain, first, length):
    """Independently: the two ends are the first day of a period and the last one, or beyond the bounds."""
    last = first + length
    start, end = (date(1970, 1, 1) + timedelta(days=at) for at in (first, last + 1))
    begins = {
        "year": lambda at: (at.month, at.day) == (1, 1),
        "quarter": lambda at: at.day == 1 and at.month % 3 == 1,
        "month": lambda at: at.day == 1,
    }[grain]
    expected = (first <= 18_000 or begins(start) or first > 20_000) and (last >= 20_000 or begins(end) or last < 18_000)
    assert judge(asking(where=(Between(OPENED, first, last),)), allowing(grain={"opened": grain})).allowed == expected


COARSER = [
    ("quarter", (months((2020, 1), (2020, 12)),), (months((2020, 1), (2020, 4), "year-quarter"),)),
    ("quarter", (months((2020, 2), (2020, 12)),), (months((2020, 2), (2020, 4), "year-quarter"),)),
    ("year", (months((2020, 1), (2021, 3)),), (months((2020, 1), (2020, 1), "year"),)),
    ("year", (months((2020, 2), (2020, 4), "year-quarter"),), ()),
    ("quarter", (ByDate("opened", "weekday", ("1", "2")),), ()),
    (
        "quarter",
        (ByDate("opened", "month", tuple(f"{code:02d}" for code in range(1, 13))),),
        (ByDate("opened", "quarter", ("Q1", "Q2", "Q3", "Q4")),),
    ),
    ("quarter", (ByDate("opened", "month", ("01", "02", "03")),), ()),
    (10, (ByBand("age", (0, 15, 30), ("0 to 15", "15 to 30")),), (ByBand("age", (0, 20), ("0 to 20",)),)),
    (
        25,
        (ByBand("age", (0, 30, 60, 90, 120), ("a", "b", "c", "d")),),
        (ByBand("age", (0, 50, 100, 150), ("0 to 50", "50 to 100", "100 to 150")),),
    ),
]


@pytest.mark.parametrize(("grain", "groups", "nearest"), COARSER)
def test_what_is_cut_too_finely_is_coarsened_and_not_dropped(grain, groups, nearest):
    name = "opened" if isinstance(grain, str) else "age"
    plan = asking(groups=groups)
    decision = judge(plan, allowing(grain={name: grain}))
    assert decision.outcome is Outcome.TRIM
    assert decision.nearest.groups == nearest


def test_a_filter_off_the_grid_is_drawn_in_to_it():
    where = (Between(AGE, 18, 80), Between(OPENED, day("2020-02-02"), day("2020-12-30")))
    decision = judge(asking(where=where), allowing(grain={"age": 10, "opened": "quarter"}))
    drawn = (Between(AGE, 20, 79), Between(OPENED, day("2020-04-01"), day("2020-09-30")))
    assert decision.nearest == asking(where=drawn)
    assert judge(asking(where=(Between(AGE, 21, 27),)), allowing(grain={"age": 10})).nearest == asking()


# -- labels, rows, error, cells, dates -----------------------------------------------------------------------------


def test_a_grant_may_open_some_labels_alone():
    held = allowing(domains={"region": ("north", "east")})
    by = ByCategory("region", ("north", "east", UNKNOWN))
    assert judge(asking(groups=(by,)), held).allowed
    wider = judge(asking(groups=(ByCategory("region", ("north", "south")),)), held)
    assert items(wider) == {"values of region"}
    assert wider.nearest == asking(groups=(ByCategory("region", ("north",)),))
    filtered = judge(asking(where=(OneOf("region", ("north", "south")),)), held)
    assert items(filtered) == {"values of region"}
    assert filtered.nearest == asking(where=(OneOf("region", ("north",)),))
    assert judge(asking(where=(Not(OneOf("region", ("south",))),)), held).nearest == asking()


SCOPE = (OneOf("product", ("card",)), Between(AGE, 18, 80))


@pytest.mark.parametrize(
    ("where", "groups", "missing"),
    [
        (SCOPE, (), 0),
        ((), (), 2),
        ((SCOPE[0],), (), 1),
        ((OneOf("product", ("card",)), Between(AGE, 20, 30)), (), 0),
        ((OneOf("product", ("car", "card")), Between(AGE, 17, 80)), (), 2),
        ((Between(AGE, 18, 80),), (ByCategory("product", ("card",)),), 0),
        ((Between(AGE, 18, 80),), (ByCategory("product", ("card", UNKNOWN)),), 1),
        ((AnyOf(SCOPE),), (), 2),
        ((SCOPE[0],), (ByBand("age", (18, 50, 80), ("x", "y")),), 0),
        ((SCOPE[0],), (ByBand("age", (18, 50, 81), ("x", "y")),), 1),
    ],
)
def test_only_some_rows_may_be_open(where, groups, missing):
    decision = judge(asking(where=where, groups=groups), allowing(rows=SCOPE))
    assert len(decision.violations) == missing
    assert items(decision) <= {"rows"}
    if missing:
        assert judge(decision.nearest, allowing(rows=SCOPE)).allowed
        for test in where:  # what was asked is kept, or narrowed to the rows that are open
            assert test in decision.nearest.where or any(_alike(test, one) for one in decision.nearest.where)


def test_a_grant_may_say_how_exact_a_sum_is_at_most():
    """Against a second computation of the half-width, at the very price where it is reached."""
    plan = asking(measures=(Sum(BALANCE), CountRows()))
    sums = dict(zip((one.measure for one in calibrate(plan)), calibrate(plan), strict=True))
    half = {one: 1.96 * (3 * float(scale.sigma * scale.grain) ** 2) ** 0.5 for one, scale in sums.items()}
    exact, count = half[Sum(BALANCE)] * 10_500 / 10_500, half[CountRows()]
    for column, told in (("balance", exact), (ROWS, count)):
        assert judge(plan, allowing(finest={column: int(told)})).allowed
        decision = judge(plan, allowing(finest={column: int(told) + 1}))
        assert items(decision) == {"precision of counts" if column == ROWS else "precision of sums of balance"}
        nearest = decision.nearest
        assert nearest.measures == plan.measures
        assert 0.95 * plan.rho < nearest.rho < plan.rho
        assert judge(nearest, allowing(finest={column: int(told) + 1})).allowed


def test_neither_a_factor_nor_a_shift_makes_a_sum_look_less_exact():
    from privacy.expression import Constant

    plain = asking(measures=(Sum(BALANCE),))
    (scale,) = calibrate(plain)
    half = int(1.96 * (3 * float(scale.sigma * scale.grain) ** 2) ** 0.5) + 1
    held = allowing(finest={"balance": half})
    assert not judge(plain, held).allowed
    for term in (Times(BALANCE, Constant(1000)), Times(BALANCE, Constant(-1)), Added((BALANCE, Constant(-4750)))):
        assert not judge(asking(measures=(Sum(term),)), held).allowed


def test_an_answer_may_have_so_many_cells_at_most():
    groups = (ByCategory("region", ("north", "east", "south")), ByCategory("product", ("card", "car")))
    plan = asking(groups=groups)
    assert judge(plan, allowing(max_cells=6)).allowed
    decision = judge(plan, allowing(max_cells=5))
    assert items(decision) == {"cells"}
    assert decision.nearest == asking(groups=groups[:1])
    assert judge(plan, allowing(max_cells=2)).nearest == asking(groups=groups[1:])
    assert judge(plan, allowing(max_cells=0)).nearest is None


@pytest.mark.parametrize(("on", "allowed"), [(date(2025, 12, 31), False), (date(2026, 1, 1), True), (date(2026, 12, 31), True), (date(2027, 1, 1), False)])  # fmt: skip
def test_a_grant_is_in_force_from_a_day_until_without_another(on, allowed):
    decision = judge(asking(), allowing(valid=("2026-01-01", "2027-01-01")), on=on)
    assert decision.allowed == allowed
    assert items(decision) == (set() if allowed else {"date"})
    assert decision.nearest is None


def test_rows_that_are_not_open_leave_nothing():
    held = allowing(rows=(OneOf("region", ("north", "east")),))
    assert judge(asking(where=(OneOf("region", ("south",)),)), held).outcome is Outcome.REFUSE
    assert judge(asking(where=(Missing("region"),)), held).outcome is Outcome.REFUSE
    assert judge(asking(groups=(ByCategory("region", ("south",)),)), held).outcome is Outcome.REFUSE
    narrower = judge(asking(groups=(ByCategory("region", ("north", "south", UNKNOWN)),)), held).nearest
    assert narrower.groups == (ByCategory("region", ("north",)),)


# -- approval -------------------------------------------------------------------------------------------------------

APPROVAL = Approval(
    asker="lender",
    purpose=STATISTICS,
    plan_hash=None,
    atoms=frozenset({"rows as count", "region as group"}),
    rho=50_000_000,
    until=date(2026, 12, 31),
    persons=frozenset({"li", "wang"}),
)


@pytest.mark.parametrize(
    ("consent", "change", "allowed"),
    [
        (Consent(), None, True),
        (Consent(Manner.STANDING, 1, 90), None, False),
        (Consent(Manner.STANDING, 1, 90), {}, True),
        (Consent(Manner.STANDING, 2, 90), {}, True),
        (Consent(Manner.STANDING, 2, 90), {"persons": frozenset({"li"})}, False),
        (Consent(Manner.STANDING, 1, 90), {"asker": "other"}, False),
        (Consent(Manner.STANDING, 1, 90), {"rho": 49_999_999}, False),
        (Consent(Manner.STANDING, 1, 90), {"atoms": frozenset({"rows as count"})}, False),
        (Consent(Manner.STANDING, 1, 90), {"until": date(2026, 11, 21)}, False),
        (Consent(Manner.STANDING, 1, 90), {"plan_hash": "this"}, True),
        (Consent(Manner.ONCE, 1, 90), {}, False),
        (Consent(Manner.ONCE, 1, 90), {"plan_hash": "this"}, True),
        (Consent(Manner.ONCE, 1, 90), {"plan_hash": "0" * 64}, False),
    ],
)
def test_a_request_waits_for_persons_only_where_a_grant_says_so(consent, change, allowed):
    plan = asking(groups=(ByCategory("region", ("north",)),))
    change = (
        {name: plan.hash if value == "this" else value for name, value in (change or {}).items()}
        if change is not None
        else None
    )
    approvals = () if change is None else (replace(APPROVAL, **change),)
    decision = judge(plan, allowing(consent=consent), approvals=approvals)
    assert decision.allowed == allowed
    assert decision.outcome is (Outcome.ALLOW if allowed else Outcome.ESCALATE)
    assert items(decision) == (set() if allowed else {"approval"})
    assert judge(plan, allowing(consent=consent), approvals=None).allowed  # left to those who know of approvals


def test_what_is_left_after_trimming_still_waits_for_a_person():
    held = allowing(consent=Consent(Manner.ONCE, 1, 9), columns={ROWS: ("count",)})
    decision = judge(asking(groups=(ByCategory("region", ("north",)),)), held)
    assert items(decision) == {"approval", "region as group"}
    assert decision.outcome is Outcome.TRIM
    assert decision.nearest == asking()
    assert judge(decision.nearest, held).outcome is Outcome.ESCALATE


def test_every_offence_is_named_at_once_in_every_dimension():
    grant = replace(
        FULL.grants[0],
        recipients=(ANYBODY,),
        columns={
            name: tuple(use for use in uses if use != "histogram") for name, uses in FULL.grants[0].columns.items()
        },
        finest={ROWS: 10**6, "balance": 10**9},
        max_cells=1,
        rho_per_query=10,
        valid=("2027-01-01", "2028-01-01"),
        consent=Consent(Manner.ONCE, 1, 9),
    )
    policy = replace(FULL, grants=(grant,))
    plan = asking(
        where=(Between(OPENED, 18_001, None), OneOf("region", ("south",))),
        groups=(
            ByDate("opened", "weekday", ("1", "2")),
            ByCase(((Between(AGE, 21, None), "x"),)),
            ByCategory("grade", ("a", "b")),
        ),
        measures=(CountRows(), Sum(BALANCE), Sum(INCOME), Histogram(ByBand("age", (0, 120), ("all",)))),
        parties=("bank-a", "bank-b"),
        shared=0,
    )
    decision = judge(plan, policy, keeps=999)
    assert items(decision) == {
        "grain of opened", "grain of age", "values of region", "rows", "precision", "precision of counts",
        "precision of sums of balance", "cells", "retention", "date", "approval", "income as sum", "age as histogram",
        "parties", "noise",
    }  # fmt: skip
    assert sum(violation.item == "rows" for violation in decision.violations) == 2
    assert sum(violation.item == "retention" for violation in decision.violations) == 2  # the purpose's and the owner's


# -- documents -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(rich_policies())
def test_a_rich_policy_survives_its_canonical_form(policy):
    told = Policy.from_json(canonical.decode(canonical.encode(policy.to_json())))
    assert told == policy
    assert told.digest == policy.digest


FULL = replace(
    EVERYTHING,
    grants=(
        replace(
            EVERYTHING.grants[0],
            recipients=("lender", "role:regulator"),
            grain={"opened": "month", "age": 10},
            domains={"region": ("north",)},
            rows=SCOPE,
            finest={ROWS: 5, "balance": 100},
            max_cells=40,
            keeps=30,
            valid=("2026-01-01", "2027-01-01"),
            consent=Consent(Manner.STANDING, 2, 90),
        ),
    ),
    prohibitions=(Prohibition(column="income", recipient="role:lender"),),
)


def test_a_field_that_says_nothing_is_left_out():
    assert set(FULL.grants[0].to_json()) - set(EVERYTHING.grants[0].to_json()) == {
        "grain", "domains", "rows", "finest", "max_cells", "keeps", "valid", "consent",
    }  # fmt: skip
    document = EVERYTHING.to_json()
    assert "prohibitions" not in document
    for spoken in (
        {"grain": {}},
        {"rows": []},
        {"max_cells": None},
        {"consent": {"manner": "automatic", "persons": 0, "days": 0}},
    ):
        with pytest.raises(Malformed):
            Policy.from_json({**document, "grants": [{**document["grants"][0], **spoken}]})


@settings(max_examples=300, deadline=None)
@given(mutations(FULL.to_json()))
def test_a_changed_rich_policy_is_another_policy_or_malformed(document):
    try:
        policy = Policy.from_json(document)
    except Malformed:
        return
    assert policy.to_json() == document
    assert judge(asking(), policy).outcome in Outcome


HOSTILE = {
    "grain": [None, [], {"age": 0}, {"age": -1}, {"age": 1.0}, {"age": True}, {"opened": "week"}, {"opened": None}],
    "domains": [None, [], {"region": "north"}, {"region": [1]}],
    "rows": [None, {}, ["x"], [{"one_of": [], "column": "product"}], [{"missing": "Product"}]],
    "finest": [None, [], {"balance": -1}, {"balance": 1.5}, {"balance": True}],
    "max_cells": ["1", 1.0, True, -1],
    "keeps": ["1", 1.0, True, -1, 36_601],
    "valid": [[], ["2026-01-01"], ["2026-01-01", "2026-01-01"], ["2027-01-01", "2026-01-01"], ["2026-01-01", "someday"], ["20260101", "2027-01-01"], ["2026-01-01", None]],
    "consent": [{}, [], "once", {"manner": "once", "persons": 0, "days": 1}, {"manner": "never", "persons": 1, "days": 1}, {"manner": "once", "persons": True, "days": 1}],
    "recipients": [["role:"], ["role:officer"], ["role:*"]],
}  # fmt: skip


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in HOSTILE.items() for value in values])
def test_hostile_grants_are_malformed(field, value):
    document = FULL.to_json()
    with pytest.raises(Malformed):
        Policy.from_json({**document, "grants": [{**document["grants"][0], field: value}]})


@pytest.mark.parametrize(
    "value",
    [None, {}, [{}], ["x"], [{"purpose": "*"}], [{"purpose": "marketing", "column": "*", "use": "*", "recipient": "*"}],
     [{"purpose": "*", "column": "A b", "use": "*", "recipient": "*"}], [{"purpose": "*", "column": "*", "use": "read", "recipient": "*"}],
     [{"purpose": "*", "column": "*", "use": "*", "recipient": "role:king"}], [{"purpose": "*", "column": "*", "use": "*", "recipient": 5}]],
)  # fmt: skip
def test_hostile_prohibitions_are_malformed(value):
    with pytest.raises(Malformed):
        Policy.from_json({**FULL.to_json(), "prohibitions": value})


def test_grants_of_one_purpose_have_one_budget_and_are_not_twice_the_same():
    grant = FULL.grants[0]
    other = replace(grant, recipients=("other",))
    assert Policy.from_json(replace(FULL, grants=(grant, other)).to_json()).caps == FULL.caps
    with pytest.raises(Malformed):
        Policy.from_json(replace(FULL, grants=(grant, replace(other, budget=grant.budget - 1))).to_json())
    with pytest.raises(Malformed):
        Policy.from_json(replace(FULL, grants=(grant, grant)).to_json())


def test_rows_are_opened_only_by_columns_that_may_be_filtered_on():
    grant = replace(FULL.grants[0], columns={ROWS: ("count",), "product": ("filter",)})
    with pytest.raises(Malformed):
        Policy.from_json(replace(FULL, grants=(grant,)).to_json())


@given(wild)
def test_nothing_else_is_a_rich_policy(document):
    with pytest.raises(Malformed):
        Policy.from_json(document)


def test_a_count_of_people_has_the_error_of_a_count():
    plan = asking(measures=(CountUnits(),))
    assert items(judge(plan, allowing(finest={ROWS: 10**6}))) == {"precision of counts"}
    assert set(map(str, atoms(plan))) == {str(Atom(ROWS, "count"))}
