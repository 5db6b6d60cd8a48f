"""Stored answers answer coarser questions exactly, or not at all; what several of them tell is one consistent answer."""

from datetime import date
from fractions import Fraction
from itertools import pairwise
from math import sqrt
from random import Random
from statistics import mean, pvariance

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from exchange.analyst.rollup import derive, holds
from exchange.analyst.shelf import Shelf, Stored
from privacy.errors import Malformed
from privacy.expression import (
    Added,
    AllOf,
    AnyOf,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Constant,
    Missing,
    Not,
    OneOf,
    Value,
    values,
)
from privacy.plan import CountKnown, CountPresent, CountRows, CountUnits, Histogram, Plan, Sum
from privacy.release import Release
from privacy.terms import UNKNOWN, Bounds, Column, Kind, Standard
from tests import reference
from tests.released import cells_of

DOMAINS = {"region": ("north", "east", "south"), "product": ("card", "car")}
DAY = (date(2021, 1, 1) - date(1970, 1, 1)).days
STANDARD = Standard(
    name="loans",
    version=1,
    title="loans",
    unit="person",
    rows_per_unit=3,
    institutions_per_unit=2,
    columns=(
        Column("person", Kind.IDENTIFIER, "who"),
        Column("region", Kind.CATEGORY, "where", domain=("north", "east", "south")),
        Column("product", Kind.CATEGORY, "what", domain=("card", "car")),
        Column("age", Kind.MEASURE, "years", unit="year", bounds=Bounds(0, 40)),
        Column("opened", Kind.DATE, "since", bounds=Bounds(DAY, DAY + 729)),
    ),
)
ROWS_COUNTED = CountRows()
BOUNDS = {column.name: column.bounds for column in STANDARD.columns if column.bounds is not None}
YEARS = ("2021", "2022")
QUARTERS = tuple(f"{year}-Q{quarter}" for year in YEARS for quarter in range(1, 5))
MONTHS = tuple(f"{year}-{month:02d}" for year in YEARS for month in range(1, 13))
NORTH = OneOf("region", ("north",))
MEASURES = (
    CountRows(),
    CountKnown("product"),
    Sum(Value("age")),
    Sum(Added((Value("age"), Constant(-20)))),
    CountPresent(Value("age")),
    Histogram(ByBand("age", (0, 20, 40), ("young", "old"))),
)


def plan(groups=(), where=(), measures=(ROWS_COUNTED,), **other):
    used = {c for item in (*groups, *where) for c in values(item)}
    used |= {c for m in measures if isinstance(m, Sum | CountPresent) for c in values(m.term)}
    used |= {m.band.column for m in measures if isinstance(m, Histogram)}
    given_ = {
        "standard": STANDARD.id,
        "standard_digest": STANDARD.digest,
        "purpose": "credit-risk-statistics",
        "parties": ("bank-a", "bank-b", "bank-c"),
        "rows_per_unit": 3,
        "institutions_per_unit": 2,
        "rho": 1_000_000,
        "bounds": tuple((column, BOUNDS[column]) for column in sorted(used)),
    }
    return Plan(groups=tuple(groups), where=tuple(where), measures=tuple(measures), **{**given_, **other})


def bands(*edges, unknown=False):
    labels = tuple(f"{low} to {high}" for low, high in pairwise(edges))
    return ByBand("age", edges, (*labels, UNKNOWN) if unknown else labels)


def some(labels):
    """A choice of labels in their order, perhaps with the rest."""
    chosen = st.sets(st.sampled_from(labels), min_size=1).map(lambda held: tuple(x for x in labels if x in held))
    return st.tuples(chosen, st.booleans()).map(lambda pair: (*pair[0], UNKNOWN) if pair[1] else pair[0])


def categories(name, labels):
    return some(labels).map(lambda chosen: ByCategory(name, chosen))


regions = categories("region", ("north", "east", "south"))
products = categories("product", ("card", "car"))
ages = (
    st.builds(
        lambda inner, unknown: bands(*sorted({0, 40, *inner}), unknown=unknown),
        st.sets(st.sampled_from([5, 10, 20, 30, 35])),
        st.booleans(),
    )
    | st.just(bands(0, 10, 20))
    | st.just(bands(10, 20, 40, unknown=True))
)
dates = st.sampled_from(
    [
        ByDate("opened", part, labels + rest)
        for part, labels in (
            ("year", YEARS),
            ("year-quarter", QUARTERS),
            ("year-month", MONTHS),
            ("year-month", MONTHS[2:17]),
            ("month", tuple(f"{month:02d}" for month in range(1, 13))),
            ("quarter", ("Q1", "Q2", "Q3", "Q4")),
            ("weekday", tuple("1234567")),
        )
        for rest in ((), (UNKNOWN,))
    ]
)
category_tests = st.recursive(
    st.sampled_from([NORTH, OneOf("region", ("east", "north")), Missing("region")]),
    lambda inner: (
        inner.map(Not)
        | st.lists(inner, min_size=2, max_size=2).map(lambda two: AllOf(tuple(two)))
        | st.lists(inner, min_size=2, max_size=2).map(lambda two: AnyOf(tuple(two)))
    ),
    max_leaves=3,
)
cases = st.builds(
    lambda test, otherwise: ByCase(((test, "in"),), otherwise),
    category_tests,
    st.sampled_from([None, "out", UNKNOWN]),
)
age_tests = st.builds(
    lambda low, high: Between(Value("age"), low, high),
    st.sampled_from([None, 0, 5, 10]),
    st.sampled_from([19, 20, 29, 40]),
)
tests = category_tests | age_tests | st.just(Not(Missing("age"))) | st.just(OneOf("product", ("card",)))


@st.composite
def plans(draw):
    groups = [draw(kind) for kind in (regions | cases, products, ages, dates) if draw(st.booleans())]
    where = draw(st.lists(tests, max_size=2, unique=True))
    measures = draw(st.sets(st.sampled_from([*MEASURES, CountUnits()]), min_size=1, max_size=3))
    return plan(groups, where, tuple(measures))


def table(dice, size=120):
    return [
        {
            "person": f"p{dice.randrange(60)}",
            "region": dice.choice(["north", "east", "south", None, "elsewhere"]),
            "product": dice.choice(["card", "car", None]),
            "age": dice.choice([None, *range(41)]),
            "opened": dice.choice([None, *range(DAY, DAY + 730, 7)]),
        }
        for _ in range(size)
    ]


ROWS = table(Random(4))


@st.composite
def near(draw):
    """A stored plan, and another one made of some of its parts, some of them changed."""
    stored = draw(plans())
    groups = [by for by in stored.groups if draw(st.integers(0, 3))]
    if groups and draw(st.booleans()):
        column = getattr(groups[0], "column", "region")
        groups[0] = draw({"region": regions | cases, "product": products, "age": ages, "opened": dates}[column])
    where = {*stored.where, *draw(st.lists(tests, max_size=1))}
    measures = [measure for measure in stored.measures if draw(st.integers(0, 3))] or stored.measures
    return stored, plan(groups, where, tuple(measures))


@settings(max_examples=600, deadline=None)
@given(pair=near())
def test_what_is_derived_is_what_would_have_been_counted(pair):
    stored, wanted = pair
    places = derive(stored, wanted, DOMAINS)
    event("derived" if places is not None else "not derived")
    if places is None:
        return
    cells = reference.cells(stored, ROWS, STANDARD)
    assert tuple(sum(cells[place] for place in added) for added in places) == reference.cells(wanted, ROWS, STANDARD)


FULL = plan(
    [
        ByCategory("region", ("north", "east", "south", UNKNOWN)),
        ByCategory("product", ("card", "car", UNKNOWN)),
        bands(0, 10, 20, 30, 40, unknown=True),
        ByDate("opened", "year-quarter", (*QUARTERS, UNKNOWN)),
    ],
    measures=MEASURES,
)
COARSER = {
    "the same": FULL,
    "nothing but the total": plan(),
    "one group column": plan([ByCategory("region", ("north", "east", "south", UNKNOWN))]),
    "without the rest": plan([ByCategory("region", ("north", "south"))]),
    "fewer labels, the others unknown": plan([ByCategory("region", ("north", UNKNOWN))]),
    "wider bands": plan([bands(0, 20, 40, unknown=True)], measures=MEASURES[:3]),
    "years": plan([ByDate("opened", "year", (*YEARS, UNKNOWN))]),
    "quarters of any year": plan([ByDate("opened", "quarter", ("Q1", "Q2", "Q3", "Q4"))]),
    "two regions in one": plan([ByCase(((OneOf("region", ("north", "east")), "up"),), "down")]),
    "filtered by a group": plan(where=[NORTH]),
    "filtered by not being in a group": plan([ByCategory("product", ("card", "car"))], [Not(NORTH)]),
    "filtered by a category that is there": plan(where=[Not(Missing("region"))]),
}


@pytest.mark.parametrize("wanted", COARSER.values(), ids=COARSER)
def test_coarser_questions_are_free(wanted):
    places = derive(FULL, wanted, DOMAINS)
    assert places is not None
    cells = reference.cells(FULL, ROWS, STANDARD)
    assert tuple(sum(cells[p] for p in added) for added in places) == reference.cells(wanted, ROWS, STANDARD)


OTHERS = {
    "a finer question": (plan([regions_all := ByCategory("region", ("north", "east", "south", UNKNOWN))]), FULL),
    "another purpose": (FULL, plan(purpose="pledge-valuation")),
    "another roster": (FULL, plan(parties=("bank-a", "bank-b", "bank-d"))),
    "a filter on what was not grouped by": (plan([regions_all]), plan(where=[OneOf("product", ("card",))])),
    "no filter where the stored one has one": (plan([regions_all], [OneOf("product", ("card",))]), plan([regions_all])),
    "all rows where the unknown are missing": (plan([ByCategory("region", ("north", "east", "south"))]), plan()),
    "a filter that cuts a band": (plan([bands(0, 20, 40)]), plan(where=[Between(Value("age"), 5, None)])),
    "bands with other edges": (plan([bands(0, 20, 40)]), plan([bands(0, 10, 40)])),
    "a last band that holds its edge": (plan([bands(0, 20, 40)]), plan([bands(0, 20)])),
    "people of several groups": (
        plan([regions_all], measures=[CountUnits()]),
        plan(measures=[CountUnits()]),
    ),
    "another measure": (plan([regions_all]), plan(measures=[Sum(Value("age"))])),
    "other bounds": (
        plan([regions_all], measures=[Sum(Value("age"))], bounds=(("age", Bounds(0, 30)),)),
        plan(measures=[Sum(Value("age"))]),
    ),
    "quarters that are cut short": (
        plan([ByDate("opened", "year-month", MONTHS[1:])]),
        plan([ByDate("opened", "year-quarter", QUARTERS)]),
    ),
}


@pytest.mark.parametrize(("stored", "wanted"), OTHERS.values(), ids=OTHERS)
def test_other_questions_are_not_derived(stored, wanted):
    assert derive(stored, wanted, DOMAINS) is None


def test_a_test_on_a_category_is_three_valued():
    assert [holds(Not(NORTH), value) for value in ("north", "east", None)] == [False, True, None]
    assert holds(AnyOf((NORTH, Missing("region"))), None) is True
    assert holds(AllOf((NORTH, Missing("region"))), "east") is False


# -- the shelf -------------------------------------------------------------------------------------------------------

VERSIONS = {"bank-a": "2026-01-01", "bank-b": "2026-01-01", "bank-c": "2026-01-01"}
FINE = plan([ByCategory("product", ("card", "car")), ByCategory("region", ("north", "east", "south"))])
BY_REGION = plan([ByCategory("region", ("north", "east", "south"))], [OneOf("product", ("card", "car"))])
BY_PRODUCT = plan([ByCategory("product", ("card", "car"))], [OneOf("region", ("north", "east", "south"))])


def stored(question, totals, deviation, *, session="s", opened=1, versions=VERSIONS):
    release = Release(
        question, session, tuple(totals), {m.key: Fraction(deviation) ** 2 for m in question.measures}, {}
    )
    return Stored(release, {"session": session}, versions, min_group=10, opened=opened, took=2)


def test_answers_survive_the_desk_and_are_found_again(tmp_path):
    kept = stored(FINE, range(6), 4, session="ab")
    Shelf(tmp_path / "answers").keep(kept)
    (path,) = (tmp_path / "answers").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert Shelf(tmp_path / "answers").get("ab") == kept
    path.write_text("{")
    assert Shelf(tmp_path / "answers").get("ab") is None


def test_a_file_that_is_no_answer_is_refused():
    document = stored(FINE, range(6), 4).to_json()
    with pytest.raises(Malformed):
        Stored.from_json({**document, "release": {**document["release"], "totals": ["1"]}})
    with pytest.raises(Malformed):
        Stored.from_json([])


def test_another_version_of_the_data_is_another_question(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.keep(stored(FINE, range(6), 4))
    assert shelf.serve(FINE, VERSIONS, DOMAINS) is not None
    assert shelf.serve(FINE, {**VERSIONS, "bank-b": "2026-02-01"}, DOMAINS) is None


def test_one_release_is_read_as_it_is():
    release = stored(FINE, [10, 20, 30, 40, 50, 60], 4).release
    cell = cells_of(release)("count(*)", ("card", "east"), 0)
    assert (cell.value, cell.deviation) == (20, 4)


def test_children_add_up_to_their_parents(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.keep(stored(FINE, [100, 210, 300, 390, 510, 600], 10, session="fine", opened=1))
    shelf.keep(stored(BY_REGION, [500, 590, 905], 5, session="regions", opened=2))
    parents = shelf.serve(BY_REGION, VERSIONS, DOMAINS)
    children = shelf.serve(FINE, VERSIONS, DOMAINS)
    assert [s.release.session for s in children.sources] == ["fine", "regions"]
    for region in ("north", "east", "south"):
        added = [children.cells("count(*)", (product, region), 0) for product in ("card", "car")]
        parent = parents.cells("count(*)", (region,), 0)
        assert float(sum(child.value for child in added)) == pytest.approx(float(parent.value))
        assert parent.deviation < 5, "two measurements are better than one"
        assert parent.deviation == pytest.approx(1 / sqrt(1 / 200 + 1 / 25))


def test_the_least_squares_are_right_and_their_errors_honest(tmp_path):
    """Sums by rows and by columns, which are no tree: compare with noise drawn a thousand times."""
    dice, truth = Random(1), [100, 200, 300, 400, 500, 600]
    found, errors = [], []
    for draw in range(1000):
        shelf = Shelf(tmp_path / str(draw))
        for question, deviation in ((FINE, 10), (BY_REGION, 5), (BY_PRODUCT, 3)):
            sums = [sum(truth[place] for place in added) for added in derive(FINE, question, DOMAINS)]
            told = [round(total + dice.gauss(0, deviation)) for total in sums]
            shelf._all()[str(deviation)] = stored(question, told, deviation, session=str(deviation))
        cell = shelf.serve(FINE, VERSIONS, DOMAINS).cells("count(*)", ("card", "north"), 0)
        found.append(float(cell.value))
        errors.append(cell.variance)
    assert mean(found) == pytest.approx(100, abs=1)
    assert pvariance(found) == pytest.approx(mean(errors), rel=0.15)
    assert mean(errors) < 100 * 0.8, "the sums of others made the cells better"


def test_a_repeat_is_the_same_answer_and_no_second_measurement(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.keep(stored(FINE, range(6), 4, session="first", opened=1))
    shelf.keep(stored(FINE, range(6), 4, session="again", opened=2))
    served = shelf.serve(FINE, VERSIONS, DOMAINS)
    assert [held.release.session for held in served.sources] == ["first"]
    cell = served.cells("count(*)", ("car", "south"), 0)
    assert (cell.value, cell.deviation) == (5, 4)
