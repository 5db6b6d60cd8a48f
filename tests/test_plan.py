"""The plan: one question, one hash; strangers' documents are the canonical spelling or malformed."""

import itertools
from dataclasses import replace
from datetime import date, timedelta
from time import process_time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import (
    COLUMNS,
    DATES,
    MEASURES,
    STANDARD,
    computed_by,
    conditions,
    mutations,
    plans,
    standards,
    terms,
    wild,
)  # fmt: skip

from privacy import canonical, expression
from privacy.errors import Malformed
from privacy.expression import (
    MAX_DEPTH,
    PARTS,
    Added,
    AllOf,
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
    date_code,
    date_label,
    summed,
    values,
)
from privacy.plan import (
    MAX_CELLS,
    MAX_FILTERS,
    MAX_SIZE,
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Plan,
    Sum,
    split_evenly,
    width,
)
from privacy.terms import NANO, UNKNOWN, Bounds, Column, Kind, Standard

AGES = ByBand("age", (0, 18, 65, 120), ("minor", "adult", "old"))
BALANCE, AGE, INCOME = Value("balance"), Value("age"), Value("income")
PLAN = Plan(
    standard=STANDARD.id,
    standard_digest=STANDARD.digest,
    purpose="credit-risk-statistics",
    parties=("bank-b", "bank-a", "insurer-c"),
    rows_per_unit=3,
    institutions_per_unit=2,
    groups=(ByCategory("region", ("north", "east")), ByCategory("grade", ("b", "a"))),
    where=(OneOf("product", ("car", "card")), Between(AGE, 18, 80)),
    measures=(Sum(BALANCE), CountRows(), CountValid("age"), Sum(Times(INCOME, BALANCE)), Histogram(AGES)),
    rho=50_000_000,
    bounds=(("balance", Bounds(0, 500)), ("age", Bounds(0, 120)), ("income", Bounds(0, 99))),
    prices=(10_000_000, 9_000_000, 11_000_000, 12_000_000, 8_000_000),
)


@given(plans())
def test_a_plan_survives_its_canonical_form(plan):
    told = Plan.from_json(canonical.decode(canonical.encode(plan.to_json())))
    assert told == plan
    assert told.hash == plan.hash


def turned(item, shuffled):
    """The same item, with everything that has no order in another one."""
    match item:
        case Sum(inner) | CountPresent(inner) | Not(inner):
            return type(item)(turned(inner, shuffled))
        case Added(parts) | AllOf(parts) | AnyOf(parts):
            return type(item)(shuffled([turned(part, shuffled) for part in parts]))
        case Choice(cases, otherwise):
            branches = tuple((turned(test, shuffled), turned(part, shuffled)) for test, part in cases)
            return Choice(branches, turned(otherwise, shuffled))
        case ByCase(cases, otherwise):
            return ByCase(tuple((turned(test, shuffled), label) for test, label in cases), otherwise)
        case Times(left, right):
            return Times(*shuffled([turned(left, shuffled), turned(right, shuffled)]))
        case Between(term, lower, upper):
            return Between(turned(term, shuffled), lower, upper)
        case OneOf(column, listed):
            return OneOf(column, shuffled(listed))
        case _:
            return item


@given(plans(), st.data())
def test_the_order_in_which_a_question_is_put_changes_nothing(plan, data):
    def shuffled(items):
        return tuple(data.draw(st.permutations(items)))

    pairs = shuffled(list(zip(plan.measures, plan.prices, strict=True)))
    other = replace(
        plan,
        parties=shuffled(plan.parties),
        groups=shuffled([turned(by, shuffled) for by in plan.groups]),
        where=shuffled([turned(test, shuffled) for test in plan.where]),
        measures=tuple(turned(measure, shuffled) for measure, _ in pairs),
        prices=tuple(price for _, price in pairs),
        bounds=shuffled(plan.bounds),
    )
    assert other == plan
    assert other.hash == plan.hash


@given(plans(), plans())
def test_other_questions_have_other_hashes(one, other):
    assert (one == other) == (one.hash == other.hash)


@given(st.lists(st.sampled_from([BALANCE, AGE, INCOME, Constant(3)]), min_size=3, max_size=5), st.data())
def test_sums_and_products_are_the_same_however_they_are_nested(parts, data):
    def nested(items, join):
        if len(items) == 1:
            return items[0]
        cut = data.draw(st.integers(1, len(items) - 1))
        return join(nested(items[:cut], join), nested(items[cut:], join))

    for join in (lambda one, other: Added((one, other)), Times):
        first, second = (nested(data.draw(st.permutations(parts)), join) for _ in range(2))
        assert first == second
        assert Sum(first).key == Sum(second).key


def test_conditions_are_the_same_however_they_are_nested():
    one, two, three = Missing("age"), OneOf("region", ("north",)), Between(AGE, 1, 2)
    for junction, other in ((AllOf, AnyOf), (AnyOf, AllOf)):
        flat = junction((one, two, three))
        assert junction((three, junction((two, one)))) == junction((junction((three, one)), two)) == flat
        assert junction((other((one, two)), three)) != flat
    assert AllOf((one, two)) != AnyOf((one, two))


def test_tests_that_must_all_be_true_stand_once_and_apart():
    one, two, three = Missing("age"), OneOf("region", ("north",)), Between(AGE, 1, 2)
    apart = replace(PLAN, where=(one, two, three))
    for where in (
        (AllOf((one, two)), three),
        (AllOf((AllOf((two, three)), one)),),
        (one, one, three, two, AllOf((one, two))),
    ):
        assert replace(PLAN, where=where) == apart
        assert replace(PLAN, where=where).hash == apart.hash
    assert replace(PLAN, where=(AnyOf((one, two)), three)) != apart


@settings(max_examples=300)
@given(
    st.lists(terms(2), min_size=2, max_size=6, unique=True),
    st.lists(conditions(2), min_size=2, max_size=6, unique=True),
)
def test_every_expression_has_its_own_name(told, tests):
    assert len({str(term) for term in told}) == len(told)
    assert len({str(test) for test in tests}) == len(tests)


def test_twins_have_names_of_their_own():
    """Expressions of the same parts: what joins them, how deep, in which order of cases, with which ends."""
    one, two = Missing("age"), OneOf("region", ("north",))
    twins = [
        AllOf((one, two)),
        AnyOf((one, two)),
        Not(AllOf((one, two))),
        AllOf((Not(one), two)),
        AllOf((one, Not(two))),
    ]
    twins += [Between(AGE, 1, 2), Between(AGE, 1), Between(AGE, None, 2), Between(AGE, None, 1), Between(AGE, 2)]
    twins += [
        OneOf("region", ("a", "b")),
        OneOf("region", ("a, b",)),
        OneOf("region", ("a', 'b",)),
        OneOf("region", ("a','b",)),
    ]
    twins += [Not(Not(one)), Not(one), one]
    assert len({str(test) for test in twins}) == len(set(twins)) == len(twins)
    told = [
        Added((AGE, BALANCE)),
        Times(AGE, BALANCE),
        Added((AGE, Constant(1))),
        Added((AGE, Constant(-1))),
        Times(AGE, Constant(-1)),
    ]
    told += [Constant(1), Constant(10, 1), Constant(100, 2), Constant(0), Constant(0, 2), Constant(-1), Constant(1, 18)]
    told += [
        Times(Added((AGE, BALANCE)), INCOME),
        Added((Times(AGE, INCOME), BALANCE)),
        Added((AGE, Times(BALANCE, INCOME))),
    ]
    told += [Choice(((one, AGE), (two, BALANCE))), Choice(((two, BALANCE), (one, AGE))), Choice(((one, AGE),), BALANCE)]
    told += [
        Choice(((one, AGE),)),
        Choice(((one, AGE),), Constant(0)),
        Choice(((one, Choice(((two, AGE),), BALANCE)),)),
    ]
    told += [Choice(((one, Choice(((two, AGE),))),), BALANCE)]
    assert len({str(term) for term in told}) == len(set(told)) == len(told)


@given(st.lists(terms(1), min_size=1, max_size=3), st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=3))
def test_every_measure_has_its_own_name_but_for_counts_of_a_column(told, columns):
    held = {CountRows(), CountUnits(), Histogram(AGES), Histogram(ByBand("age", (0, 18, 64, 120), AGES.labels))}
    held |= {made(term) for term in told for made in (Sum, CountPresent)}
    held |= {made(column) for column in columns for made in (CountFilled, CountValid)}
    assert len({measure.key for measure in held}) == len(held)
    # one name for the count of a column: known values of a category, present values of a measure, never both in one plan
    assert CountKnown("age").key == CountPresent(AGE).key
    with pytest.raises(Malformed, match="measure twice"):
        replace(PLAN, measures=(CountKnown("age"), CountPresent(AGE)), prices=(), bounds=(("age", Bounds(0, 9)),))


OTHERS = {
    "standard": "credit/2",
    "standard_digest": "0" * 64,
    "purpose": "pledge-valuation",
    "parties": ("bank-a", "bank-b"),
    "rows_per_unit": 4,
    "institutions_per_unit": 1,
    "groups": (ByCategory("region", ("east", "north")), ByCategory("grade", ("b", "a"))),
    "where": (OneOf("product", ("car",)), Between(AGE, 18, 80)),
    "measures": (Sum(BALANCE), CountRows(), CountValid("age"), Sum(Times(INCOME, INCOME)), Histogram(AGES)),
    "bounds": (("balance", Bounds(0, 501)), ("age", Bounds(0, 120)), ("income", Bounds(0, 99))),
    "rho": 50_000_001,
    "prices": (9_000_000, 10_000_000, 11_000_000, 12_000_000, 8_000_000),
    "shared": 0,
}


@pytest.mark.parametrize("field", OTHERS)
def test_every_field_enters_the_hash(field):
    assert set(OTHERS) == set(PLAN.to_json())
    change = {field: OTHERS[field]}
    if field == "rho":
        change["prices"] = (*PLAN.prices[:4], PLAN.prices[4] + 1)
    assert replace(PLAN, **change).hash != PLAN.hash


def test_cells_come_by_measure_then_by_group_then_by_band():
    found = [(measure.key, labels, slot) for measure, labels, slot in PLAN.cells()]
    bands = Histogram(AGES).key
    keys = ["count(*)", bands, "sum(balance * income)", "sum(balance)", "valid(age)"]
    groups = [("b", "north"), ("b", "east"), ("a", "north"), ("a", "east")]
    slots = {bands: range(3)}
    expected = [(key, *cell) for key in keys for cell in itertools.product(groups, slots.get(key, [0]))]
    assert found == expected
    assert PLAN.columns == ("age", "balance", "grade", "income", "product", "region")


@given(plans())
def test_the_number_of_cells_is_counted_without_listing_them(plan):
    cells = list(plan.cells())
    assert len(cells) == plan.cells_count == plan.groups_count * sum(map(width, plan.measures))
    assert len(set(cells)) == len(cells)


@given(plans())
def test_every_cell_is_found_where_it_stands_and_no_other_is(plan):
    for place, (measure, labels, slot) in enumerate(plan.cells()):
        assert plan.place(measure.key, labels, slot) == place
        for key, group, band in (
            ("sum(nothing)", labels, slot),
            (measure.key, (*labels, "north"), slot),
            (measure.key, labels[:-1] if labels else ("north",), slot),
            (measure.key, ("nowhere", *labels[1:]) if labels else ("nowhere",), slot),
            (measure.key, labels, width(measure)),
            (measure.key, labels, -1),
        ):
            with pytest.raises(KeyError):
                plan.place(key, group, band)


@given(plans())
def test_the_cells_of_each_measure_stand_together(plan):
    cells = list(plan.cells())
    for measure in plan.measures:
        assert list(plan.places(measure.key)) == [place for place, (held, _, _) in enumerate(cells) if held == measure]
    with pytest.raises(KeyError):
        plan.places("sum(nothing)")


@given(plans())
def test_the_columns_of_a_plan_are_all_that_its_document_names(plan):
    bounded = {"value", "band", "date"}

    def named(document, fields):
        if isinstance(document, dict):
            yield from (document[field] for field in fields & document.keys())
        if isinstance(document, dict | list):
            for inner in document.values() if isinstance(document, dict) else document:
                yield from named(inner, fields)

    told = plan.to_json()
    assert set(plan.columns) == set(
        named(told, bounded | {"column", "missing", "category", "known", "filled", "valid"})
    )
    assert set(plan.clipped) == set(told["bounds"]) == set(named(told, bounded))


# -- prices ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 100 * NANO), st.integers(1, 50))
def test_an_even_split_gives_everything_away_in_parts_that_differ_by_one(rho, count):
    parts = split_evenly(rho, count)
    assert (len(parts), sum(parts)) == (count, rho)
    assert max(parts) - min(parts) <= 1


@given(plans(), st.integers(1, 200_000_000))
def test_another_price_is_split_as_before_and_never_exceeded(plan, rho):
    try:
        cheaper = plan.priced(rho)
    except Malformed:
        assert min(price * rho // plan.rho for price in plan.prices) < (1 if plan.shared is None else 2)
        return
    assert rho - len(plan.measures) < cheaper.rho == sum(cheaper.prices) <= rho
    assert cheaper.prices == tuple(price * rho // plan.rho for price in plan.prices)
    assert replace(cheaper, rho=plan.rho, prices=plan.prices) == plan


@pytest.mark.parametrize(
    "prices",
    [
        (*PLAN.prices[:-1], PLAN.prices[-1] + 1),
        (*PLAN.prices[:-1], PLAN.prices[-1] - 1),
        (1,) * 4,
        (1,) * 6,
        (10_000_000,) * 4 + (9_999_999,),
        (0, *PLAN.prices[1:-1], 20_000_000),
        (-1, 0, 0, 0, 50_000_001),
    ],
    ids=str,
)
def test_prices_that_do_not_add_up_are_malformed(prices):
    with pytest.raises(Malformed):
        replace(PLAN, prices=prices)
    with pytest.raises(Malformed):
        Plan.from_json({**PLAN.to_json(), "prices": list(prices)})


def test_a_price_goes_with_its_measure():
    held = dict(zip(PLAN.measures, PLAN.prices, strict=True))
    assert held[CountRows()] == 9_000_000
    assert held[Sum(BALANCE)] == 10_000_000
    with pytest.raises(Malformed):
        Plan.from_json({**PLAN.to_json(), "prices": []})


# -- what expressions say ----------------------------------------------------------------------------------------------


def test_a_column_counts_as_multiplied_only_with_another_column():
    uses = {
        Times(BALANCE, Constant(2)): {("balance", "sum")},
        Times(BALANCE, BALANCE): {("balance", "product")},
        Times(Added((BALANCE, Constant(1))), AGE): {("balance", "product"), ("age", "product")},
        Added((Times(BALANCE, AGE), INCOME)): {("balance", "product"), ("age", "product"), ("income", "sum")},
        Choice(((Between(AGE, 1, 2), BALANCE),)): {("balance", "sum")},
        Times(Choice(((Missing("age"), Constant(1)),)), BALANCE): {("balance", "sum")},
        Times(Choice(((Missing("age"), INCOME),)), BALANCE): {("income", "product"), ("balance", "product")},
        Constant(5): set(),
    }
    for term, expected in uses.items():
        assert set(summed(term)) == expected


def test_decimals_add_up_in_products_and_must_be_the_same_in_sums_and_cases():
    of = {"balance": 2, "income": 2, "age": 0}
    told = {
        Constant(150, 2): 2,
        Added((BALANCE, INCOME, Constant(1, 2))): 2,
        Times(BALANCE, INCOME): 4,
        Times(Times(BALANCE, AGE), Constant(5, 1)): 3,
        Choice(((Missing("age"), BALANCE),), Constant(0, 2)): 2,
        Choice(((Missing("balance"), AGE),)): 0,
    }
    assert {term: expression.decimals(term, of) for term in told} == told
    for term in (
        Added((BALANCE, AGE)),
        Choice(((Missing("age"), BALANCE),), Constant(0)),
        Times(AGE, Added((BALANCE, Constant(1)))),
    ):
        with pytest.raises(Malformed, match="decimals"):
            expression.decimals(term, of)


def test_what_decides_a_case_counts_as_tested_at_any_depth():
    deep = Choice(((Between(Choice(((OneOf("grade", ("a",)), INCOME),)), 1, None), BALANCE),), Times(AGE, Constant(2)))
    assert expression.tested(deep) == {"grade", "income"}
    assert values(deep) == {"income", "balance", "age"}
    assert expression.tested(Not(AnyOf((Missing("region"), Between(Added((AGE, BALANCE)), 0, 9))))) == {
        "region",
        "age",
        "balance",
    }


@given(st.sampled_from(PARTS), st.integers(18_000, 20_000))
def test_a_date_label_and_its_code_say_the_same(part, day):
    on = date(1970, 1, 1) + timedelta(days=day)
    quarter = (on.month - 1) // 3
    codes = {"year": on.year, "quarter": quarter + 1, "month": on.month, "weekday": on.isoweekday()}
    codes |= {"year-quarter": 4 * on.year + quarter, "year-month": 12 * on.year + on.month - 1}
    label = date_label(part, codes[part])
    assert date_code(part, label) == codes[part]


@pytest.mark.parametrize(
    "year", ["\uff12\uff10\uff12\uff14", "\u0662\u0660\u0662\u0664", "02024", "2024 ", " 2024", "2024\n", "+202", "24"]
)
@pytest.mark.parametrize("spelling", ["{}", "{}-Q2", "{}-03"])
def test_a_date_has_one_spelling(year, spelling):
    """Two labels of one code would put a row into two cells, and a person twice as far."""
    part = {"{}": "year", "{}-Q2": "year-quarter", "{}-03": "year-month"}[spelling]
    good, bad = spelling.format("2024"), spelling.format(year)
    assert date_code(part, good)
    with pytest.raises(Malformed):
        date_code(part, bad)
    plan = replace(
        PLAN,
        where=(),
        measures=(CountRows(),),
        prices=(),
        groups=(ByDate("opened", part, (good,)),),
        bounds=tuple(DATES.items()),
    )
    with pytest.raises(Malformed):
        replace(plan, groups=(ByDate("opened", part, (good, bad)),))


# -- limits ------------------------------------------------------------------------------------------------------------


def counting(**change):
    told = {"groups": (), "where": (), "measures": (CountRows(),), "prices": (), "bounds": ()}
    return replace(PLAN, **(told | change))


def nested_term(levels):
    return BALANCE if levels == 1 else Choice(((Missing("age"), nested_term(levels - 1)),))


def test_expressions_nest_as_deep_as_told_and_their_plan_still_has_a_hash():
    balance = (("balance", Bounds(0, 9)),)
    plan = counting(measures=(Sum(nested_term(MAX_DEPTH)),), bounds=balance)
    assert (
        Plan.from_json(canonical.decode(canonical.encode({"release": {"plan": plan.to_json()}}))["release"]["plan"])
        == plan
    )
    for deeper in (
        {"measures": (Sum(nested_term(MAX_DEPTH + 1)),)},
        {"where": (Between(nested_term(MAX_DEPTH), 0, 1),)},
    ):
        with pytest.raises(Malformed, match="language"):
            counting(bounds=balance, **deeper)


def test_a_plan_does_not_outgrow_what_a_statement_can_hold():
    values_of_one = tuple(f"v{index}" for index in range(999))
    lists = [OneOf(f"c{index}", values_of_one) for index in range(MAX_SIZE // 1000)]
    assert counting(where=tuple(lists)).where
    with pytest.raises(Malformed, match="longer"):
        counting(where=(*lists, Missing("age")))
    with pytest.raises(Malformed, match="longer"):
        counting(where=(AnyOf((*lists, Missing("age"))),))
    several = [Missing(f"c{index}") for index in range(MAX_FILTERS + 1)]
    assert counting(where=tuple(several[1:]))
    with pytest.raises(Malformed, match="50 tests"):
        counting(where=tuple(several))


def test_a_document_that_is_too_long_is_refused_before_anything_is_made_of_it():
    """Sums in sums in sums: each level would be sorted by all that it holds."""

    def sums(width, levels):
        return {"value": "balance"} if levels == 0 else {"add": [sums(width, levels - 1)] * width}

    started = process_time()
    with pytest.raises(Malformed, match="longer"):
        Plan.from_json({**PLAN.to_json(), "measures": [{"sum": sums(1000, 2)}]})
    assert process_time() - started < 1
    # a product of many factors is made once, whatever their nesting
    factors = Constant(1)
    for _ in range(MAX_DEPTH - 1):
        factors = Times(factors, factors)
    assert str(factors).count("*") == 2 ** (MAX_DEPTH - 1) - 1


@pytest.mark.parametrize("items", [MAX_SIZE - 10])
def test_the_longest_plan_is_read(items):
    """Whatever it consists of: no item takes more values of JSON than are allowed for it."""
    kinds = (
        lambda number: Between(Value("age"), number, number + 1),
        lambda number: Between(Constant(number, 3), number, None),
        lambda number: Not(Missing(f"c{number}")),
        lambda number: OneOf(f"c{number}", ("x",)),
    )
    for kind in kinds:
        each = expression.size(kind(0))
        parts = [kind(number) for number in range(items // each)]
        joined = [AnyOf(tuple(parts[start : start + 900])) for start in range(0, len(parts), 900)]
        plan = counting(
            where=tuple(joined), bounds=(("age", Bounds(0, 9)),) if each == 2 and "age" in str(parts[0]) else ()
        )
        assert Plan.from_json(plan.to_json()) == plan


WRONG = {
    "sum of one": {"measures": (Sum(Added((AGE,))),)},
    "case without a case": {"measures": (Sum(Choice(())),)},
    "constant of 2^62": {"measures": (Sum(Constant(1 << 62)),)},
    "constant of many decimals": {"measures": (Sum(Constant(1, 19)),)},
    "constant that is true": {"measures": (Sum(Constant(True)),)},
    "constant that is a float": {"measures": (Sum(Constant(1.5)),)},
    "interval without ends": {"where": (Between(AGE),)},
    "interval to 2^62": {"where": (Between(AGE, 0, 1 << 62),)},
    "no value": {"where": (OneOf("region", ()),)},
    "value twice": {"where": (OneOf("region", ("a", "a")),)},
    "all of one": {"where": (Not(AllOf((Missing("age"),))),)},
    "band without labels": {"groups": (ByBand("age", (0,), ()),)},
    "band of unknown values alone": {"groups": (ByBand("age", (0,), (UNKNOWN,)),)},
    "bands that fall": {"groups": (ByBand("age", (0, 5, 5), ("a", "b")),)},
    "bands beside their edges": {"groups": (ByBand("age", (0, 5), ("a", "b")),)},
    "band to 2^62": {"groups": (ByBand("age", (0, 1 << 62), ("a",)),)},
    "unknown values first": {"groups": (ByCategory("region", (UNKNOWN, "north")),)},
    "unknown values alone": {"groups": (ByCategory("region", (UNKNOWN,)),)},
    "label twice": {"groups": (ByCategory("region", ("north", "north")),)},
    "empty label": {"groups": (ByCategory("region", ("",)),)},
    "case that is unknown": {"groups": (ByCase(((Missing("age"), UNKNOWN),)),)},
    "part that dates lack": {"groups": (ByDate("opened", "week", ("1",)),)},
    "month without its zero": {"groups": (ByDate("opened", "month", ("3",)),)},
    "weekday 8": {"groups": (ByDate("opened", "weekday", ("8",)),)},
    "histogram of a band that falls": {"measures": (Histogram(ByBand("age", (5, 0), ("a",))),)},
    "group twice": {"groups": (ByCategory("region", ("north",)), ByCategory("region", ("north",)))},
}  # fmt: skip


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_what_the_language_does_not_have_is_no_plan(change):
    needed = computed_by(*(change.get(field, ()) for field in ("where", "groups", "measures")))
    with pytest.raises(Malformed) as told:
        counting(bounds=tuple((column, Bounds(0, 9)) for column in needed), **change)
    assert "bounds" not in told.value.reason


def test_all_values_of_a_domain_and_the_unknown_are_labels_and_no_more():
    """A list has 1,000 items at most; a label for all other rows comes on top."""
    domain = tuple(f"v{index}" for index in range(1_000))
    for labels in (domain, (*domain, UNKNOWN)):
        assert counting(groups=(ByCategory("region", labels),)).groups_count == len(labels)
    cases = tuple((Missing("age"), label) for label in domain)
    assert counting(groups=(ByCase(cases, UNKNOWN),)).groups_count == 1_001
    for by in (
        ByCategory("region", (*domain, "one more")),
        ByCategory("region", (*domain, "one more", UNKNOWN)),
        ByCategory("region", (*domain[:5], UNKNOWN, UNKNOWN)),
        ByCase(cases, "one more"),
    ):
        with pytest.raises(Malformed, match="language"):
            counting(groups=(by,))


def test_bounds_are_for_the_columns_that_are_computed_with_and_no_others():
    for bounds in (PLAN.bounds[1:], (*PLAN.bounds, ("region", Bounds(0, 1))), (*PLAN.bounds, PLAN.bounds[0])):
        with pytest.raises(Malformed, match="bounds"):
            replace(PLAN, bounds=bounds)


@pytest.mark.parametrize(
    "term",
    [
        Times(Times(BALANCE, BALANCE), BALANCE),
        Added((Times(BALANCE, BALANCE), Times(BALANCE, BALANCE))),
        Added((Times(BALANCE, BALANCE), Times(Times(BALANCE, BALANCE), Constant(-1)))),
        Choice(((Between(Times(Times(BALANCE, BALANCE), BALANCE), 0, 1), Constant(1)),)),
    ],
    ids=str,
)
def test_nothing_on_the_way_to_a_cell_may_need_more_than_62_bits(term):
    """Bounds of 31 bits and a half: one product fits, two of them do not, not even if their difference would."""
    fits = counting(measures=(Sum(Times(BALANCE, BALANCE)),), bounds=(("balance", Bounds(-1, 2**31 - 1)),))
    assert fits.measures
    with pytest.raises(Malformed, match="62 bits"):
        counting(measures=(Sum(term),), bounds=fits.bounds)
    with pytest.raises(Malformed, match="62 bits"):
        counting(where=(Between(term, 0, 1),), bounds=fits.bounds)
    with pytest.raises(Malformed, match="62 bits"):
        counting(groups=(ByCase(((Between(term, 0, 1), "x"),)),), bounds=fits.bounds)


# -- documents from strangers ------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(mutations(PLAN.to_json()))
def test_a_changed_document_is_another_canonical_plan_or_malformed(document):
    try:
        plan = Plan.from_json(document)
    except Malformed:
        return
    assert plan.to_json() == document
    if repr(document) == repr(PLAN.to_json()):
        return
    assert plan != PLAN


@given(wild)
def test_nothing_else_is_a_plan(document):
    with pytest.raises(Malformed):
        Plan.from_json(document)


@pytest.mark.parametrize("field", PLAN.to_json())
def test_every_field_must_be_there_and_of_its_type(field):
    document = PLAN.to_json()
    with pytest.raises(Malformed):
        Plan.from_json({key: value for key, value in document.items() if key != field})
    for other in (None, True, 1.0, "", [], {}, [[]], "a" * 201, -1, [1], [{}], [None], [True], float("nan"), 10**400):
        if field == "shared" and other is None:
            continue  # standalone noise: the one field that may be null
        with pytest.raises(Malformed):
            Plan.from_json({**document, field: other if other != [] else [[]]})


@pytest.mark.parametrize("field", ["parties", "groups", "where", "measures"])
def test_lists_must_stand_in_canonical_order(field):
    document = PLAN.to_json()
    with pytest.raises(Malformed, match="canonical"):
        Plan.from_json({**document, field: document[field][::-1]})


def _with(path, value):
    document = canonical.decode(canonical.encode(PLAN.to_json()))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


HOSTILE = {
    "extra field": (("note",), "x"),
    "extra field of a group": (("groups", 0, "note"), "x"),
    "extra field of a measure": (("measures", 0, "note"), "x"),
    "extra field of a term": (("measures", 3, "sum", "note"), "x"),
    "extra field of a test": (("where", 0, "note"), "x"),
    "two measures in one": (("measures", 0), {"count": "rows", "valid": "age"}),
    "two tests in one": (("where", 1), {"column": "product", "one_of": ["car"], "between": [0, 1]}),
    "two terms in one": (("measures", 3, "sum"), {"value": "balance", "constant": 1, "decimals": 0}),
    "values of a test out of order": (("where", 1, "one_of"), ["card", "car"]),
    "value twice": (("where", 1, "one_of"), ["car", "car"]),
    "no value": (("where", 1, "one_of"), []),
    "value that is a number": (("where", 1, "one_of"), [1]),
    "values as text": (("where", 1, "one_of"), "ca"),
    "float end": (("where", 0, "between"), [18.0, 80]),
    "boolean end": (("where", 0, "between"), [False, True]),
    "no end": (("where", 0, "between"), [None, None]),
    "three ends": (("where", 0, "between"), [18, 80, 81]),
    "end of 2^62": (("where", 0, "between"), [0, 1 << 62]),
    "test of nothing": (("where", 0, "term"), None),
    "test of a column's name": (("where", 0, "term"), "age"),
    "unknown test": (("where", 0), {"like": "a%", "column": "product"}),
    "not of nothing": (("where", 0), {"not": None}),
    "any of one": (("where", 0), {"any": [{"missing": "age"}]}),
    "any in any": (("where", 0), {"any": [{"missing": "age"}, {"any": [{"missing": "age"}, {"missing": "grade"}]}]}),
    "all at the top": (("where", 0), {"all": [{"missing": "age"}, {"missing": "grade"}]}),
    "sum of a column's name": (("measures", 3), {"sum": "balance"}),
    "sum of everything": (("measures", 3), {"sum": {"value": "*"}}),
    "sum of one": (("measures", 3), {"sum": {"add": [{"value": "balance"}]}}),
    "sum in a sum": (("measures", 3), {"sum": {"add": [{"add": [{"value": "age"}] * 2}, {"value": "balance"}]}}),
    "product out of order": (("measures", 2, "sum", "times"), [{"value": "income"}, {"value": "balance"}]),
    "product of three": (("measures", 2, "sum", "times"), [{"value": "balance"}] * 3),
    "quotient": (("measures", 3), {"sum": {"over": [{"value": "balance"}, {"value": "age"}]}}),
    "case without a test": (("measures", 3), {"sum": {"case": [[None, {"value": "balance"}]], "else": None}}),
    "case without else": (("measures", 3), {"sum": {"case": [[{"missing": "age"}, {"value": "balance"}]]}}),
    "float constant": (("measures", 3), {"sum": {"constant": 1.0, "decimals": 0}}),
    "boolean decimals": (("measures", 3), {"sum": {"constant": 1, "decimals": True}}),
    "negative decimals": (("measures", 3), {"sum": {"constant": 1, "decimals": -1}}),
    "valid of everything": (("measures", 4), {"valid": "*"}),
    "unknown measure": (("measures", 0), {"median": "age"}),
    "count of what": (("measures", 0), {"count": "*"}),
    "measure as text": (("measures", 0), "count"),
    "measure twice": (("measures",), [{"count": "rows"}, {"count": "rows"}]),
    "histogram of a category": (("measures", 1), {"histogram": {"category": "region", "labels": ["north"]}}),
    "histogram whose edges fall": (("measures", 1, "histogram", "edges"), [0, 65, 18, 120]),
    "histogram with an edge too few": (("measures", 1, "histogram", "edges"), [0, 18, 65]),
    "histogram with a float edge": (("measures", 1, "histogram", "edges"), [0, 18.0, 65, 120]),
    "group without labels": (("groups", 0, "labels"), []),
    "label twice": (("groups", 0, "labels"), ["a", "a"]),
    "labels as text": (("groups", 0, "labels"), "ab"),
    "group with 1001 labels": (("groups", 0, "labels"), [str(i) for i in range(1001)]),
    "column with a quote": (("groups", 0, "category"), 'grade"'),
    "column in capitals": (("groups", 0, "category"), "Grade"),
    "column in Cyrillic": (("groups", 0, "category"), "gr\u0430de"),
    "column with a newline": (("groups", 0, "category"), "grade\n"),
    "column of a term with a quote": (("where", 0, "term", "value"), 'age"'),
    "bounds of a column that nothing computes with": (("bounds", "region"), [0, 1]),
    "float bound": (("bounds", "age"), [0, 120.0]),
    "boolean bound": (("bounds", "age"), [False, True]),
    "bounds crossed": (("bounds", "age"), [80, 18]),
    "three bounds": (("bounds", "age"), [18, 80, 81]),
    "bound of 2^53": (("bounds", "age"), [0, 1 << 53]),
    "party with a newline": (("parties", 0), "bank-a\n"),
    "party twice": (("parties",), ["bank-a", "bank-a"]),
    "no party": (("parties",), []),
    "party as a path": (("parties", 0), "../bank"),
    "price of zero": (("rho",), 0),
    "negative price": (("rho",), -1),
    "boolean price": (("rho",), True),
    "float price": (("rho",), 1.0),
    "price over 100 rho": (("rho",), 100 * NANO + 1),
    "price of a measure as a float": (("prices", 0), 9_000_000.0),
    "prices that are not there": (("prices",), None),
    "shared noise that is true": (("shared",), True),
    "noise shared with all but one": (("shared",), 2),
    "no rows": (("rows_per_unit",), 0),
    "10001 rows": (("rows_per_unit",), 10_001),
    "no institution": (("institutions_per_unit",), 0),
    "1001 institutions": (("institutions_per_unit",), 1001),
    "boolean rows": (("rows_per_unit",), True),
}


@pytest.mark.parametrize(("path", "value"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_documents_are_malformed(path, value):
    with pytest.raises(Malformed) as told:
        Plan.from_json(_with(path, value))
    assert str(value) not in told.value.reason or not isinstance(value, str) or len(value) < 4


def test_the_document_that_the_hostile_ones_change_is_a_plan():
    assert Plan.from_json(_with(("rho",), 50_000_000)) == PLAN
    kinds = [[next(iter(item)) for item in PLAN.to_json()[field]] for field in ("groups", "where", "measures")]
    assert kinds == [["category", "category"], ["between", "one_of"], ["count", "histogram", "sum", "sum", "valid"]]


def test_the_number_of_cells_is_limited():
    hundred = tuple(f"v{i}" for i in range(100))
    largest = counting(groups=(ByCategory("grade", hundred), ByCategory("region", hundred)))
    assert largest.cells_count == MAX_CELLS
    for more in (CountUnits(), Histogram(AGES)):
        with pytest.raises(Malformed, match="10000 cells"):
            replace(
                largest,
                measures=(CountRows(), more),
                prices=(),
                bounds=(("age", Bounds(0, 9)),) if more != CountUnits() else (),
            )


# -- standards ---------------------------------------------------------------------------------------------------------


@given(standards())
def test_a_standard_survives_its_canonical_form(standard):
    told = Standard.from_json(canonical.decode(canonical.encode(standard.to_json())))
    assert told == standard
    assert told.digest == standard.digest


@settings(max_examples=300)
@given(mutations(STANDARD.to_json()))
def test_a_changed_standard_is_another_standard_or_malformed(document):
    try:
        standard = Standard.from_json(document)
    except Malformed:
        return
    assert standard.to_json() == document
    types = {type(value) for value in (standard.version, standard.rows_per_unit, standard.institutions_per_unit)}
    assert types | {type(column.decimals) for column in standard.columns} == {int}
    assert {type(text) for column in standard.columns for text in (column.meaning, *column.domain)} == {str}


@given(wild)
def test_nothing_else_is_a_standard(document):
    with pytest.raises(Malformed):
        Standard.from_json(document)


@pytest.mark.parametrize(
    "change",
    [{"unit": "region"}, {"unit": "ghost"}, {"rows_per_unit": 0}, {"institutions_per_unit": 1001}, {"name": "A"}],
    ids=str,
)
def test_a_standard_protects_somebody_within_bounds(change):
    with pytest.raises(Malformed):
        replace(STANDARD, **change)


def test_no_measure_without_bounds_and_no_category_without_a_domain():
    with pytest.raises(Malformed):
        Column(name="age", kind=Kind.MEASURE, meaning="age")
    with pytest.raises(Malformed):
        Column(name="region", kind=Kind.CATEGORY, meaning="region")
    with pytest.raises(Malformed):
        Column(name="region", kind=Kind.CATEGORY, meaning="region", domain=("a", "a"))
    with pytest.raises(Malformed):
        Column(name="region", kind=Kind.CATEGORY, meaning="region", domain=("a", UNKNOWN))
    with pytest.raises(Malformed):
        Column(name="opened", kind=Kind.DATE, meaning="opened")
    for days in (Bounds(-30_000, 0), Bounds(0, 90_000)):
        with pytest.raises(Malformed, match="1900 to 2199"):
            Column(name="opened", kind=Kind.DATE, meaning="opened", bounds=days)
    with pytest.raises(Malformed):
        Column(name="opened", kind=Kind.DATE, meaning="opened", bounds=Bounds(0, 9), decimals=1)
    with pytest.raises(Malformed):
        Column(name="age", kind=Kind.MEASURE, meaning="age", bounds=Bounds(0, 9), decimals=True)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_bounds_cover_what_lies_inside(a, b, c, d):
    assume(a <= b and c <= d)
    outer, inner = Bounds(a, b), Bounds(c, d)
    assert outer.covers(inner) == (set(range(c, d + 1)) <= set(range(a, b + 1)))
    assert outer.weight == max(abs(value) for value in range(a, b + 1))


def test_unknown_columns_are_a_key_error():
    assert STANDARD.column("age").bounds == MEASURES["age"]
    with pytest.raises(KeyError):
        STANDARD.column("ghost")
