"""Why a value changed: parts that add up to the cent, a second computation over orders, causes that move alone, refusals."""

import copy
import json
from decimal import Decimal
from fractions import Fraction
from itertools import permutations

import pytest

from privacy import canonical
from privacy.errors import Mismatch
from tests.test_cli import run
from tests.test_valuation import CASE, changed, evidence
from tests.test_valuation_reconcile import INPUTS, REPORT
from valuation.comparison import GROUPS, JUDGEMENT, MARKET, TERMS, TIME, compare
from valuation.errors import CurrencyMismatch, Differs
from valuation.report import perform

PURPOSE = CASE["necessity"]["purpose"]


def moved(*changes, base=INPUTS):
    """The inputs with the values at some paths replaced."""
    for path, value in changes:
        base = changed(path, value, base)
    return copy.deepcopy(base)


DEARER = (("facts", "costs", 0, "amount", "amount"), "900000")
RICHER = (("facts", "income", "lines", 0, "amount", "amount"), "1700000")
RATE = (("facts", "income", "rate", "parts", "specific_premium", "value"), "0.12")
FADED = (("facts", "income", "fade", "half_life_years"), "2")
DEALT = (("facts", "market", "deals", 1, "price", "amount"), "1900000")
WORN = (("evidence",), evidence({**CASE["counts"], "valid(balance)": [90_000, "400"]}, purpose=PURPOSE).to_json())
JUDGED = (
    (("method", "judgement", "weights", "cost", "share"), "0.3"),
    (
        ("method", "judgement", "weights", "income", "share"),
        "0.4",
    ),
)
CUT = (("terms", "ltv_cap"), "0.15")
ALONE = {
    "costs": (DEARER,),
    "income": (RICHER,),
    "rates": (RATE,),
    "life": (FADED,),
    "market": (DEALT,),
    "quality": (WORN,),
    JUDGEMENT: JUDGED,
    TERMS: (CUT,),
}


def told(change):
    """The causes of a change by their groups."""
    return {cause.groups: cause.part.fraction for cause in change.causes}


def adds_up(change):
    return sum(told(change).values()) == change.after.fraction - change.before.fraction


@pytest.mark.parametrize("name", GROUPS)
def test_what_changed_alone_is_the_only_cause(name):
    after = perform(moved(*ALONE[name]))
    got = compare(REPORT, after)
    if name == TERMS:
        assert (got.value.causes, got.value.before) == ((), got.value.after)
        assert list(told(got.limit)) == [(TERMS,)]
    else:
        assert list(told(got.value)) == [(name,)]
        assert got.value.before != got.value.after
    for change in (got.value, got.limit):
        assert adds_up(change)


def test_parts_equal_the_average_over_all_orders_of_a_second_computation():
    names = ["rates", "quality", JUDGEMENT]
    got = compare(REPORT, perform(moved(*(one for name in names for one in ALONE[name]))))

    def worth(chosen):
        made = perform({**moved(*(one for name in chosen for one in ALONE[name])), "terms": None})
        return Fraction(next(one["value"] for one in made["figures"] if one["key"] == "conclusion.central"))

    known = {}
    parts = dict.fromkeys(names, Fraction(0))
    orders = list(permutations(names))
    for order in orders:
        for place, name in enumerate(order):
            for chosen in (frozenset(order[:place]), frozenset(order[: place + 1])):
                if chosen not in known:
                    known[chosen] = worth(sorted(chosen, key=names.index))
            parts[name] += (known[frozenset(order[: place + 1])] - known[frozenset(order[:place])]) / len(orders)
    for name in names:
        assert abs(told(got.value)[(name,)] - parts[name]) <= Fraction(1, 100)
    assert adds_up(got.value)
    assert adds_up(got.limit)
    biggest = [abs(cause.part.fraction) for cause in got.value.causes]
    assert biggest == sorted(biggest, reverse=True)


@pytest.mark.parametrize("names", [("income", "quality"), ("market", "life")])
def test_there_and_back_is_the_same_with_the_sign_turned(names):
    bare = {**INPUTS, "terms": None}
    one, other = perform(bare), perform(moved(*(change for name in names for change in ALONE[name]), base=bare))
    there, back = compare(one, other), compare(other, one)
    assert (there.limit, back.limit) == (None, None)
    assert set(told(there.value)) == {(name,) for name in names}
    for groups, part in told(there.value).items():
        assert abs(part + told(back.value)[groups]) <= Fraction(1, 50)
    assert adds_up(there.value)
    assert adds_up(back.value)


LATER = (
    (("facts", "on"), "2026-09-30"),
    (("method", "on"), "2026-09-30"),
    (("facts", "horizon"), "2028-03-31"),
    (("facts", "price_index", "levels", "2026"), "108"),
    (("facts", "legal", "refreshed", "on"), "2026-09-29"),
)


def test_time_is_a_cause_of_its_own_in_both_directions():
    # a document of September cannot stand in a valuation of June
    dated = (("facts", "costs", 0, "cited", "on"), "2026-08-31")
    after = perform(moved(*LATER, DEARER, dated))
    got = compare(REPORT, after)
    assert set(told(got.value)) == {(TIME,), ("costs",)}
    still = compare(REPORT, perform(moved(*LATER)))
    assert list(told(still.value)) == [(TIME,)]
    assert abs(told(still.value)[(TIME,)] - told(got.value)[(TIME,)]) <= Fraction(1, 100)
    back = compare(after, REPORT)
    assert {groups: -part for groups, part in told(back.value).items()} == told(got.value)
    assert adds_up(got.value)
    assert adds_up(got.limit)


def test_an_approach_comes_with_its_weight():
    without = copy.deepcopy(INPUTS)
    del without["facts"]["market"]
    weights = without["method"]["judgement"]["weights"]
    weights["cost"]["share"] = "0.5"
    del weights["market"]
    without["method"]["judgement"]["spreads"] = without["method"]["judgement"]["spreads"][:3]
    without["method"]["judgement"]["scenarios"] = []
    got = compare(perform(moved(DEARER, base=without)), REPORT)
    assert set(told(got.value)) == {("costs",), (MARKET, JUDGEMENT)}
    assert adds_up(got.value)
    cost_only = copy.deepcopy(INPUTS)
    cost_only["method"] = {key: INPUTS["method"][key] for key in ("on", "mode", "weights")} | {"name": "cost_cas2023"}
    for part in ("income", "market"):
        del cost_only["facts"][part]
    got = compare(perform(cost_only), REPORT)
    assert set(told(got.value)) == {("income", MARKET, JUDGEMENT)}
    assert adds_up(got.limit)


def test_groups_that_cannot_change_apart_are_one_cause():
    # a cap that only contracts bear
    signed = copy.deepcopy(INPUTS)
    for line in signed["facts"]["income"]["lines"]:
        line["ground"] = "contract"
    signed["terms"]["ltv_cap"] = "0.5"
    got = compare(REPORT, perform(moved(DEARER, base=signed)))
    assert set(told(got.limit)) == {("income", TERMS)}
    assert adds_up(got.limit)
    assert list(told(got.value)) == [("costs",)]


def test_what_cannot_be_compared_is_refused():
    other = perform(moved((("asset", "scenario"), "another use")))
    assert told(compare(REPORT, other).value) == {}
    renamed = moved((("asset", "dataset"), "cards_2027"), (("evidence", "measured", 0, "dataset"), "cards_2027"))
    with pytest.raises(Mismatch, match="two different assets"):
        compare(REPORT, perform(renamed))
    yen = json.loads(json.dumps(INPUTS).replace('"CNY"', '"JPY"'))
    with pytest.raises(CurrencyMismatch):
        compare(REPORT, perform(yen))
    odd = copy.deepcopy(REPORT)
    odd["figures"][3]["value"] = "7"
    for pair in ((REPORT, odd), (odd, REPORT)):
        with pytest.raises(Differs):
            compare(*pair)
    early = copy.deepcopy(INPUTS["facts"]["price_index"]["levels"])
    first = min(early)
    gone = moved(*LATER, (("facts", "price_index", "levels"), {y: v for y, v in early.items() if y != first}))
    gone["facts"]["costs"] = [line for line in gone["facts"]["costs"] if str(line["year"]) != first]
    with pytest.raises(Mismatch, match="the earlier inputs cannot be valued on the later date"):
        compare(REPORT, perform(gone))


def test_the_command_prints_a_table_and_one_json_object(tmp_path):
    after = perform(moved(DEARER, RATE, WORN))
    for name, made in (("a", REPORT), ("b", after)):
        (tmp_path / f"{name}.json").write_bytes(canonical.encode(made))
    files = [str(tmp_path / f"{name}.json") for name in "ab"]
    shown = run("value", "compare", *files)
    assert shown.returncode == 0, shown.stderr
    assert "not an appraisal report signed by a licensed firm" in shown.stdout
    for text in ("in the first report", "rates", "quality", "in the second report", "loan limit"):
        assert text in shown.stdout
    document = json.loads(run("value", "compare", *files, "--json").stdout)
    assert document == {"schema_version": "1", "status": "ok"} | compare(REPORT, after).to_json()
    assert (document["first"], document["second"]) == (REPORT["digest"], after["digest"])
    for change in (document["value"], document["limit"]):
        parts = sum(Decimal(cause["part"]) for cause in change["causes"])
        assert parts == Decimal(change["change"]) == Decimal(change["to"]) - Decimal(change["from"])
    assert run("value", "compare", files[0], str(tmp_path / "none.json")).returncode == 1
