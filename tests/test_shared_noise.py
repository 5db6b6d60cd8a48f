"""Noise that the parties share: what the plan promises against t colluding parties, recomputed in exact fractions."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.errors import Malformed
from privacy.expression import Value
from privacy.ledger import coalitions
from privacy.necessity import decide
from privacy.plan import CountRows, Plan, Sum
from privacy.sensitivity import LEAST_SIGMA, calibrate
from privacy.terms import NANO, Bounds
from tests.strategies import STANDARD, plans, put

K = 2
"""Institutions that a person may be at."""


def plan(parties: int, shared: int | None, rho: int = NANO // 10, institutions: int = K) -> Plan:
    return Plan(
        standard="credit/1",
        standard_digest="a" * 64,
        purpose="credit-risk-statistics",
        parties=tuple(f"bank-{index}" for index in range(parties)),
        rows_per_unit=3,
        institutions_per_unit=institutions,
        groups=(),
        where=(),
        measures=(CountRows(), Sum(Value("balance"))),
        rho=rho,
        bounds=(("balance", Bounds(0, 1000)),),
        shared=shared,
    )


@given(st.integers(2, 9), st.data())
def test_the_noise_of_all_but_t_parties_keeps_the_price(parties, data):
    colluding = data.draw(st.integers(0, parties - 2))
    rho = data.draw(st.integers(4, 10 * NANO))
    institutions = data.draw(st.integers(1, 5))
    asked = plan(parties, colluding, rho, institutions)
    for honest in range(parties - colluding, parties + 1):
        at = min(institutions, honest)  # of the honest parties, so many hold rows of one person
        for scale, price in zip(calibrate(asked), asked.prices, strict=True):
            cost = at * at * Fraction(scale.reach_squared) / (2 * honest * scale.sigma**2)
            assert cost <= Fraction(price - 1, NANO), "a unit of each is set aside for what sums of Gaussians are not"
    assert all(scale.sigma >= LEAST_SIGMA for scale in calibrate(asked))


@given(st.integers(3, 9))
def test_sharing_saves_noise_and_standalone_is_the_dearest(parties):
    alone = {scale.measure.key: scale.sigma for scale in calibrate(plan(parties, None))}
    for colluding in range(parties - 1):
        shared = {scale.measure.key: scale.sigma for scale in calibrate(plan(parties, colluding))}
        for key, sigma in shared.items():
            wanted = float(alone[key] ** 2 * K / max(K, parties - colluding))
            assert sigma == LEAST_SIGMA or float(sigma**2) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize(("parties", "shared"), [(2, 1), (3, 2), (3, 3), (1, 0), (3, -1), (3, True)])
def test_sharing_among_fewer_than_two_honest_parties_is_no_plan(parties, shared):
    with pytest.raises((Malformed, TypeError)):
        Plan.from_json(plan(parties, None).to_json() | {"shared": shared})


def test_the_receipt_prices_every_coalition():
    """Five parties, noise that withstands two, people at two of them: the cost is that of min(2, h) rows, over h."""
    told = dict(coalitions(plan(5, 2)))
    cost = NANO // 10
    assert told["public"] == told["analyst"] == told["analyst and exchange"] == -(-cost * 3 // 5)
    assert told["analyst, exchange and 1 of 5 parties"] == -(-cost * 3 // 4)
    assert told["analyst, exchange and 2 of 5 parties"] == cost
    assert told["analyst, exchange and 3 of 5 parties"] == cost * 3 // 2
    # the one party that is left holds the rows of one institution, and one party's noise
    assert told["analyst, exchange and 4 of 5 parties"] == cost * 3 // 4
    alone = dict(coalitions(plan(5, None)))
    assert alone["public"] == cost * 2 // 5
    assert alone["analyst, exchange and 3 of 5 parties"] == cost
    assert alone["analyst, exchange and 4 of 5 parties"] == cost // 2
    assert max(alone.values()) == cost


@given(plans())
def test_a_plan_counts_on_one_party_unless_it_says_otherwise(asked):
    assert replace(asked, shared=None).counted == 1
    if len(asked.parties) > 2:
        rho = max(asked.rho, 2 * len(asked.measures))
        assert replace(asked, shared=1, rho=rho, prices=()).counted == len(asked.parties) - 1


def test_an_owner_who_has_not_agreed_to_shared_noise_refuses_it(policy_of):
    asked = replace(
        plan(3, 1),
        standard=STANDARD.id,
        standard_digest=STANDARD.digest,
        rows_per_unit=STANDARD.rows_per_unit,
        institutions_per_unit=STANDARD.institutions_per_unit,
        measures=(CountRows(),),
        prices=(),
        bounds=(),
    )
    for shared_from, allowed in ((None, False), (2, False), (1, True), (0, True)):
        policy = policy_of(shared_from=shared_from)
        decision = decide(put(asked, asker="lender-x"), standard=STANDARD, policies=[policy])
        assert decision.allowed is allowed
        if not allowed:
            assert [violation.item for violation in decision.violations] == ["noise"]
            assert decision.nearest == replace(asked, shared=None)


@pytest.fixture
def policy_of():
    from privacy.policy import Grant, Policy

    def build(*, shared_from: int | None) -> Policy:
        grant = Grant(
            purpose="credit-risk-statistics",
            recipients=("*",),
            columns={"*": ("count",)},
            min_parties=3,
            min_group=10,
            rho_per_query=NANO,
            budget=NANO,
            shared_from=shared_from,
        )
        return Policy(
            owner="bank-0",
            dataset="accounts",
            standard=STANDARD.id,
            version=1,
            everyone=NANO,
            partner=NANO,
            grants=(grant,),
            bounds={},
            domains={},
        )

    return build
