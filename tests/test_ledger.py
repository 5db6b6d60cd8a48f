"""Charges fit every cap or leave no trace; epsilon is checked against Google's accountant and the Gaussian itself."""

import math
import re
from fractions import Fraction

import dp_accounting
import pytest
from dp_accounting import rdp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from scipy.stats import norm
from test_sensitivity import plan_of

from privacy.errors import Exhausted, Malformed
from privacy.ledger import Caps, Spent, charge, coalitions, epsilon, remaining
from privacy.plan import CountRows
from privacy.terms import NANO, rho

PURPOSES = ("credit-risk-statistics", "pledge-valuation")
LENDERS = ("lender", "other", "third")


def plan_at(rho, purpose="credit-risk-statistics"):
    plan = plan_of(CountRows(), rho=rho)
    object.__setattr__(plan, "purpose", purpose)
    return plan


class History(RuleBasedStateMachine):
    """Any history of charges by any partners for any purposes, recomputed from the list of what was granted."""

    @initialize(
        everyone=st.integers(0, 40), partner=st.integers(0, 20), first=st.integers(0, 20), second=st.integers(0, 20)
    )
    def open(self, everyone, partner, first, second):
        self.caps = Caps(everyone, partner, dict(zip(PURPOSES, (first, second), strict=True)))
        self.charged = []

    def _room(self, partner, purpose):
        everyone = self.caps.everyone - sum(rho for _, _, rho in self.charged)
        mine = self.caps.partner - sum(rho for who, _, rho in self.charged if who == partner)
        listed = self.caps.purposes.get(purpose, 0) - sum(rho for _, what, rho in self.charged if what == purpose)
        return min(everyone, mine, listed)

    @rule(rho=st.integers(1, 12), partner=st.sampled_from(LENDERS), purpose=st.sampled_from((*PURPOSES, "unlisted")))
    def ask(self, rho, partner, purpose):
        spent = Spent(
            everyone=sum(amount for _, _, amount in self.charged),
            partner=sum(amount for who, _, amount in self.charged if who == partner),
            purpose=sum(amount for _, what, amount in self.charged if what == purpose),
        )
        room = self._room(partner, purpose)
        plan = plan_at(rho, purpose)
        if rho <= room:
            receipt = charge(plan, caps=self.caps, spent=spent, population="people", partner=partner)
            assert (receipt.charged, receipt.left, receipt.plan_hash) == (rho, room - rho, plan.hash)
            assert (receipt.population, receipt.partner, receipt.purpose) == ("people", partner, purpose)
            self.charged.append((partner, purpose, rho))
            return
        with pytest.raises(Exhausted) as told:
            charge(plan, caps=self.caps, spent=spent, population="people", partner=partner)
        assert (told.value.asked, told.value.left) == (rho, max(room, 0))

    @invariant()
    def no_cap_is_passed(self):
        assert sum(rho for _, _, rho in self.charged) <= self.caps.everyone
        for lender in LENDERS:
            assert sum(rho for who, _, rho in self.charged if who == lender) <= self.caps.partner
        for purpose in (*PURPOSES, "unlisted"):
            assert sum(rho for _, what, rho in self.charged if what == purpose) <= self.caps.purposes.get(purpose, 0)


TestHistory = History.TestCase


@pytest.mark.parametrize(
    ("caps", "cap"),
    [
        (Caps(100, 200, {"credit-risk-statistics": 200}), "population"),
        (Caps(200, 100, {"credit-risk-statistics": 200}), "partner"),
        (Caps(200, 200, {"credit-risk-statistics": 100}), "purpose"),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 99])
def test_the_last_unit_can_be_spent_and_not_one_more(caps, cap, before):
    spent = Spent(before, before, before)
    receipt = charge(plan_at(100 - before), caps=caps, spent=spent, population="people", partner="lender")
    assert receipt.left == 0
    with pytest.raises(Exhausted) as told:
        charge(plan_at(101 - before), caps=caps, spent=spent, population="people", partner="lender")
    assert (told.value.cap, told.value.asked, told.value.left) == (cap, 101 - before, 100 - before)
    assert remaining(caps, spent, purpose="credit-risk-statistics") == (cap, 100 - before)


def test_an_unlisted_purpose_has_nothing():
    caps = Caps(10 * NANO, 10 * NANO, {"pledge-valuation": 10 * NANO})
    with pytest.raises(Exhausted) as told:
        charge(plan_at(1), caps=caps, spent=Spent(), population="people", partner="lender")
    assert (told.value.cap, told.value.left) == ("purpose", 0)


def test_a_cap_that_was_lowered_below_what_is_spent_reads_as_nothing_left():
    with pytest.raises(Exhausted) as told:
        charge(
            plan_at(1),
            caps=Caps(5, 5, {"credit-risk-statistics": 5}),
            spent=Spent(9, 9, 9),
            population="p",
            partner="l",
        )
    assert told.value.left == 0


@pytest.mark.parametrize("wrong", [-1, 1.0, True, "1", None, 1_000 * NANO + 1, float("nan")], ids=repr)
def test_budgets_are_whole_numbers_up_to_1000_rho(wrong):
    for caps in ((wrong, 1, {}), (1, wrong, {}), (1, 1, {"pledge-valuation": wrong})):
        with pytest.raises(Malformed):
            Caps(*caps)
    assert Caps(1_000 * NANO, 0, {"pledge-valuation": 0}).everyone == 1_000 * NANO


@given(st.integers(0, 1_000 * NANO))
def test_a_budget_is_written_so_that_it_reads_back_exactly(nano):
    text = rho(nano)
    assert Fraction(text) * NANO == nano
    assert round(float(text) * NANO) == nano  # as the command line reads it
    assert not re.search(r"\.$|\.\d*0$|e", text)


# -- epsilon -----------------------------------------------------------------------------------------------------------


def gaussian_delta(rho, told):
    """Exact delta of the Gaussian mechanism of zCDP cost ``rho`` at epsilon ``told`` (Balle and Wang 2018, Theorem 8)."""
    mu = math.sqrt(2 * rho)
    tail = norm.logcdf(-told / mu - mu / 2) + told
    return norm.cdf(mu / 2 - told / mu) - math.exp(tail)


def gaussian_epsilon(rho, delta):
    """The Gaussian mechanism's true epsilon, by bisection."""
    low, high = 0.0, 4 * rho + 10 * math.sqrt(rho * math.log(1 / delta)) + 10
    if gaussian_delta(rho, 0.0) <= delta:
        return 0.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(rho, middle) > delta else (low, middle)
    return high


GRID = [(rho, delta) for rho in (0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 3, 10) for delta in (1e-9, 1e-6, 1e-4)]


@pytest.mark.parametrize(("rho", "delta"), GRID)
def test_epsilon_is_never_below_the_gaussian_and_close_to_it(rho, delta):
    ours, true = epsilon(round(rho * NANO), delta), gaussian_epsilon(rho, delta)
    assert gaussian_delta(rho, ours) <= delta
    # what a conversion from zCDP alone must lose to the exact Gaussian profile
    assert true <= ours <= 1.25 * true + 1e-6


@pytest.mark.parametrize(("rho", "delta"), GRID)
def test_epsilon_agrees_with_dp_accounting(rho, delta):
    orders = [1 + 10 ** (exponent / 40) for exponent in range(-120, 200)]
    accountant = rdp.RdpAccountant(orders)
    accountant.compose(dp_accounting.GaussianDpEvent(1 / math.sqrt(2 * rho)))
    theirs = accountant.get_epsilon(delta)
    ours = epsilon(round(rho * NANO), delta)
    assert theirs * 0.995 - 1e-6 <= ours <= theirs + 2e-6


@given(st.lists(st.integers(10_000, NANO), min_size=1, max_size=8))
def test_compositions_agree_with_dp_accounting(costs):
    accountant = rdp.RdpAccountant([1 + 10 ** (exponent / 20) for exponent in range(-60, 100)])
    for cost in costs:
        accountant.compose(dp_accounting.GaussianDpEvent(1 / math.sqrt(2 * cost / NANO)))
    theirs = accountant.get_epsilon(1e-6)
    assert theirs * 0.98 <= epsilon(sum(costs), 1e-6) <= theirs + 2e-6


@given(st.integers(1, 100 * NANO), st.integers(1, NANO), st.floats(1e-12, 0.5))
def test_more_rho_is_more_epsilon_and_more_delta_is_less(rho, more, delta):
    assert epsilon(rho, delta) <= epsilon(rho + more, delta) + 1e-6
    assert epsilon(rho, delta) + 1e-6 >= epsilon(rho, min(2 * delta, 0.9))


@given(st.integers(1, 1_000 * NANO), st.floats(5e-324, 0.999999))
def test_every_delta_has_a_finite_epsilon(rho, delta):
    assert 0 <= epsilon(rho, delta) < math.inf


def test_nothing_spent_is_nothing_lost():
    assert epsilon(0, 1e-6) == 0
    assert epsilon(50_000_000, 1e-6) == pytest.approx(1.54, abs=0.2)


@pytest.mark.parametrize("delta", [0, 1, -1e-9, 2, math.nan, math.inf])
def test_deltas_lie_between_zero_and_one(delta):
    with pytest.raises(Malformed):
        epsilon(1, delta)


# -- coalitions --------------------------------------------------------------------------------------------------------


def parties_of(count):
    return tuple(f"bank-{index}" for index in range(count))


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 10**9))
def test_whoever_takes_noise_away_faces_the_rest(count, institutions, rho):
    """Standalone: h honest parties leave min(k, h) times a person's rows against h times the noise; the price is k."""
    plan = plan_of(CountRows(), rho=rho, institutions=institutions, parties=parties_of(count))
    table = coalitions(plan)
    assert [viewer for viewer, _ in table[:3]] == ["public", "analyst", "analyst and exchange"]
    assert len({cost for _, cost in table[:3]}) == 1
    assert len(table) == 3 + count - 1
    for colluding, (viewer, cost) in enumerate(table[2:]):
        honest = count - colluding
        assert viewer == (
            f"analyst, exchange and {colluding} of {count} parties" if colluding else "analyst and exchange"
        )
        true = Fraction(rho * min(institutions, honest) ** 2, honest * institutions)
        assert cost - 1 < true <= cost
    assert max(cost for _, cost in table) <= rho
    # as many as a person may be at: the whole price, whatever the others tell
    assert max(cost for _, cost in table) == rho or count < institutions


@given(st.integers(2, 9), st.integers(1, 4), st.integers(2, 10**9), st.data())
def test_shared_noise_costs_at_most_the_plans_price_up_to_the_coalition_agreed_on(count, institutions, rho, data):
    agreed = data.draw(st.integers(0, count - 2))
    plan = plan_of(CountRows(), rho=rho, institutions=institutions, parties=parties_of(count), shared=agreed)
    costs = [cost for _, cost in coalitions(plan)[2:]]
    price = Fraction(institutions**2, max(institutions, count - agreed))
    for colluding, cost in enumerate(costs):
        honest = count - colluding
        true = rho * Fraction(min(institutions, honest) ** 2, honest) / price
        assert cost - 1 < true <= cost
    assert max(costs[: agreed + 1]) <= rho
    if count - agreed >= institutions:
        assert costs[agreed] == rho


@given(st.integers(2, 9), st.integers(1, 4), st.none() | st.just(0))
def test_an_asker_among_the_parties_is_told_what_it_sees_itself(count, institutions, shared):
    plan = plan_of(CountRows(), institutions=institutions, parties=parties_of(count), shared=shared)
    stranger, own = coalitions(plan), coalitions(plan, asker="bank-1")
    assert own[0] == stranger[0]
    # its own noise hides nothing from it: it stands where a stranger stands who works with one party
    assert {cost for _, cost in own[1:3]} == {stranger[3][1]}
    assert [cost for _, cost in own[2:]] == [cost for _, cost in stranger[3:]]
    assert [viewer for viewer, _ in own[3:]] == [
        f"analyst, exchange and {taken} of {count - 1} other parties" for taken in range(1, count - 1)
    ]
