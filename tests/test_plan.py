"""The plan: one question, one hash; strangers' documents are the canonical spelling or malformed."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import MEASURES, STANDARD, mutations, plans, standards, wild

from privacy import canonical
from privacy.errors import Malformed
from privacy.plan import MAX_CELLS, Between, CountPresent, CountRows, CountValid, GroupBy, OneOf, Plan, Sum
from privacy.terms import NANO, Bounds, Column, Kind, Standard

PLAN = Plan(
    standard=STANDARD.id,
    standard_digest=STANDARD.digest,
    purpose="credit-risk-statistics",
    parties=("bank-b", "bank-a", "insurer-c"),
    rows_per_unit=3,
    institutions_per_unit=2,
    groups=(GroupBy("region", ("north", "east")), GroupBy("grade", ("b", "a"))),
    where=(OneOf("product", ("car", "card")), Between("age", Bounds(18, 80))),
    measures=(Sum("balance", Bounds(0, 500)), CountRows(), CountValid("age"), CountPresent("age")),
    rho=50_000_000,
)


@given(plans())
def test_a_plan_survives_its_canonical_form(plan):
    told = Plan.from_json(canonical.decode(canonical.encode(plan.to_json())))
    assert told == plan
    assert told.hash == plan.hash


@given(plans(), st.data())
def test_the_order_in_which_a_question_is_put_changes_nothing(plan, data):
    def shuffled(items):
        return tuple(data.draw(st.permutations(items)))

    where = tuple(
        replace(test, values=shuffled(test.values)) if isinstance(test, OneOf) else test for test in plan.where
    )
    turned = replace(
        plan,
        parties=shuffled(plan.parties),
        groups=shuffled(plan.groups),
        where=shuffled(where),
        measures=shuffled(plan.measures),
    )
    assert turned == plan
    assert turned.hash == plan.hash


@given(plans(), plans())
def test_other_questions_have_other_hashes(one, other):
    assert (one == other) == (one.hash == other.hash)


OTHERS = {
    "standard": "credit/2",
    "standard_digest": "0" * 64,
    "purpose": "pledge-valuation",
    "parties": ("bank-a", "bank-b"),
    "rows_per_unit": 4,
    "institutions_per_unit": 1,
    "groups": (GroupBy("region", ("east", "north")), GroupBy("grade", ("b", "a"))),
    "where": (OneOf("product", ("car",)), Between("age", Bounds(18, 80))),
    "measures": (Sum("balance", Bounds(0, 501)), CountRows(), CountValid("age"), CountPresent("age")),
    "rho": 50_000_001,
    "shared": 0,
}


@pytest.mark.parametrize("field", OTHERS)
def test_every_field_enters_the_hash(field):
    assert set(OTHERS) == set(PLAN.to_json())
    assert replace(PLAN, **{field: OTHERS[field]}).hash != PLAN.hash


def test_cells_come_by_measure_and_then_by_group():
    found = [(measure.key, values) for measure, values in PLAN.cells()]
    keys = ["count(*)", "count(age)", "sum(balance)", "valid(age)"]
    values = [("b", "north"), ("b", "east"), ("a", "north"), ("a", "east")]
    assert found == list(itertools.product(keys, values))
    assert PLAN.columns == ("age", "balance", "grade", "product", "region")


@given(plans())
def test_the_number_of_cells_is_counted_without_listing_them(plan):
    cells = list(plan.cells())
    assert len(cells) == plan.cells_count == plan.groups_count * len(plan.measures)
    assert len(set(cells)) == len(cells)


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
    "two measures in one": (("measures", 0), {"count": "*", "valid": "age"}),
    "two filters in one": (("where", 1), {"column": "product", "one_of": ["car"], "between": [0, 1]}),
    "values of a filter out of order": (("where", 1, "one_of"), ["card", "car"]),
    "value twice": (("where", 1, "one_of"), ["car", "car"]),
    "no value": (("where", 1, "one_of"), []),
    "value that is a number": (("where", 1, "one_of"), [1]),
    "float bound": (("where", 0, "between"), [18.0, 80]),
    "boolean bound": (("where", 0, "between"), [False, True]),
    "bounds crossed": (("where", 0, "between"), [80, 18]),
    "three bounds": (("where", 0, "between"), [18, 80, 81]),
    "bound of 2^53": (("where", 0, "between"), [0, 1 << 53]),
    "sum without bounds": (("measures", 2), {"sum": "balance"}),
    "sum of everything": (("measures", 2), {"sum": "*", "bounds": [0, 1]}),
    "valid of everything": (("measures", 3), {"valid": "*"}),
    "unknown measure": (("measures", 0), {"median": "age"}),
    "measure as text": (("measures", 0), "count"),
    "sum as text": (("measures", 0), "sum"),
    "measure twice": (("measures",), [{"count": "*"}, {"count": "*"}]),
    "group without values": (("groups", 0, "domain"), []),
    "group value twice": (("groups", 0, "domain"), ["a", "a"]),
    "group values as text": (("groups", 0, "domain"), "ab"),
    "group with 1001 values": (("groups", 0, "domain"), [str(i) for i in range(1001)]),
    "column with a quote": (("groups", 0, "column"), 'grade"'),
    "column in capitals": (("groups", 0, "column"), "Grade"),
    "column in Cyrillic": (("groups", 0, "column"), "gr\u0430de"),
    "column with a newline": (("groups", 0, "column"), "grade\n"),
    "party with a newline": (("parties", 0), "bank-a\n"),
    "party twice": (("parties",), ["bank-a", "bank-a"]),
    "no party": (("parties",), []),
    "party as a path": (("parties", 0), "../bank"),
    "price of zero": (("rho",), 0),
    "negative price": (("rho",), -1),
    "boolean price": (("rho",), True),
    "float price": (("rho",), 1.0),
    "price over 100 rho": (("rho",), 100 * NANO + 1),
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


def test_the_number_of_cells_is_limited():
    hundred = tuple(f"v{i}" for i in range(100))
    largest = replace(PLAN, groups=(GroupBy("grade", hundred), GroupBy("region", hundred)), measures=(CountRows(),))
    assert largest.cells_count == MAX_CELLS
    with pytest.raises(Malformed, match="10000 cells"):
        replace(largest, measures=(CountRows(), CountPresent("age")))


def test_sums_over_two_bounds_of_one_column_are_one_measure_twice():
    with pytest.raises(Malformed, match="measure twice"):
        replace(PLAN, measures=(Sum("age", Bounds(0, 1)), Sum("age", Bounds(0, 2))))


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
