"""Policies as ODRL offers: what is read back decides as what was written, and what is not understood is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.interop import odrl
from privacy.errors import Malformed
from privacy.necessity import decide
from privacy.purposes import PURPOSES
from tests.strategies import STANDARD, mutations, plans, policies, put, rich_policies, wild
from tests.test_policy import FULL

OFFER = json.loads(json.dumps(odrl.export(FULL)))


@settings(max_examples=80, deadline=None)
@given(rich_policies() | policies(), plans(purposes=list(PURPOSES)))
def test_what_is_read_back_decides_as_what_was_written(policy, plan):
    told = json.loads(json.dumps(odrl.export(policy)))
    read = odrl.read(told)
    one, other = (decide(put(plan), standard=STANDARD, policies=[held], approvals=None) for held in (policy, read))
    assert one == other
    assert read.caps == policy.caps
    assert odrl.export(read) == odrl.export(policy)


def test_a_full_policy_comes_back_whole():
    assert odrl.read(OFFER) == FULL


def test_an_offer_speaks_the_words_of_odrl_and_dpv():
    (permission,) = OFFER["permission"]
    told = {(one["leftOperand"], one["operator"]): one["rightOperand"] for one in permission["constraint"]}
    assert told["purpose", "isA"] == {"@id": PURPOSES["credit-risk-statistics"].parent}
    assert told["elapsedTime", "lteq"] == {"@value": "P30D", "@type": "xsd:duration"}
    assert told["dateTime", "lt"] == {"@value": "2027-01-01", "@type": "xsd:date"}
    assert OFFER["conflict"] == "prohibit"  # deny overrides
    assert permission["duty"][0]["action"] == "obtainConsent"
    assert all(
        one["leftOperand"].startswith("mn:") or one["leftOperand"] in odrl._OPERATORS
        for one in permission["constraint"]
    )


@settings(max_examples=400, deadline=None)
@given(mutations(OFFER))
def test_a_changed_offer_is_another_policy_or_refused(document):
    try:
        policy = odrl.read(document)
    except Malformed:
        return
    assert odrl.read(json.loads(json.dumps(odrl.export(policy)))) == policy


FOREIGN = [
    {"leftOperand": "spatial", "operator": "eq", "rightOperand": "CN"},
    {"leftOperand": "mn:rhoPerQuestion", "operator": "gteq", "rightOperand": 5},
    {"leftOperand": "mn:rhoPerQuestion", "operator": "lteq", "rightOperand": 5},
    {"leftOperand": "elapsedTime", "operator": "lteq", "rightOperand": "P30D"},
    {"leftOperand": "dateTime", "operator": "lteq", "rightOperand": {"@value": "2027-01-01", "@type": "xsd:date"}},
    {"leftOperand": "mn:grain", "operator": "eq", "rightOperand": ["age", 10], "unit": "years"},
    {"leftOperand": ["mn:grain"], "operator": "eq", "rightOperand": ["age", 10]},
    {"and": []},
]


@pytest.mark.parametrize("constraint", FOREIGN, ids=str)
def test_a_term_that_is_not_understood_is_refused_and_not_dropped(constraint):
    document = json.loads(json.dumps(OFFER))
    document["permission"][0]["constraint"].append(constraint)
    with pytest.raises(Malformed):
        odrl.read(document)


@pytest.mark.parametrize("place", range(len(OFFER["permission"][0]["constraint"])))
def test_a_limit_that_is_left_out_is_missed_or_known_to_be_optional(place):
    document = json.loads(json.dumps(OFFER))
    dropped = document["permission"][0]["constraint"].pop(place)
    try:
        read = odrl.read(document)
    except Malformed:
        return
    name = dropped["leftOperand"]
    assert name in {
        "mn:grain",
        "mn:labels",
        "mn:rows",
        "mn:halfWidth",
        "mn:answerCells",
        "elapsedTime",
        "mn:sharedFrom",
    }
    assert read != FULL


@given(wild | st.just({}))
def test_nothing_else_is_an_offer(document):
    with pytest.raises(Malformed):
        odrl.read(document)
