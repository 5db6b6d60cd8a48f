"""The proof in a receipt: it follows from plan and standard, each use in it is needed, and no change to it goes unnoticed."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from privacy import canonical
from privacy.atoms import USES, atoms
from privacy.errors import Malformed, Mismatch
from privacy.necessity import decide
from privacy.proof import closed, least_policy, prove, verify
from privacy.terms import Kind
from tests.strategies import PARTIES, STANDARD, generous, mutations, plans, put, wild

STATISTICS = "credit-risk-statistics"
fitting = (
    plans(purposes=[STATISTICS])
    .map(lambda plan: replace(plan, parties=PARTIES, shared=None))
    .map(lambda plan: decide(put(plan), standard=STANDARD, policies=[generous(STATISTICS)]).nearest or plan)
    .filter(lambda plan: decide(put(plan), standard=STANDARD, policies=[generous(STATISTICS)]).allowed)
)


def proof_of(plan, **change):
    granted = {party: generous(STATISTICS, owner=party).digest for party in plan.parties}
    return prove(plan, **{"asker": "lender", "keeps": 30, "standard": STANDARD, "granted": granted} | change)


@settings(max_examples=50, deadline=None)
@given(fitting)
def test_a_proof_follows_from_plan_and_standard_and_each_use_in_it_is_needed(plan):
    proof = canonical.decode(canonical.encode(proof_of(plan)))
    policies = [generous(STATISTICS, owner=party) for party in plan.parties]
    assert verify(proof, plan, STANDARD, policies=policies) == len(atoms(plan)) == len(proof["needed"])
    assert all(item["without_it_fails"] for item in proof["needed"])
    # what is needed and what is withheld are all that the standard has
    opened = {item["use"] for item in proof["needed"]} - {"rows as count"}
    shut = {f"{item['column']} as {use}" for item in proof["withheld"] for use in item["uses"]}
    held = [column.name for column in STANDARD.columns if column.kind is not Kind.IDENTIFIER]
    assert opened.isdisjoint(shut)
    assert opened | shut == {f"{name} as {use}" for name in held for use in USES}
    assert {column for column, _ in closed(proof)} == {item["column"] for item in proof["withheld"]}


@settings(max_examples=50, deadline=None)
@given(fitting)
def test_the_least_policy_allows_the_plan_and_nothing_smaller_does(plan):
    least = least_policy(plan)
    assert decide(put(plan), standard=STANDARD, policies=[least]).allowed
    (grant,) = least.grants
    for atom in atoms(plan):
        uses = tuple(use for use in grant.columns[atom.column] if use != atom.use)
        without = replace(least, grants=(replace(grant, columns=grant.columns | {atom.column: uses}),))
        refused = decide(put(plan), standard=STANDARD, policies=[without])
        assert {violation.item for violation in refused.violations} == {str(atom)}


@settings(max_examples=150, deadline=None)
@given(fitting, st.data())
def test_no_change_to_a_proof_goes_unnoticed(plan, data):
    proof = proof_of(plan)
    changed = data.draw(mutations(proof))
    assume(changed != proof)
    policies = [generous(STATISTICS, owner=party) for party in plan.parties]
    try:
        verify(changed, plan, STANDARD, policies=policies)
    except (Malformed, Mismatch):
        return
    # who asked and for how long the result is kept are the asker's own words: any may stand there that would be allowed
    asked = changed["asked"] | {"asker": "lender", "keeps": 30}
    assert {**changed, "asked": asked} == proof


@settings(max_examples=25, deadline=None)
@given(fitting, fitting)
def test_a_proof_of_another_plan_or_standard_is_refused(plan, other):
    assume(plan != other)
    with pytest.raises(Mismatch):
        verify(proof_of(plan), other, STANDARD)
    with pytest.raises((Mismatch, Malformed)):
        verify(proof_of(plan), plan, replace(STANDARD, title="another"))
    with pytest.raises(Mismatch):
        verify(
            proof_of(plan), plan, STANDARD, policies=[replace(generous(STATISTICS, owner=plan.parties[0]), version=9)]
        )
    with pytest.raises(Mismatch):
        verify(proof_of(plan, granted={}), plan, STANDARD)


@settings(max_examples=25, deadline=None)
@given(fitting)
def test_an_over_ask_has_no_proof(plan):
    """What no owner could grant is in no receipt: the proof of it does not hold."""
    level = tuple(
        replace(column, level=5) if column.kind is not Kind.IDENTIFIER else column for column in STANDARD.columns
    )
    closed_all = replace(STANDARD, columns=level)
    asked = replace(plan, standard_digest=closed_all.digest)
    assume(any(atom.column != "*" for atom in atoms(asked)))
    with pytest.raises(Mismatch):
        verify(proof_of(asked, standard=closed_all), asked, closed_all)


@given(wild)
def test_nothing_else_is_a_proof(document):
    from tests.test_policy import asking

    with pytest.raises((Malformed, Mismatch)):
        verify(document, asking(), STANDARD)
