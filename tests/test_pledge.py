"""Recognised value and limit: worked example, exact decisions, haircuts, caps, tenor, and reports that verify."""

import copy
import json
import tomllib
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import canonical
from privacy.errors import Malformed, Mismatch, PrivacyError
from privacy.plan import CountFilled, CountRows, CountUnits, CountValid, Plan
from privacy.release import Release
from valuation import reperform
from valuation.asset import DataAsset
from valuation.cost import appraise_cost
from valuation.errors import (
    BadInput,
    CurrencyMismatch,
    Differs,
    GatesClosed,
    MissingKey,
    OutOfRange,
    UnknownKey,
    WrongType,
)
from valuation.evidence import Evidence, Measured
from valuation.facts import Facts
from valuation.money import Money
from valuation.pledge import quote, recognised_value_limit
from valuation.report import Necessity, compose, verify
from valuation.terms import HAIRCUTS, Haircut, Terms, propose_terms

VECTORS = Path(__file__).parent / "vectors"
CASE = json.loads((VECTORS / "valuation_case.json").read_text("utf-8"))
EXAMPLE = next(
    example
    for example in json.loads((VECTORS / "valuation_spine.json").read_text("utf-8"), parse_float=Decimal)["vectors"]
    if example["method"] == "recognised_value_limit"
)
DESK = EXAMPLE["inputs"]


def appraisal(facts=None, purpose="pledge-valuation"):
    kinds = {"filled": CountFilled, "valid": CountValid}
    plain = {"count(*)": CountRows(), "count(distinct unit)": CountUnits()}
    plan = Plan(
        standard="consumer_credit/1",
        standard_digest="0" * 64,
        purpose=purpose,
        parties=("bank-a",),
        rows_per_unit=5,
        institutions_per_unit=2,
        groups=(),
        where=(),
        measures=tuple(
            plain.get(key) or kinds[key.partition("(")[0]](key.partition("(")[2][:-1]) for key in CASE["counts"]
        ),
        rho=1_000_000,
    )
    totals = tuple(CASE["counts"][cell.key][0] for cell, _, _ in plan.cells())
    drawn = Release(plan, "s", totals, {key: Fraction(pair[1]) for key, pair in CASE["counts"].items()}, {})
    evidence = Evidence((Measured.of(drawn, dataset="cards_2026", version=1, on=date(2026, 6, 29)),))
    asset = DataAsset.from_json(CASE["asset"])
    return appraise_cost(asset, Facts.from_json(facts or CASE["facts"]), evidence, date(2026, 6, 30))


APPRAISAL = appraisal()
TERMS = Terms.from_json(CASE["terms"])
NECESSITY = Necessity.from_json(CASE["necessity"])
REPORT = compose(APPRAISAL, quote(APPRAISAL, TERMS), NECESSITY)


def yuan(amount):
    return Money(Decimal(amount), "CNY")


def codes(quoted):
    return {remark.code for remark in quoted.remarks}


# --- the method by its contract ----------------------------------------------------------------------------------------


def test_limit_reproduces_the_worked_example():
    outputs = recognised_value_limit(DESK)
    assert list(outputs) == list(EXAMPLE["outputs"])
    for key, want in EXAMPLE["outputs"].items():
        if isinstance(want, str):
            assert outputs[key] == want
        else:
            assert abs(Fraction(outputs[key]) - Fraction(want)) <= Fraction("1e-9") * abs(Fraction(want))


cents = st.integers(0, 10**10)


@given(
    st.integers(1, 10**10),
    cents,
    st.lists(st.integers(0, 999), max_size=6),
    cents,
    st.integers(1, 1000),
    cents,
    cents,
    cents,
)
def test_limit_equals_a_second_implementation(value, lower, cuts, prior, cap, dscr, revenue, policy):
    outputs = recognised_value_limit(
        {
            "appraised": Decimal(value) / 100,
            "lower_bound": Decimal(lower) / 100,
            "haircuts": {f"h{i}": Decimal(cut) / 1000 for i, cut in enumerate(cuts)},
            "prior_liens": Decimal(prior) / 100,
            "ltv_cap": Decimal(cap) / 1000,
            "dscr_cap": Decimal(dscr) / 100,
            "revenue_cap": Decimal(revenue) / 100,
            "policy_cap": Decimal(policy) / 100,
            "book_value": 7,
        }
    )
    # in integers: cents times 1000 for each haircut
    scale = 1000 ** len(cuts)
    kept = min(value, lower)
    for cut in cuts:
        kept *= 1000 - cut
    kept = max(kept - prior * scale, 0)
    best = [
        (kept * cap, 0, "ltv"),
        (dscr * 1000 * scale, 1, "dscr"),
        (revenue * 1000 * scale, 2, "revenue"),
        (policy * 1000 * scale, 3, "policy"),
    ]
    least, _, name = min(best)
    tiny = Fraction("1e-30")

    def same(got, want):
        return abs(Fraction(got) - want) <= tiny * abs(want)

    assert outputs["binding"] == name
    assert same(outputs["recognised_value"], Fraction(kept, 100 * scale))
    assert same(outputs["limit"], Fraction(least, 100_000 * scale))
    assert same(outputs["total_haircut"], 1 - Fraction(kept, value * scale))
    assert same(outputs["ltv_on_appraised"], Fraction(least, 1000 * scale * value))
    assert same(outputs["value_to_book"], Fraction(value, 700))


def test_ties_go_to_the_first_constraint():
    level = {**DESK, "haircuts": {}, "lower_bound": 100, "ltv_cap": Decimal("0.1"), "prior_liens": 0}
    level |= {"dscr_cap": 10, "revenue_cap": 10, "policy_cap": 10}
    assert recognised_value_limit(level)["binding"] == "ltv"
    assert (
        recognised_value_limit({**level, "dscr_cap": Decimal("9.999"), "revenue_cap": Decimal("9.999")})["binding"]
        == "dscr"
    )
    assert recognised_value_limit({**level, "prior_liens": 10**9})["recognised_value"] == 0


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("appraised", 0, OutOfRange),
        ("appraised", 1.0, WrongType),
        ("appraised", Decimal("9" * 400), OutOfRange),
        ("lower_bound", -1, OutOfRange),
        ("lower_bound", None, WrongType),
        ("haircuts", [], WrongType),
        ("haircuts", {"liquidity": 1}, OutOfRange),
        ("haircuts", {"liquidity": Decimal("-0.1")}, OutOfRange),
        ("haircuts", {"liquidity": Decimal("NaN")}, OutOfRange),
        ("prior_liens", -1, OutOfRange),
        ("ltv_cap", 0, OutOfRange),
        ("ltv_cap", Decimal("1.01"), OutOfRange),
        ("dscr_cap", Decimal("Infinity"), OutOfRange),
        ("revenue_cap", "1", WrongType),
        ("policy_cap", True, WrongType),
        ("book_value", 0, OutOfRange),
        ("surprise", 0, UnknownKey),
    ],
)
def test_limit_refuses_and_names_the_key(key, value, error):
    with pytest.raises(error) as caught:
        recognised_value_limit({**DESK, key: value})
    assert caught.value.key.startswith(key)
    if key != "surprise":
        with pytest.raises(MissingKey):
            recognised_value_limit({name: item for name, item in DESK.items() if name != key})


# --- quote -------------------------------------------------------------------------------------------------------------


def test_quote_equals_a_second_computation():
    got = quote(APPRAISAL, TERMS)
    kept = Fraction(95, 100) * Fraction(1, 2) * Fraction(6, 10) * Fraction(8, 10) * Fraction(9, 10)
    recognised = APPRAISAL.low.fraction * kept
    assert abs(got.recognised.fraction - recognised) < Fraction("1e-20")
    assert got.limit.fraction == floor(recognised / 5)
    assert got.binding == "ltv"
    assert got.ltv.fraction < Fraction(1, 5)
    assert got.red_flags == ()
    assert codes(got) == {"constraint-absent"}
    assert propose_terms(APPRAISAL, lender="lender-x", maturity=TERMS.maturity, policy_cap=TERMS.policy_cap) == replace(
        TERMS, haircuts={}
    )


shares = st.integers(0, 99).map(lambda n: Decimal(n) / 100)


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(HAIRCUTS, shares)), st.sampled_from(sorted(HAIRCUTS)), cents)
def test_a_higher_haircut_or_prior_claim_never_raises_the_limit(cuts, name, prior):
    def with_cuts(chosen, liens=0):
        haircuts = {key: Haircut(share, "agreed") for key, share in chosen.items()}
        return quote(APPRAISAL, replace(TERMS, haircuts=haircuts, prior_liens=yuan(liens)))

    plain = with_cuts(cuts)
    higher = with_cuts({**cuts, name: (cuts[name] + 1) / 2})
    assert higher.limit.money <= plain.limit.money
    assert higher.recognised.money < plain.recognised.money
    assert with_cuts(cuts, prior).limit.money <= plain.limit.money
    ceiling = plain.recognised.fraction * Fraction(1, 5)
    assert plain.limit.fraction <= ceiling < plain.limit.fraction + 1


def test_each_constraint_can_bind():
    free = quote(APPRAISAL, TERMS).limit.fraction
    for name in ("dscr_capacity", "revenue_cap", "policy_cap"):
        got = quote(APPRAISAL, replace(TERMS, **{name: yuan("1000.99")}))
        assert got.limit.value == yuan(1000)
        assert got.binding == name.partition("_")[0]
    both = replace(TERMS, dscr_capacity=yuan(10**8), revenue_cap=yuan(10**8))
    assert quote(APPRAISAL, both).limit.fraction == free
    assert "constraint-absent" not in codes(quote(APPRAISAL, both))


def test_unusual_terms_are_remarked():
    mild = {name: Haircut(Decimal("0.01"), "the lender's view") for name in HAIRCUTS}
    got = quote(APPRAISAL, replace(TERMS, haircuts=mild, maturity=date(2027, 9, 30)))
    assert {"haircut-unusual", "haircut-low", "tenor-unusual"} <= codes(got)
    assert dict(got.haircuts)["liquidity"].share == Decimal("0.01")
    assert quote(APPRAISAL, replace(TERMS, prior_liens=yuan(10**9))).limit.value == yuan(0)
    assert "no-lending-value" in codes(quote(APPRAISAL, replace(TERMS, prior_liens=yuan(10**9))))


def with_facts(**changes):
    return {**copy.deepcopy(CASE["facts"]), **changes}


def test_value_far_above_book_is_a_red_flag():
    book = {**CASE["facts"]["book_value"], "amount": {"amount": "1000000", "currency": "CNY"}}
    assert {flag.code for flag in quote(appraisal(with_facts(book_value=book)), TERMS).red_flags} == {"red-flag-book"}
    book["amount"] = {"amount": "0", "currency": "CNY"}
    unbooked = quote(appraisal(with_facts(book_value=book)), TERMS)
    assert {flag.code for flag in unbooked.red_flags} == {"red-flag-unbooked"}
    assert unbooked.value_to_book is None


def test_public_data_bears_a_higher_title_haircut():
    facts = with_facts()
    facts["legal"]["owner_form"] = "authorised_operator"
    assert dict(quote(appraisal(facts), TERMS).haircuts)["legal_title"].share == Decimal("0.15")


def test_worthless_assets_are_quoted_at_nothing():
    line = {**CASE["facts"]["costs"][0], "amount": {"amount": "0", "currency": "CNY"}}
    worthless = appraisal(with_facts(costs=[line]))
    got = quote(worthless, TERMS)
    assert got.limit.value == yuan(0)
    assert got.ltv is None
    assert "worthless" in {remark.code for remark in worthless.remarks}
    assert verify(compose(worthless, got, NECESSITY)).figures


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"ltv_cap": Decimal("0.21")}, OutOfRange),
        ({"ltv_cap": Decimal("NaN")}, WrongType),
        ({"maturity": date(2026, 6, 30)}, OutOfRange),
        ({"maturity": date(2028, 1, 1)}, GatesClosed),
        ({"policy_cap": Money(Decimal(1), "USD")}, CurrencyMismatch),
        ({"dscr_capacity": Money(Decimal(-1), "CNY")}, OutOfRange),
        ({"haircuts": {"mood": Haircut(Decimal("0.1"), "x")}}, UnknownKey),
        ({"haircuts": {"liquidity": Haircut(Decimal(1), "x")}}, OutOfRange),
        ({"haircuts": {"liquidity": Haircut(Decimal("0.1"), "")}}, OutOfRange),
    ],
)
def test_impossible_terms_are_refused(change, error):
    with pytest.raises(error):
        quote(APPRAISAL, replace(TERMS, **change))


def test_a_loan_may_not_outlive_the_data():
    facts = with_facts()
    facts["life"] |= {"remaining_low": "1", "remaining_high": "5"}
    with pytest.raises(GatesClosed) as caught:
        quote(appraisal(facts), TERMS)
    assert caught.value.findings[0].gate == "tenor"


def test_terms_read_themselves_back():
    document = {**CASE["terms"], "haircuts": {"liquidity": {"share": "0.4", "reason": "operator's quote"}}}
    assert Terms.from_json(document).to_json() == document
    for key in document:
        with pytest.raises(MissingKey):
            Terms.from_json({name: value for name, value in document.items() if name != key})
    with pytest.raises(MissingKey):
        Terms.from_json({**document, "policy_cap": None})
    with pytest.raises(UnknownKey):
        Terms.from_json({**document, "gift": 1})


# --- report ------------------------------------------------------------------------------------------------------------


def leaves(document, prefix=()):
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key)


def flip(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str) and value:
        last = value[-1]
        return value[:-1] + ("1" if last == "0" else "0" if last.isdigit() else "x" if last != "x" else "y")
    return "1"


def flipped(path):
    document = copy.deepcopy(REPORT)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = flip(inner[path[-1]])
    return document


def test_a_report_verifies_as_object_and_as_bytes_and_is_deterministic():
    data = canonical.encode(REPORT)
    assert verify(data) == verify(REPORT) == verify(json.loads(data))
    assert verify(data).figures == len(REPORT["figures"])
    assert compose(appraisal(), quote(appraisal(), TERMS), NECESSITY) == REPORT
    alone = compose(APPRAISAL, None, NECESSITY)
    assert verify(alone).figures < len(REPORT["figures"])


def test_a_report_says_what_it_is_and_what_was_withheld():
    assert "not an appraisal report signed by a licensed firm" in REPORT["notice"]["en"]
    assert "不是由持牌机构签署的资产评估报告" in REPORT["notice"]["zh"]
    assert REPORT["inputs"]["necessity"]["withheld"][0]["item"] == "sum(balance)"
    assert Necessity.from_json(CASE["necessity"]).to_json() == CASE["necessity"]
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"{project['name']} {project['version']}" == reperform.CODE


def test_every_conclusion_is_a_figure_and_every_reason_stands_before():
    known = set()
    for figure in REPORT["figures"]:
        assert figure["key"] not in known
        assert set(figure["because"]) <= known
        known.add(figure["key"])
    assert {REPORT["conclusion"][key] for key in ("low", "central", "high", "recognised", "limit")} <= known


@pytest.mark.parametrize("index", range(len(REPORT["figures"])), ids=[figure["key"] for figure in REPORT["figures"]])
def test_a_flip_of_any_figure_is_found_and_named(index):
    for field in REPORT["figures"][index]:
        path = ("figures", index, field) if field != "because" else ("figures", index, "because", 0)
        if field == "because" and not REPORT["figures"][index]["because"]:
            continue
        with pytest.raises(Differs) as caught:
            verify(flipped(path))
        assert caught.value.place == REPORT["figures"][index]["key"]


@pytest.mark.parametrize("path", [p for p in leaves(REPORT) if p[0] != "figures"], ids=lambda p: ".".join(map(str, p)))
def test_a_flip_of_anything_else_is_found(path):
    with pytest.raises(PrivacyError) as caught:
        verify(flipped(path))
    if path[0] != "inputs":
        assert isinstance(caught.value, Differs | Malformed)


def test_dropped_figures_and_foreign_documents_are_refused():
    fewer, more = copy.deepcopy(REPORT), copy.deepcopy(REPORT)
    fewer["figures"].pop()
    more["figures"].append(more["figures"][-1])
    for document in (fewer, more):
        with pytest.raises(Differs) as caught:
            verify(document)
        assert caught.value.place == "the number of figures"
    for wrong in (b"", b"{}", b"[]", b"1.5", b"\xff", {}, {**REPORT, "extra": 1}, {**REPORT, "figures": {}}):
        with pytest.raises(Malformed):
            verify(wrong)
    spaced = json.dumps(REPORT).encode()
    with pytest.raises(Malformed):
        verify(spaced)
    for part, value in (("name", "cost_magic"), ("mode", "luck")):
        odd = copy.deepcopy(REPORT)
        odd["inputs"]["method"][part] = value
        with pytest.raises(BadInput):
            verify(odd)


def test_a_report_keeps_to_one_appraisal_and_one_purpose():
    other = appraisal(with_facts(horizon="2028-01-01"))
    with pytest.raises(Mismatch):
        compose(APPRAISAL, quote(other, TERMS), NECESSITY)
    with pytest.raises(Mismatch):
        compose(appraisal(purpose="credit-risk-statistics"), None, NECESSITY)
