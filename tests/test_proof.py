"""How much may be lent by how the income is proven: decided from documents, stated in the report, and no more than that."""

import copy
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.test_pledge import APPRAISAL
from tests.test_valuation import CASE
from tests.test_valuation_reconcile import FACTS, JUDGEMENT, value
from valuation.errors import GatesClosed, OutOfRange
from valuation.money import Money
from valuation.pledge import quote
from valuation.proof import LTV_CAPS, Proof, proven
from valuation.terms import Terms, propose_terms

TERMS = Terms.from_json(CASE["terms"])
CITED = {"source": "meter of the exchange", "owner": "bank-a", "on": "2026-05-31", "document": "b" * 64}
LOG = {"since": "2025-06-01", "uses": 1200, "cited": CITED}
YEAR = Fraction(1)


def judged(share="0.5"):
    weights = copy.deepcopy(JUDGEMENT["weights"])
    weights["income"]["share"], weights["market"]["share"] = share, str(Decimal("0.8") - Decimal(share))
    return {**JUDGEMENT, "weights": weights, "spreads": [], "scenarios": [], "draws": 100}


def valued(*, contracted=(), usage=None, share="0.5", sales=None):
    facts = copy.deepcopy(FACTS)
    for line in facts["income"]["lines"]:
        line["ground"] = "contract" if line["year"] in contracted else "forecast"
        if sales and line["kind"] == "revenue":
            line["amount"]["amount"] = sales
    if usage:
        facts["usage"] = usage
    return value(judged(share), facts)


def test_the_caps_are_those_of_the_practice():
    assert {proof.value: str(cap) for proof, cap in LTV_CAPS.items()} == {
        "contract": "0.50",
        "usage": "0.35",
        "cost": "0.20",
        "unused": "0",
    }


@pytest.mark.parametrize(
    ("facts", "years", "want"),
    [
        ({}, 1, Proof.COST),
        ({"contracted": (1,)}, 1, Proof.CONTRACT),
        ({"contracted": (1, 2)}, Fraction(366, 365), Proof.CONTRACT),
        # a loan that outlasts the contracts leans on a forecast
        ({"contracted": (1,)}, Fraction(366, 365), Proof.COST),
        ({"contracted": (2, 3)}, 1, Proof.COST),
        ({"contracted": (1, 2, 3), "share": "0.49"}, 1, Proof.COST),
        ({"contracted": (1, 2, 3), "sales": "0.01"}, 1, Proof.COST),
        ({"usage": LOG}, 1, Proof.USAGE),
        ({"usage": LOG, "contracted": (1,)}, 1, Proof.CONTRACT),
        ({"usage": LOG, "share": "0"}, 1, Proof.COST),
        ({"usage": LOG | {"since": "2025-12-02"}}, 1, Proof.USAGE),
        ({"usage": LOG | {"since": "2025-12-03"}}, 1, Proof.COST),
        ({"usage": LOG | {"cited": CITED | {"on": "2026-03-30"}}}, 1, Proof.USAGE),
        ({"usage": LOG | {"cited": CITED | {"on": "2026-03-29"}}}, 1, Proof.COST),
        ({"usage": LOG | {"uses": 0}, "contracted": (1, 2, 3)}, 1, Proof.UNUSED),
    ],
)
def test_documents_decide(facts, years, want):
    found = proven(valued(**facts), Fraction(years))
    assert found.proof is want
    assert found.cap == LTV_CAPS[want]
    assert (found.document != "") == (want is not Proof.COST or ("usage" in facts and "share" not in facts))


def test_the_report_states_the_cap_and_its_document():
    got = valued(contracted=(1, 2, 3))
    quoted = quote(got, replace(TERMS, ltv_cap=Decimal("0.5")))
    most = quoted.limit.find("pledge.ltv_most")
    assert (most.value, most.source) == (Decimal("0.50"), "all revenue up to maturity is contracted")
    assert most.label == "highest LTV cap, income proven by contract"
    assert most.evidence == FACTS["income"]["lines"][0]["cited"]["document"]
    with pytest.raises(OutOfRange) as caught:
        quote(valued(usage=LOG), replace(TERMS, ltv_cap=Decimal("0.351")))
    assert caught.value.key == "terms.ltv_cap"
    assert "0.35]" in caught.value.allowed


def test_data_that_nobody_used_bears_no_loan():
    got = valued(usage=LOG | {"uses": 0})
    with pytest.raises(GatesClosed) as caught:
        quote(got, TERMS)
    assert [finding.gate for finding in caught.value.findings] == ["income_proof"]
    proposed = propose_terms(got, lender="lender-x", maturity=date(2027, 6, 30), policy_cap=TERMS.policy_cap)
    with pytest.raises(GatesClosed):
        quote(got, proposed)


def test_proposed_terms_take_the_cap_of_the_proof():
    for got, cap in ((APPRAISAL, "0.20"), (valued(usage=LOG), "0.35"), (valued(contracted=(1,)), "0.50")):
        proposed = propose_terms(
            got, lender="lender-x", maturity=date(2027, 6, 30), policy_cap=Money(Decimal(10**7), "CNY")
        )
        assert proposed.ltv_cap == Decimal(cap)
        assert quote(got, proposed).limit.fraction >= 0


def test_a_log_cannot_be_of_the_future_or_end_before_it_begins():
    for log, key in (
        (LOG | {"since": "2026-06-01"}, "facts.usage.since"),
        (LOG | {"cited": CITED | {"on": "2026-07-01"}}, "facts.usage.cited.on"),
        (LOG | {"uses": -1}, "facts.usage.uses"),
    ):
        with pytest.raises(OutOfRange) as caught:
            valued(usage=log)
        assert caught.value.key == key
