"""Money, the cost method, gates and intake: worked examples, an independent second computation, refusals."""

import copy
import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import Mismatch
from privacy.expression import ByCategory
from privacy.plan import CountFilled, CountRows, CountUnits, CountValid, Plan
from privacy.release import Release
from valuation.asset import DataAsset
from valuation.cost import Mode, appraise_cost, cost_cas2023
from valuation.errors import (
    BadInput,
    CurrencyMismatch,
    GatesClosed,
    MissingKey,
    OutOfRange,
    Swamped,
    UnknownKey,
    WrongType,
)
from valuation.evidence import Evidence, Measured
from valuation.facts import Facts
from valuation.gates import RULES
from valuation.intake import number_of
from valuation.money import Money
from valuation.trace import derived
from valuation.trace import given as stated

VECTORS = Path(__file__).parent / "vectors"
CASE = json.loads((VECTORS / "valuation_case.json").read_text("utf-8"))
EXAMPLES = json.loads((VECTORS / "valuation_spine.json").read_text("utf-8"), parse_float=Decimal)["vectors"]
ON = date(2026, 6, 30)


def release(counts=None, *, party="bank-a", purpose="pledge-valuation", groups=()):
    counts = counts or {key: tuple(pair) for key, pair in CASE["counts"].items()}
    kinds = {"filled": CountFilled, "valid": CountValid}
    plain = {"count(*)": CountRows(), "count(distinct unit)": CountUnits()}
    measures = [plain.get(key) or kinds[key.partition("(")[0]](key.partition("(")[2][:-1]) for key in counts]
    plan = Plan(
        standard="consumer_credit/1",
        standard_digest="0" * 64,
        purpose=purpose,
        parties=(party,),
        rows_per_unit=5,
        institutions_per_unit=2,
        groups=groups,
        where=(),
        measures=tuple(measures),
        rho=1_000_000,
    )
    totals = tuple(int(counts[cell.key][0]) for cell, _, _ in plan.cells())
    return Release(plan, "session-1", totals, {key: Fraction(pair[1]) for key, pair in counts.items()}, {})


def evidence(counts=None, *, on=date(2026, 6, 29), version=1, **kwargs):
    return Evidence((Measured.of(release(counts, **kwargs), dataset="cards_2026", version=version, on=on),))


def changed(path, value, base=CASE["facts"]):
    document = copy.deepcopy(base)
    *walk, last = path
    inner = document
    for key in walk:
        inner = inner[key]
    if value is KeyError:
        del inner[last]
    else:
        inner[last] = value
    return document


def appraise(facts=None, ev=None, asset=None, **kwargs):
    return appraise_cost(
        DataAsset.from_json(asset or CASE["asset"]),
        Facts.from_json(facts or CASE["facts"]),
        ev or evidence(),
        ON,
        **kwargs,
    )


def close(got, want, rel="1e-9"):
    return abs(Fraction(got) - Fraction(want)) <= Fraction(rel) * abs(Fraction(want))


# --- money -----------------------------------------------------------------------------------------------------------

amounts = st.decimals(min_value=-(10**15), max_value=10**15, places=4, allow_nan=False, allow_infinity=False)


@given(amounts, amounts, amounts)
def test_money_arithmetic_is_exact(a, b, factor):
    one, other = Money(a, "CNY"), Money(b, "CNY")
    assert (one + other).fraction == Fraction(a) + Fraction(b)
    assert (one - other).fraction == Fraction(a) - Fraction(b)
    assert (one * factor).fraction == Fraction(a) * Fraction(factor) == (factor * one).fraction
    assert (one < other, one <= other, one > other, one >= other) == (a < b, a <= b, a > b, a >= b)
    assert (-one).fraction == -Fraction(a)
    if b:
        assert one / other == Fraction(a) / Fraction(b)


@given(amounts)
def test_money_has_one_spelling_and_reads_itself_back(a):
    money = Money(a, "CNY")
    assert Money.parse(str(money)) == money
    assert Money.parse(money.shown(4)) == money
    assert hash(Money(a + Decimal("0.00000"), "CNY")) == hash(money)


@given(amounts, st.integers(0, 4))
def test_money_rounds_half_even_and_floors_down(a, places):
    money = Money(a, "CNY")
    grain = Fraction(1, 10**places)
    assert money.rounded(places).fraction == round(Fraction(a), places)
    assert money.floored(places).fraction <= Fraction(a) < money.floored(places).fraction + grain


def test_money_is_shown_for_readers():
    assert Money(Decimal("1280000.505"), "CNY").shown() == "1,280,000.50 CNY"
    assert str(Money(Decimal("-0.00"), "CNY")) == "0 CNY"
    assert Money(Decimal(1), "CNY").to_json() == {"amount": "1", "currency": "CNY"}


@pytest.mark.parametrize("amount", [1.5, 1, "1", True, None])
def test_money_takes_decimals_only(amount):
    with pytest.raises(WrongType):
        Money(amount, "CNY")


@pytest.mark.parametrize(
    "amount", ["NaN", "sNaN", "Infinity", "-Infinity", "9" * 400, "1E400", "1E-400", "0." + "1" * 99]
)
def test_money_refuses_what_is_no_amount(amount):
    with pytest.raises(OutOfRange):
        Money(Decimal(amount), "CNY")


@pytest.mark.parametrize(
    "text", ["1", "1 cny", "1e5 CNY", "1,00 CNY", "NaN CNY", " 1 CNY", "1" * 400 + " CNY", "\u0661 CNY", 5]
)
def test_money_text_is_strict(text):
    with pytest.raises(WrongType):
        Money.parse(text)


def test_money_never_mixes():
    one, other = Money(Decimal(1), "CNY"), Money(Decimal(1), "USD")
    for operation in (lambda: one + other, lambda: one - other, lambda: one / other, lambda: one < other):
        with pytest.raises(CurrencyMismatch):
            operation()
    for wrong in (1.0, True, "2"):
        with pytest.raises(WrongType):
            one * wrong
    for wrong in (Decimal("NaN"), 10**400):
        with pytest.raises(OutOfRange):
            one * wrong
    with pytest.raises(WrongType):
        one + 1
    with pytest.raises(OutOfRange):
        one / Money(Decimal(0), "CNY")
    with pytest.raises(WrongType):
        Money(Decimal(1), "yuan")


# --- the method by its contract ----------------------------------------------------------------------------------------

DESK = next(example for example in EXAMPLES if example["method"] == "cost_cas2023")["inputs"]


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e["method"] == "cost_cas2023"], ids=lambda e: e["id"])
def test_cost_reproduces_the_worked_examples(example):
    outputs = cost_cas2023(example["inputs"])
    assert set(outputs) == set(example["outputs"])
    assert all(close(outputs[key], want) for key, want in example["outputs"].items())


numbers = st.decimals(min_value=0, max_value=10**9, places=2)


@given(
    st.lists(st.tuples(st.integers(2018, 2025), st.lists(numbers, max_size=4)), min_size=1, max_size=6),
    st.lists(st.integers(1, 10**6), min_size=9, max_size=9),
    st.sampled_from(["quality", "life", "both"]),
    st.integers(1, 1500),
    st.integers(0, 10**5),
    st.integers(1, 10**5),
)
def test_cost_equals_a_second_implementation(items, levels, mode, share, age, left):
    outputs = cost_cas2023(
        {
            "items": [{"year": year, "cost": {str(i): c for i, c in enumerate(costs)}} for year, costs in items],
            "price_index": {str(2018 + i): level for i, level in enumerate(levels)},
            "base_year": "2026",
            "mode": mode,
            "quality": Decimal(share) / 1000,
            "age_years": Decimal(age) / 1000,
            "remaining_years": Decimal(left) / 1000,
        }
    )
    # integers over one common denominator instead of fractions line by line
    common = 1
    for level in levels:
        common *= level
    cents = sum(int(c * 100) * levels[8] * (common // levels[year - 2018]) for year, costs in items for c in costs)
    q = Fraction(share, 1000) if mode != "life" else 1
    life = 1 - Fraction(age, age + left) if mode != "quality" else 1
    assert close(outputs["C"], Fraction(cents, 100 * common), "1e-30")
    assert close(outputs["delta"], q * life, "1e-30")
    assert close(outputs["P"], Fraction(cents, 100 * common) * q * life, "1e-30")


@pytest.mark.parametrize(
    ("path", "value", "error", "key"),
    [
        (("extra",), 1, UnknownKey, "extra"),
        (("quality",), KeyError, MissingKey, "quality"),
        (("items", 0, "year"), KeyError, MissingKey, "items[0].year"),
        (("items", 0, "note"), 1, UnknownKey, "items[0].note"),
        (("items", 0, "year"), Decimal("2023.5"), WrongType, "items[0].year"),
        (("items", 0, "year"), 1999, MissingKey, "price_index.1999"),
        (("items", 0, "cost", "pre"), -1, OutOfRange, "items[0].cost.pre"),
        (("items", 0, "cost", "pre"), True, WrongType, "items[0].cost.pre"),
        (("items", 0, "cost"), [1], WrongType, "items[0].cost"),
        (("items",), [], OutOfRange, "items"),
        (("items",), {}, WrongType, "items"),
        (("price_index", "2026"), 0, OutOfRange, "price_index.2026"),
        (("price_index", "x"), 1, WrongType, "price_index.x"),
        (("base_year",), "2030", MissingKey, "price_index.2030"),
        (("base_year",), 2026, WrongType, "base_year"),
        (("mode",), "all", OutOfRange, "mode"),
        (("quality",), 0, OutOfRange, "quality"),
        (("quality",), Decimal("1.51"), OutOfRange, "quality"),
        (("quality",), "0.5", WrongType, "quality"),
        (("quality",), None, WrongType, "quality"),
        (("quality",), 0.5, WrongType, "quality"),
        (("quality",), nan, WrongType, "quality"),
        (("quality",), inf, WrongType, "quality"),
        (("quality",), Decimal("NaN"), OutOfRange, "quality"),
        (("age_years",), Decimal("Infinity"), OutOfRange, "age_years"),
        (("age_years",), -1, OutOfRange, "age_years"),
        (("remaining_years",), 0, OutOfRange, "remaining_years"),
        (("remaining_years",), 10**400, OutOfRange, "remaining_years"),
        (("remaining_years",), Decimal("1E-400"), OutOfRange, "remaining_years"),
    ],
)
def test_cost_refuses_and_names_the_key(path, value, error, key):
    with pytest.raises(error) as caught:
        cost_cas2023(changed(path, value, DESK))
    assert caught.value.key == key


def test_cost_takes_both_spellings_of_a_number():
    assert cost_cas2023(changed(("items", 0, "year"), Decimal("2023.0"), DESK)) == cost_cas2023(DESK)
    with pytest.raises(WrongType):
        cost_cas2023([])


@pytest.mark.parametrize(
    ("value", "error"),
    [(True, WrongType), ("1", WrongType), (1.5, WrongType), (10**31, OutOfRange), (Decimal("1E-31"), OutOfRange)],
)
def test_numbers_of_documents_are_exact_and_tame(value, error):
    with pytest.raises(error) as caught:
        number_of(value, "weights.validity")
    assert caught.value.key == "weights.validity"


# --- appraisal ---------------------------------------------------------------------------------------------------------


def test_appraisal_equals_a_second_computation():
    got = appraise()
    index = {year: Fraction(level) for year, level in CASE["facts"]["price_index"]["levels"].items()}
    total = sum(
        Fraction(line["amount"]["amount"]) * index["2026"] / index[str(line["year"])] for line in CASE["facts"]["costs"]
    )
    filled, valid, cells = 97300 + 99100, 96800 + 98700, 2 * 100000
    # with equal weights the filled cells cancel: alpha = root(valid / cells)
    squared = Fraction(valid, cells)
    assert close(Fraction(got.quality.alpha.value) ** 2, squared, "1e-30")
    relative = Fraction(400, 4) * (Fraction(2, valid**2) + Fraction(1, 100000**2))
    assert close(Fraction(got.quality.error.value) ** 2, squared * relative, "1e-30")
    assert close(got.quality.metrics[0].value, Fraction(filled, cells), "1e-30")
    assert close(got.central.fraction, total * Fraction(got.quality.alpha.value) * Fraction(7, 10), "1e-30")
    assert close(got.low.fraction, total * Fraction(got.quality.low.value) * Fraction(5, 8), "1e-30")
    assert close(got.high.fraction, total * Fraction(got.quality.high.value) * Fraction(3, 4), "1e-30")
    assert got.low.money < got.central.money < got.high.money


def test_quality_enters_once_with_elasticity_one():
    plain = appraise()
    worse = appraise(ev=evidence({**CASE["counts"], "valid(balance)": [90000, 400]}))
    price = worse.central.fraction / plain.central.fraction
    assert close(price, worse.quality.alpha.fraction / plain.quality.alpha.fraction, "1e-30")


@settings(max_examples=40, deadline=None)
@given(st.integers(50_000, 99_000), st.integers(1, 900), st.integers(1, 10**6))
def test_value_moves_the_right_way(valid, worse_by, more_cost):
    plain = appraise(ev=evidence({**CASE["counts"], "valid(balance)": [valid, 400]}))
    worse = appraise(ev=evidence({**CASE["counts"], "valid(balance)": [valid - worse_by, 400]}))
    noisier = appraise(ev=evidence({**CASE["counts"], "valid(balance)": [valid, 400 + worse_by]}))
    amount = Decimal(CASE["facts"]["costs"][0]["amount"]["amount"]) + more_cost
    dearer = appraise(facts=changed(("costs", 0, "amount", "amount"), str(amount)))
    assert all(
        getattr(worse, end).money < getattr(plain, end).money < Money(Decimal(10**9), "CNY")
        for end in ("low", "central", "high")
    )
    assert dearer.central.money > appraise().central.money
    assert noisier.low.money < plain.low.money
    assert noisier.central == plain.central or noisier.central.value == plain.central.value


def test_modes_and_life():
    by_quality, by_life = appraise(mode=Mode.QUALITY), appraise(mode=Mode.LIFE)
    total = by_quality.central.find("cost.total").fraction
    assert close(by_life.central.fraction, total * Fraction(7, 10), "1e-30")
    assert close(by_quality.central.fraction, total * by_quality.quality.alpha.fraction, "1e-30")
    assert by_quality.low.find("delta.low").because == (by_quality.quality.used_low,)
    cut = appraise(facts=changed(("legal", "title", 1, "expires"), "2028-06-29"))
    assert close(cut.central.find("life.central").fraction, 2, "1e-30")
    assert "life-cut" in {remark.code for remark in cut.remarks}
    certain = changed(("life", "remaining_low"), None)
    certain["life"]["remaining_high"] = None
    assert appraise(facts=certain, mode=Mode.LIFE).low.value == by_life.central.value


def test_every_figure_has_reasons_or_a_source():
    got = appraise()
    for root in got.roots:
        for figure in root.walk():
            assert figure.label
            assert figure.unit
            assert figure.source
            assert figure.because or figure.formula.startswith(("given", "agreed")), figure.key
    with pytest.raises(KeyError):
        got.central.find("value.middle")
    with pytest.raises(WrongType):
        _ = got.quality.alpha.money


def test_two_figures_may_not_share_a_key():
    one, other = stated("a", "a", 1, source="s"), stated("a", "a", 2, source="s")
    with pytest.raises(Mismatch):
        list(derived("b", "b", Fraction(3), formula="sum", because=(one, other), source="s").walk())


# --- gates -------------------------------------------------------------------------------------------------------------

LINK = CASE["facts"]["legal"]["title"][0]
DISPUTE = {"subject": "ownership claim", "opened": "2026-05-01", "closed": None, "document": "9" * 64}


@pytest.mark.parametrize(
    ("path", "value", "gate", "document"),
    [
        (("owner_form",), "public_institution", "legal_form", "certificate of incorporation"),
        (("owner_form",), "government", "legal_form", "certificate of incorporation"),
        (("title",), [], "title", "title registration certificate"),
        (("title", 1, "expires"), "2027-12-30", "title", "a renewal of registration certificate to 2027-12-31"),
        (("title", 0, "grantee"), "broker", "title", "the grant by which broker passed on"),
        (("title",), [{**LINK, "grantee": "broker"}], "title", "a grant to bank-a"),
        (("lawful_basis",), None, "lawful_basis", "consent template"),
        (("lawful_basis", "kind"), "anonymised", "lawful_basis", "anonymisation assessment"),
        (("disputes",), [DISPUTE], "dispute", "judgment"),
        (("refreshed", "on"), "2026-05-29", "freshness", "log of a later refresh"),
    ],
)
def test_a_closed_gate_names_the_document_that_lifts_it(path, value, gate, document):
    with pytest.raises(GatesClosed) as caught:
        appraise(facts=changed(("legal", *path), value))
    assert {finding.gate for finding in caught.value.findings} == {gate}
    assert document in caught.value.fix


def test_all_closed_gates_are_reported_together():
    facts = changed(("legal", "owner_form"), "government")
    facts["legal"] |= {"lawful_basis": None, "disputes": [DISPUTE], "title": []}
    rights = changed(("rights",), {"holding": True, "processing": False, "operating": False}, CASE["asset"])
    with pytest.raises(GatesClosed) as caught:
        appraise(facts=facts, asset=rights, ev=evidence(on=date(2025, 1, 1)))
    assert {finding.gate for finding in caught.value.findings} == set(RULES)


def test_gates_open_where_the_ground_is_gone():
    assert [gate.gate for gate in appraise().gates] == list(RULES)
    appraise(facts=changed(("legal", "disputes"), [{**DISPUTE, "closed": "2026-06-01"}]))
    public = changed(("legal", "personal_data"), False)
    public["legal"]["lawful_basis"] = None
    appraise(facts=public)
    chain = [{**LINK, "grantee": "broker"}, {**LINK, "grantor": "broker"}]
    appraise(facts=changed(("legal", "title"), chain))
    appraise(facts=changed(("legal", "owner_form"), "authorised_operator"))
    own = changed(("legal", "title"), [{**LINK, "grantor": "bank-a"}])
    own["legal"]["owner_form"] = "authorised_operator"
    with pytest.raises(GatesClosed):
        appraise(facts=own)
    with pytest.raises(GatesClosed):
        appraise(ev=evidence(on=date(2026, 7, 1)))


def test_gates_come_before_every_figure():
    # counts that no ratio can be made of, and a closed gate: the gate speaks
    with pytest.raises(GatesClosed):
        appraise(facts=changed(("legal", "owner_form"), "government"), ev=evidence({"count(*)": (3, 400)}))


# --- strict documents --------------------------------------------------------------------------------------------------


def test_documents_read_themselves_back():
    facts, asset = Facts.from_json(CASE["facts"]), DataAsset.from_json(CASE["asset"])
    assert facts.to_json() == CASE["facts"]
    assert asset.to_json() == CASE["asset"]
    assert Evidence.from_json(evidence().to_json()) == evidence()
    with_dispute = changed(("legal", "disputes"), [{**DISPUTE, "closed": "2026-06-01"}])
    assert Facts.from_json(with_dispute).to_json() == with_dispute


def paths(document, prefix=()):
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*prefix, key))


@pytest.mark.parametrize("path", [p for p in paths(CASE["facts"]) if isinstance(p[-1], str)], ids=str)
def test_facts_refuse_missing_unknown_and_mistyped_keys(path):
    if path[:2] != ("price_index", "levels") or len(path) == 2:
        with pytest.raises(MissingKey) as caught:
            Facts.from_json(changed(path, KeyError))
        assert caught.value.key.endswith(path[-1])
        with pytest.raises(UnknownKey):
            Facts.from_json(changed((*path[:-1], "surprise"), 1))
    for wrong in (float("nan"), 1.5, object()):
        with pytest.raises(BadInput):
            Facts.from_json(changed(path, wrong))


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (("costs",), [], OutOfRange),
        (("costs", 0, "amount", "amount"), "9" * 400, WrongType),
        (("costs", 0, "amount", "amount"), "1e3", WrongType),
        (("costs", 0, "amount", "amount"), "-1", OutOfRange),
        (("costs", 0, "amount", "currency"), "USD", CurrencyMismatch),
        (("book_value", "amount", "currency"), "USD", CurrencyMismatch),
        (("costs", 0, "year"), 2027, OutOfRange),
        (("costs", 0, "year"), True, WrongType),
        (("costs", 0, "kind"), "other", OutOfRange),
        (("costs", 0, "cited", "on"), "2026-07-01", OutOfRange),
        (("costs", 0, "cited", "on"), "2026-02-30", OutOfRange),
        (("costs", 0, "cited", "on"), "20260101", WrongType),
        (("costs", 0, "cited", "document"), "A" * 64, WrongType),
        (("costs", 0, "cited", "source"), "", OutOfRange),
        (("horizon",), "2026-06-29", OutOfRange),
        (("currency",), "yuan", WrongType),
        (("price_index", "levels", "2026"), "0", OutOfRange),
        (("price_index", "levels", "26"), "1", WrongType),
        (("life", "remaining_years"), "0", OutOfRange),
        (("life", "remaining_low"), "3.6", OutOfRange),
        (("life", "remaining_high"), "3.4", OutOfRange),
        (("life", "remaining_low"), None, MissingKey),
        (("life", "age_years"), "-1", OutOfRange),
        (("legal", "title", 0, "expires"), "2022-01-01", OutOfRange),
        (("legal", "title", 0, "issued"), "2026-07-01", OutOfRange),
        (("legal", "disputes"), [{**DISPUTE, "closed": "2026-04-01"}], OutOfRange),
        (("legal", "refresh_days"), 0, OutOfRange),
        (("legal", "lawful_basis", "kind"), "because", OutOfRange),
        (("legal", "refreshed", "on"), "2026-07-01", OutOfRange),
    ],
)
def test_facts_refuse_what_cannot_be(path, value, error):
    with pytest.raises(error):
        Facts.from_json(changed(path, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset", "Cards"), ("owner", "Bank A"), ("standard", "consumer_credit"), ("standard", "consumer_credit/01"),
        ("standard", "X/1"), ("version", 0), ("version", "1"), ("rights", {}), ("rights", {"holding": 1}), ("scenario", ""),
    ],
)  # fmt: skip
def test_assets_are_strict(key, value):
    with pytest.raises(BadInput):
        DataAsset.from_json({**CASE["asset"], key: value})


def test_an_index_must_cover_every_year():
    facts = changed(("price_index", "levels", "2024"), KeyError)
    with pytest.raises(MissingKey) as caught:
        appraise(facts=facts)
    assert caught.value.key == "facts.price_index.levels.2024"


# --- evidence ----------------------------------------------------------------------------------------------------------


def test_evidence_is_about_the_asset_and_the_day():
    for wrong in (evidence(version=2), evidence(party="bank-b")):
        with pytest.raises(Mismatch):
            appraise(ev=wrong)
    for key, value in (("dataset", "loans_2026"), ("standard", "consumer_credit/2")):
        with pytest.raises(Mismatch):
            appraise(asset={**CASE["asset"], key: value})
    with pytest.raises(Mismatch):
        appraise_cost(DataAsset.from_json(CASE["asset"]), Facts.from_json(CASE["facts"]), evidence(), date(2026, 7, 1))
    with pytest.raises(Mismatch):
        appraise(ev=Evidence(()))
    with pytest.raises(Mismatch):  # two draws: an owner must not pick the luckier
        appraise(ev=Evidence(evidence().measured * 2))
    with pytest.raises(Mismatch):
        evidence({"count(*)": (5, 1)}, groups=(ByCategory("region", ("north",)),))


def test_evidence_reads_a_release_as_the_release_does():
    drawn = release()
    measured = Measured.of(drawn, dataset="cards_2026", version=1, on=ON)
    assert measured.digest == drawn.digest
    assert measured.cells == {key: drawn.estimate(key) for key in CASE["counts"]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("totals",), []),
        (("totals", 0), "1.5"),
        (("totals", 0), 5),
        (("variances", "count(*)"), ["1"]),
        (("variances", "count(*)"), ["1", "0"]),
        (("variances", "count(*)"), ["-1", "1"]),
        (("decimals",), {"count(*)": 10}),
        (("plan",), {}),
        (("plan", "measures", 0), {}),
        (("surprise",), 1),
    ],
)
def test_a_broken_release_is_no_evidence(path, value):
    with pytest.raises(BadInput):
        Measured("cards_2026", 1, ON, changed(path, value, release().to_json()))


def test_a_swamped_count_is_refused():
    small = {"count(*)": (300, 400), "filled(balance)": (290, 400), "valid(balance)": (280, 400)}
    with pytest.raises(Swamped):
        appraise(ev=evidence(small))


def test_remarks_on_noise_and_range():
    noisy = {"count(*)": (10_000, 250_000), "filled(balance)": (10_900, 250_000), "valid(balance)": (10_900, 250_000)}
    facts = changed(("life", "remaining_low"), "0.5")
    facts["life"]["remaining_high"] = "30"
    codes = {remark.code for remark in appraise(facts=facts, ev=evidence(noisy)).remarks}
    assert {"alpha-capped", "range-wide"} <= codes
    old = changed(("life", "age_years"), "20")
    assert "delta-unusual" in {remark.code for remark in appraise(facts=old).remarks}


def test_more_documents_that_are_none():
    with pytest.raises(WrongType):
        Evidence.from_json({"measured": [{"dataset": "a", "version": 1, "on": "2026-01-01", "release": []}]})
    with pytest.raises(OutOfRange):
        Facts.from_json(changed(("price_index", "levels"), {str(i): "1" for i in range(10_001)}))
    with pytest.raises(WrongType):
        Facts.from_json(changed(("price_index", "levels"), {"": "1"}))
    with pytest.raises(WrongType):
        Money(Decimal(1), "CNY") / Decimal(2)
    scaled = Money(Decimal(1), "CNY") * Fraction(1, 3)
    assert str(scaled) == "0." + "3" * 34 + " CNY"
