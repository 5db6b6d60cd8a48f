"""Noise that the parties share: what the plan promises against t colluding parties, recomputed in exact fractions."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.errors import Malformed
from privacy.ledger import coalitions
from privacy.necessity import decide
from privacy.plan import CountRows, Plan, Sum
from privacy.sensitivity import LEAST_SIGMA, calibrate
from privacy.terms import NANO, Bounds
from tests.strategies import plans


def plan(parties: int, shared: int | None, rho: int = NANO // 10) -> Plan:
    return Plan(
        standard="credit/1",
        standard_digest="a" * 64,
        purpose="credit-risk-statistics",
        parties=tuple(f"bank-{index}" for index in range(parties)),
        rows_per_unit=3,
        institutions_per_unit=2,
        groups=(),
        where=(),
        measures=(CountRows(), Sum("balance", Bounds(0, 1000))),
        rho=rho,
        shared=shared,
    )


@given(st.integers(2, 9), st.data())
def test_the_noise_of_all_but_t_parties_keeps_the_price(parties, data):
    colluding = data.draw(st.integers(0, parties - 2))
    rho = data.draw(st.integers(2, 10 * NANO))
    asked = plan(parties, colluding, rho)
    cost = sum(Fraction(scale.reach**2) / (2 * (parties - colluding) * scale.sigma**2) for scale in calibrate(asked))
    assert cost <= Fraction(rho - 1, NANO), "one unit is set aside for what a sum of discrete Gaussians is not"
    assert all(scale.sigma >= LEAST_SIGMA for scale in calibrate(asked))


@given(st.integers(3, 9))
def test_sharing_saves_noise_and_standalone_is_the_dearest(parties):
    alone = {scale.measure.key: scale.sigma for scale in calibrate(plan(parties, None))}
    for colluding in range(parties - 1):
        shared = {scale.measure.key: scale.sigma for scale in calibrate(plan(parties, colluding))}
        for key, sigma in shared.items():
            wanted = float(alone[key] ** 2 / (parties - colluding))
            assert sigma == LEAST_SIGMA or float(sigma**2) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize(("parties", "shared"), [(2, 1), (3, 2), (3, 3), (1, 0), (3, -1), (3, True)])
def test_sharing_among_fewer_than_two_honest_parties_is_no_plan(parties, shared):
    with pytest.raises((Malformed, TypeError)):
        Plan.from_json(plan(parties, None).to_json() | {"shared": shared})


def test_the_receipt_prices_every_coalition():
    told = dict(coalitions(plan(5, 2)))
    assert told["public"] == -(-NANO // 10 * 3 // 5)
    assert told["analyst, exchange and 2 of 5 parties"] == NANO // 10
    assert told["analyst, exchange and 4 of 5 parties"] == 3 * NANO // 10
    assert list(told.values()) == sorted(told.values())
    assert dict(coalitions(plan(5, None)))["analyst, exchange and 4 of 5 parties"] == NANO // 10


@given(plans())
def test_a_plan_counts_on_one_party_unless_it_says_otherwise(asked):
    assert replace(asked, shared=None).counted == 1
    if len(asked.parties) > 2:
        assert replace(asked, shared=1, rho=max(asked.rho, 2)).counted == len(asked.parties) - 1


def test_an_owner_who_has_not_agreed_to_shared_noise_refuses_it(consumer_credit, policy_of):
    asked = replace(
        plan(3, 1),
        standard=consumer_credit.id,
        standard_digest=consumer_credit.digest,
        rows_per_unit=consumer_credit.rows_per_unit,
        institutions_per_unit=consumer_credit.institutions_per_unit,
        measures=(CountRows(),),
    )
    for shared_from, allowed in ((None, False), (2, False), (1, True), (0, True)):
        policy = policy_of(shared_from=shared_from)
        decision = decide(asked, asker="lender-x", standard=consumer_credit, policies=[policy])
        assert decision.allowed is allowed
        if not allowed:
            assert [violation.item for violation in decision.violations] == ["noise"]
            assert decision.nearest == replace(asked, shared=None)


@pytest.fixture
def consumer_credit():
    from exchange.standards import shipped

    return shipped("consumer_credit/1")


@pytest.fixture
def policy_of():
    from privacy.necessity import Grant, Policy

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
            standard="consumer_credit/1",
            version=1,
            everyone=NANO,
            partner=NANO,
            grants=(grant,),
            bounds={},
            domains={},
        )

    return build
