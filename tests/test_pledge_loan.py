"""A loan planned on its limit: cash, price, tenor, covenants, stress; second computations, monotonicity, verification."""

import copy
import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import exp, floor, isclose, log, sqrt
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import canonical
from privacy.errors import PrivacyError
from tests.strategies import mutations
from tests.test_desk import EXAMPLES
from tests.test_pledge import APPRAISAL, CASE, NECESSITY, REPORT, TERMS, flip, with_facts
from tests.test_pledge import appraisal as appraised
from tests.test_valuation import VECTORS
from valuation import stress
from valuation.cash import Cash, capacity
from valuation.cost import DAYS_A_YEAR
from valuation.covenant import DECLARED, RULES
from valuation.errors import BadInput, CurrencyMismatch, Differs, MissingKey, OutOfRange, UnknownKey
from valuation.loan import EVERY, Kind, Loan
from valuation.money import Money
from valuation.pledge import concentration, quote
from valuation.report import compose, perform, verify
from valuation.schedule import Plan, repay
from valuation.stress import STRESSES, Base
from valuation.terms import HAIRCUTS, Haircut, Terms
from valuation.trace import given as stated

INPUTS = json.loads((VECTORS / "pledge_loan.json").read_text("utf-8"))
WHOLE = perform(INPUTS)
CITED = INPUTS["terms"]["loan"]["contract"]["cited"]
DOCUMENT = INPUTS["terms"]["loan"] | {
    "drawn": "2026-07-15",
    "amount": None,
    "cash": {
        "since": "2026-07-01",
        "years": [{"amount": str(n), "currency": "CNY"} for n in (900_000, 700_000, 500_000)],
        "cited": CITED,
    },
    "risk": INPUTS["terms"]["loan"]["risk"] | {"half_life": {"value": "2.5", "cited": CITED}},
}
LOAN = Loan.from_json(DOCUMENT)
MATURITY = TERMS.maturity


def yuan(amount):
    return Money(Decimal(amount), "CNY")


def planned(loan=LOAN, terms=TERMS, on=APPRAISAL):
    return quote(on, replace(terms, loan=loan))


GOT = planned()


def figures(quoted=GOT):
    return {figure.key: figure for root in quoted.roots for figure in root.walk()}


FOUND = figures()


def codes(quoted):
    return {remark.code for remark in quoted.remarks}


def near(got, want, rel=1e-9):
    return isclose(float(got), float(want), rel_tol=rel)


# --- the quote stays what it was ---------------------------------------------------------------------------------------


def test_without_a_loan_nothing_changes():
    plain = quote(APPRAISAL, TERMS)
    assert plain.facility is None
    assert "loan" not in TERMS.to_json()
    assert "loan" not in REPORT["conclusion"]
    assert "lending" not in REPORT["parameters"]
    # with one, the limit is the same wherever income does not bind and the spread of licensees is not stated
    wide = planned(replace(LOAN, licensees=None, revenue=None))
    assert wide.limit.value == plain.limit.value
    assert wide.recognised == plain.recognised


def test_the_limit_by_cash_flow_binds_and_is_rounded_down():
    thin = Money(Decimal("1000.77"), "CNY")
    got = planned(replace(LOAN, cash=replace(LOAN.cash, years=(thin,) * 3)))
    assert got.binding == "dscr"
    assert got.facility.amount.value == got.limit.value
    served = figures(got)["limit.dscr.cash"].fraction
    assert got.limit.fraction == floor(served)
    tighter = planned(got.terms.loan, replace(TERMS, dscr_capacity=yuan(500)))
    assert (tighter.binding, tighter.limit.value) == ("dscr", yuan(500))
    assert planned(replace(LOAN, revenue=replace(LOAN.revenue, trailing=thin))).binding == "revenue"


def test_the_loan_that_a_cash_flow_serves_is_the_largest_that_is_repaid_from_it():
    cash = Cash(APPRAISAL.on, tuple(stated(f"cash.{n}", "cash", yuan(n * 10**5), source="x") for n in (5, 4, 3)))
    for kind in ("ACT/360", "30E/360"):
        for months in EVERY:
            loan = Loan.from_json(DOCUMENT | {"months": months, "basis": kind, "kind": "dscr_sculpted"})
            maturity = date(2029, 2, 3)
            most = capacity(cash, loan, maturity=maturity, currency="CNY").exact
            plan = Plan(
                kind=Kind.DSCR_SCULPTED, drawn=loan.drawn, maturity=maturity, months=months, rate=Fraction(loan.rate),
                basis=loan.basis, calendar=loan.calendar, cash=cash.between, target=Fraction(loan.dscr_target),
            )  # fmt: skip
            for amount, fits in ((floor(most), True), (floor(most) + 100, False)):
                last = repay(yuan(amount), plan)[-1]
                afforded = cash.between(last.start, last.end) / plan.target
                assert (last.service.fraction <= afforded + 1) == fits


def test_the_desk_s_capacity_comes_back_on_annual_dates():
    case = next(one for one in EXAMPLES if one["method"] == "dscr_sculpting")
    inputs = case["inputs"]
    since = date(2026, 7, 15)
    cash = Cash(
        since, tuple(stated(f"cash.{n}", "cash", yuan(str(v)), source="x") for n, v in enumerate(inputs["cfads"]))
    )
    loan = Loan.from_json(
        DOCUMENT
        | {"months": 12, "basis": "30E/360", "rate": str(inputs["rate"]), "dscr_target": str(inputs["target_dscr"])}
    )
    most = capacity(cash, loan, maturity=date(2030, 7, 15), currency="CNY").exact
    assert near(most, case["outputs"]["max_loan_at_dscr"])


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(HAIRCUTS)),
    st.integers(0, 98),
    st.integers(1, 10**6),
    st.integers(1, 999),
)
def test_ceilings_are_never_rounded_up_and_a_worse_term_never_lends_more(name, cut, cash, top):
    loan = replace(
        LOAN,
        cash=replace(LOAN.cash, years=(yuan(cash),) * 3),
        licensees=replace(LOAN.licensees, shares=(Decimal(top) / 1000,)),
    )
    terms = replace(TERMS, haircuts={name: Haircut(Decimal(cut) / 100, "agreed")})
    got = planned(loan, terms)
    bounds = [figures(got)[key].fraction for key in ("limit.ltv", "limit.dscr.cash", "limit.revenue.year")]
    assert got.limit.fraction <= min(*bounds, TERMS.policy_cap.fraction) < got.limit.fraction + 1
    worse = replace(terms, haircuts={name: Haircut(Decimal(cut + 1) / 100, "agreed")})
    assert planned(loan, worse).limit.money <= got.limit.money
    poorer = replace(loan, cash=replace(loan.cash, years=(yuan(cash),) * 2))
    assert planned(poorer, terms).limit.money <= got.limit.money
    dearer = replace(loan, rate=loan.rate + Decimal("0.01"))
    assert figures(planned(dearer, terms))["limit.dscr.cash"].fraction <= bounds[1]


@given(st.fractions(0, 1))
def test_concentration_rises_from_nothing_to_a_fifth(top):
    assert 0 <= concentration(top) <= Fraction(1, 5)
    assert (concentration(top) == 0) == (top <= Fraction(3, 10))
    assert concentration(Fraction(1)) == Fraction(1, 5)
    assert concentration(Fraction(65, 100)) == Fraction(1, 10)


def test_a_stated_haircut_goes_before_the_computed_one():
    haircuts = {"concentration": Haircut(Decimal("0.15"), "one payer in truth")}
    assert dict(planned(terms=replace(TERMS, haircuts=haircuts)).haircuts)["concentration"].share == Decimal("0.15")
    assert dict(GOT.haircuts)["concentration"].share == FOUND["haircut.concentration"].value
    assert near(FOUND["haircut.concentration"].value, 0.08 / 0.7 * 0.2)


# --- the price ---------------------------------------------------------------------------------------------------------


def test_the_price_by_hand_in_floats():
    amount = float(GOT.limit.fraction)
    value = float(min(APPRAISAL.low.fraction, APPRAISAL.central.fraction))
    years = (MATURITY - APPRAISAL.on).days / 365
    at_default = value * 0.8 * 2 ** (-years / 2.5)
    recovery = min(at_default * 0.5 * 0.9 / 1.065, amount)
    assert near(FOUND["price.value"].fraction, at_default)
    assert near(FOUND["price.recovery"].fraction, recovery)
    loss = max(1 - recovery / amount, 0.35)
    assert near(FOUND["price.lgd"].fraction, loss)
    assert near(FOUND["price.el"].fraction, amount * 0.025 * loss)
    # capital of an unsecured loan, CRE31
    normal, pd = NormalDist(), 0.025
    weight = (1 - exp(-50 * pd)) / (1 - exp(-50))
    rho = 0.12 * weight + 0.24 * (1 - weight)
    slope = (0.11852 - 0.05478 * log(pd)) ** 2
    tail = normal.cdf((normal.inv_cdf(pd) + sqrt(rho) * normal.inv_cdf(0.999)) / sqrt(1 - rho))
    capital = 0.4 * (tail - pd) * (1 + (max(years, 1) - 2.5) * slope) / (1 - 1.5 * slope)
    assert near(FOUND["price.capital.unsecured"].fraction, capital)
    least = 0.018 + 0.006 + pd * loss + capital * (0.12 / 0.75 - 0.0175)
    assert near(FOUND["price.floor"].fraction, least)
    raroc = (0.065 - 0.018 - 0.006 - pd * loss + capital * 0.0175) * 0.75 / capital
    assert near(FOUND["price.raroc"].fraction, raroc)
    top = (
        exp((-log(2) / 2.5 - 0.35**2 / 2) * years + 0.35 * sqrt(years) * normal.inv_cdf(0.05))
        * 0.5
        / (1 + 0.065 * years)
    )
    assert near(FOUND["price.ltv_max"].fraction, top)


def test_at_the_floor_rate_the_hurdle_is_earned():
    # the loss is floored and the capital stated, so that neither depends on the rate
    price = replace(LOAN.price, capital=Decimal("0.08"))
    least = figures(planned(replace(LOAN, price=price)))["price.floor"].value
    got = planned(replace(LOAN, price=price, rate=least))
    assert near(figures(got)["price.raroc"].fraction, 0.12)
    assert "red-flag-price" not in codes(got)
    below = planned(replace(LOAN, price=price, rate=least - Decimal("0.0001")))
    assert "red-flag-price" in codes(below)
    assert "red-flag-capital" not in codes(got)
    assert "red-flag-capital" in codes(planned(replace(LOAN, price=replace(price, capital=Decimal("0.03")))))


def test_a_low_ltv_shows_its_floored_loss_and_prior_claims_eat_the_recovery():
    assert FOUND["price.lgd.economic"].fraction < FOUND["price.lgd"].fraction == Fraction("0.35")
    assert "lgd-floored" in codes(GOT)
    grim = replace(LOAN, risk=replace(LOAN.risk, liquidation=Decimal("0.95"), distress=Decimal("0.8")))
    assert figures(planned(grim))["price.lgd"].fraction == figures(planned(grim))["price.lgd.economic"].fraction
    assert "red-flag-quantile" in codes(planned(grim))
    free, claimed = (figures(planned(grim, replace(TERMS, prior_liens=yuan(n)))) for n in (0, 1000))
    assert claimed["price.recovery"].fraction == free["price.recovery"].fraction - 1000


# --- tenor, schedule, covenants ----------------------------------------------------------------------------------------


def test_the_prudent_end_is_the_first_of_four():
    life = floor(APPRAISAL.remaining_low.fraction * DAYS_A_YEAR) - DAYS_A_YEAR
    contract = (LOAN.contract.ends - APPRAISAL.on).days // 2
    assert GOT.facility.tenor.days.fraction == min(life, contract, (date(2029, 6, 30) - APPRAISAL.on).days)
    short = replace(LOAN, contract=replace(LOAN.contract, ends=date(2027, 1, 1)))
    assert planned(short).facility.tenor.binding == "contract"
    assert "red-flag-tenor" in codes(planned(short))
    assert "contract-absent" in codes(planned(replace(LOAN, contract=None)))
    facts = with_facts(horizon="2027-06-30")
    facts["legal"]["title"][0]["expires"] = "2027-07-31"
    soon = planned(on=appraised(facts))
    assert soon.facility.tenor.binding in {"rights", "life"}
    assert "red-flag-tenor" in codes(soon)
    assert figures(soon)["covenant.rights_margin"].fraction == 31


def test_every_kind_of_schedule_is_planned_and_conserves():
    for kind in Kind:
        got = planned(replace(LOAN, kind=kind)).facility
        assert sum(payment.principal.fraction for payment in got.payments) == got.amount.fraction
        found = figures(planned(replace(LOAN, kind=kind)))
        assert found[f"schedule.{len(got.payments)}.balance"].value == yuan(0)
        assert found["schedule.interest"].fraction == sum(one.interest.fraction for one in got.payments)
    assert "bullet-reserve" in codes(planned(replace(LOAN, kind=Kind.BULLET)))
    with pytest.raises(OutOfRange):
        planned(replace(LOAN, cash=None, kind=Kind.DSCR_SCULPTED))


def test_what_is_asked_beyond_the_limit_or_the_cash_flow_is_flagged():
    asked = planned(replace(LOAN, amount=yuan(10**8)))
    assert asked.facility.amount.value == asked.limit.value
    assert {"red-flag-amount", "red-flag-capacity"} <= codes(asked)
    less = planned(replace(LOAN, amount=yuan("1000.75")))
    assert less.facility.amount.value == yuan(1000)
    assert not {"red-flag-amount", "red-flag-capacity"} & codes(less)
    nothing = planned(terms=replace(TERMS, prior_liens=yuan(10**9)))
    assert nothing.facility is None
    assert "no-lending-value" in codes(nothing)
    assert verify(compose(APPRAISAL, nothing, NECESSITY)).figures


def test_cash_that_does_not_come_in_time_is_flagged():
    late = replace(LOAN, kind=Kind.BULLET, cash=replace(LOAN.cash, years=(yuan(900_000), yuan(0))))
    assert figures(planned(late))["loan.cover"].fraction < Fraction(LOAN.dscr_target)
    assert "red-flag-dscr" in codes(planned(late))
    assert "red-flag-cash" in codes(planned(replace(LOAN, cash=None)))
    level = planned(replace(LOAN, cash=replace(LOAN.cash, years=(yuan(900_000),) * 3)))
    worst = min(
        Fraction(900_000 * (payment.end - payment.start).days, 365) / payment.service.fraction
        for payment in level.facility.payments
    )
    assert near(figures(level)["loan.cover"].fraction, worst)


def test_covenants_are_kept_by_evidence_and_silence_keeps_none():
    tests = {test.name: test for test in GOT.facility.covenants}
    assert set(tests) == set(RULES)
    shown = {name for name, test in tests.items() if test.measured is not None}
    assert set(RULES) - shown == DECLARED - set(LOAN.evidence)
    assert not any(tests[name].kept for name in set(RULES) - shown)
    assert tests["refresh_age"].headroom.fraction == 31 - (APPRAISAL.on - APPRAISAL.facts.legal.refreshed.on).days
    assert tests["quality"].measured == APPRAISAL.quality.low
    assert tests["licensee_hhi"].measured.value == Decimal("0.2798")
    strict = planned(replace(LOAN, covenants={"quality": Decimal("0.99"), "ltv": Decimal("0.6")}))
    failed = {test.name: test for test in strict.facility.covenants}
    assert not failed["quality"].kept
    assert failed["quality"].headroom.fraction < 0
    assert failed["ltv"].kept
    assert "red-flag-covenant" in codes(strict)
    assert "conditions" not in codes(strict)
    assert GOT.facility.state == "normal"


# --- stress ------------------------------------------------------------------------------------------------------------


def base(loan=1_000_000, value=10_000_000, prior=0, months=12, half_life="3", liquidation="0.3", income=320_000):
    def one(key, amount, unit=""):
        return stated(key, key, amount, unit=unit, source="x")

    return Base(
        loan=one("loan", yuan(loan)), value=one("value", yuan(value)), prior=one("prior", yuan(prior)),
        half_life=one("h", Decimal(half_life), "years"), liquidation=one("q", Decimal(liquidation), "share"),
        rate=one("r", Decimal("0.045"), "1/year"), months=one("m", months, "months"),
        income=None if income is None else one("income", yuan(income)),
    )  # fmt: skip


def test_the_desk_s_stresses_come_back():
    case = next(one for one in EXAMPLES if one["method"] == "stress_scenarios")
    inputs = case["inputs"]
    for scenario, wanted in zip(inputs["scenarios"], case["outputs"]["results"], strict=True):
        start = base(
            str(inputs["loan"]), str(inputs["value"]), months=int(scenario["months"]),
            half_life=str(scenario["half_life"]), liquidation=str(scenario["liq"]), income=str(inputs["cfads"]),
        )  # fmt: skip
        shock = STRESSES["none"]._replace(
            value=Fraction(str(scenario["value_drop"])),
            income=Fraction(str(scenario["income_drop"])),
            rate=Fraction(str(scenario["rate_up"])),
        )
        got = stress.under(start, shock)
        assert near(got.ltv, wanted["ltv"])
        assert near(got.dscr, wanted["dscr"])
        assert abs(got.shortfall - Fraction(str(wanted["shortfall"]))) < 1


shares = st.integers(0, 20).map(lambda n: Fraction(n, 20))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(STRESSES)), shares, shares, st.integers(1, 10**7), st.integers(0, 10**6), st.integers(0, 36)
)
def test_more_of_a_shock_is_never_milder(name, one, other, loan, prior, months):
    start, shock = base(loan, prior=prior, months=months), stress.shocks(LOAN, error=Fraction(1, 50))[name]
    low, high = sorted((one, other))
    mild, hard = (
        stress.under(start, shock.scaled(part, start.liquidation.fraction, start.half_life.fraction))
        for part in (low, high)
    )
    assert mild.shortfall <= hard.shortfall
    assert mild.dscr >= hard.dscr
    assert hard.ltv is None or mild.ltv <= hard.ltv
    whole = stress.under(start, shock.scaled(Fraction(1), start.liquidation.fraction, start.half_life.fraction))
    plain = stress.under(start, shock)
    assert (whole.shortfall, whole.dscr) == (plain.shortfall, plain.dscr)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 10**7), st.integers(0, 10**6), st.sampled_from(["rival", "ban", "leak"]))
def test_the_reverse_stress_is_the_first_point_of_shortfall(loan, prior, name):
    start, shock = base(loan, prior=prior), STRESSES[name]

    def short(share):
        scaled = shock.scaled(share, start.liquidation.fraction, start.half_life.fraction)
        return stress.under(start, scaled).shortfall > 0

    least = stress.least_shock(start, shock)
    if least is None:
        assert not short(Fraction(1))
        return
    found = least.fraction
    assert short(found)
    assert found == 0 or not short(found - Fraction(1, 2**39))
    # a walk over a grid finds the same point
    first = next(n for n in range(1001) if short(Fraction(n, 1000)))
    assert Fraction(first - 1, 1000) <= found <= Fraction(first, 1000)


def test_the_least_fall_of_the_value_is_where_the_shortfall_begins():
    start = base(prior=50_000)
    drop = stress.least_drop(start).fraction
    shock = STRESSES["none"]
    tiny = Fraction(1, 10**9)
    assert stress.under(start, shock._replace(value=drop - tiny)).shortfall == 0
    assert stress.under(start, shock._replace(value=drop + tiny)).shortfall > 0


def test_stresses_take_their_size_from_evidence():
    rows = {row.name: row for row in planned(replace(LOAN, licensees=None)).facility.rows}
    assert list(rows) == list(STRESSES)
    gone = rows["licensee"]
    assert (gone.ltv, gone.state, gone.dscr.value) == (None, "liquidation", 0)
    assert (
        gone.shortfall.value
        == rows["none"].shortfall.value + planned(replace(LOAN, licensees=None)).facility.amount.value
    )
    known = {row.name: row for row in GOT.facility.rows}["licensee"]
    assert near(known.ltv.fraction, {r.name: r for r in GOT.facility.rows}["none"].ltv.fraction / Fraction("0.62"))
    none = {row.name: row for row in planned(replace(LOAN, cash=None)).facility.rows}
    assert all(row.dscr is None for row in none.values())


# --- documents ---------------------------------------------------------------------------------------------------------


def test_a_loan_reads_itself_back_and_names_what_is_wrong():
    document = LOAN.to_json()
    assert Loan.from_json(document).to_json() == document
    assert Loan.from_json(document) == LOAN
    terms = Terms.from_json(TERMS.to_json() | {"loan": DOCUMENT})
    assert terms.loan == LOAN
    optional = {"stress_months", "bands", "holidays", "workdays", "covenants", "evidence"}
    for key in document:
        fewer = {name: value for name, value in document.items() if name != key}
        if key in optional:
            Loan.from_json(fewer)
        else:
            with pytest.raises(MissingKey):
                Loan.from_json(fewer)
    with pytest.raises(UnknownKey):
        Loan.from_json(document | {"gift": 1})


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("amount",), {"amount": "0", "currency": "CNY"}, "loan.amount"),
        (("rate",), "1", "loan.rate"),
        (("rate",), 0.06, "loan.rate"),
        (("kind",), "balloon", "loan.kind"),
        (("months",), 2, "loan.months"),
        (("months",), True, "loan.months"),
        (("basis",), "ACT/365", "loan.basis"),
        (("dscr_target",), "0.9", "loan.dscr_target"),
        (("cash", "years"), [], "loan.cash.years"),
        (("cash", "years"), [{"amount": "1", "currency": "CNY"}] * 31, "loan.cash.years"),
        (("revenue", "multiple"), "0", "loan.revenue.multiple"),
        (("revenue", "trailing"), None, "loan.revenue.cited"),
        (("licensees", "shares"), ["0.6", "0.6"], "loan.licensees.shares"),
        (("licensees", "shares"), ["0"], "loan.licensees.shares[0]"),
        (("risk", "pd", "value"), "0", "loan.risk.pd.value"),
        (("risk", "lgd_floor"), "0.2", "loan.risk.lgd_floor"),
        (("risk", "half_life", "value"), "0.01", "loan.risk.half_life.value"),
        (("risk", "confidence"), "0.5", "loan.risk.confidence"),
        (("price", "hurdle"), "0.31", "loan.price.hurdle"),
        (("price", "capital"), "0", "loan.price.capital"),
        (("covenants",), {"mood": "1"}, "loan.covenants.mood"),
        (("evidence",), {"quality": {"value": "1", "cited": CITED}}, "loan.evidence.quality"),
        (("holidays",), ["2026-13-01"], "loan.holidays[0]"),
        (("stress_months",), 61, "loan.stress_months"),
    ],
)
def test_wrong_loans_are_refused_by_key(path, value, key):
    document = copy.deepcopy(DOCUMENT)
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(BadInput) as caught:
        Loan.from_json(document, "loan")
    assert caught.value.key.startswith(key)


@settings(max_examples=60, deadline=None)
@given(mutations(DOCUMENT))
def test_whatever_a_loan_holds_it_is_planned_or_refused_by_a_typed_error(document):
    try:
        got = quote(APPRAISAL, Terms.from_json(TERMS.to_json() | {"loan": document}))
    except PrivacyError:
        return
    if got.facility is not None:
        assert got.facility.payments[-1].closing.amount == 0
        assert sum(payment.principal.fraction for payment in got.facility.payments) == got.facility.amount.fraction


def test_loans_that_do_not_fit_the_appraisal_are_refused():
    for changes in ({"drawn": MATURITY}, {"drawn": APPRAISAL.on - timedelta(1)}):
        with pytest.raises(OutOfRange):
            planned(replace(LOAN, **changes))
    with pytest.raises(CurrencyMismatch):
        planned(replace(LOAN, amount=Money(Decimal(5), "USD")))
    with pytest.raises(MissingKey) as caught:
        planned(replace(LOAN, risk=replace(LOAN.risk, half_life=None)))
    assert caught.value.key == "terms.loan.risk.half_life"
    later = replace(LOAN.contract, cited=replace(LOAN.contract.cited, on=date(2026, 7, 1)))
    with pytest.raises(OutOfRange) as caught:
        planned(replace(LOAN, contract=later))
    assert caught.value.key == "terms.loan.contract.cited.on"


def named(value):
    """The keys of figures that a conclusion names: every text that is neither a date nor a word of its own."""
    inner = value if isinstance(value, list) else ()
    if isinstance(value, dict):
        inner = [item for name, item in value.items() if name not in {"name", "label", "binding", "state"}]
    for item in inner:
        yield from named(item)
    if isinstance(value, str) and not value[:4].isdigit():
        yield value


def test_a_report_with_a_loan_follows_from_its_inputs():
    report = compose(APPRAISAL, GOT, NECESSITY)
    assert verify(canonical.encode(report)).figures == len(report["figures"])
    known = set()
    for figure in report["figures"]:
        assert set(figure["because"]) <= known
        known.add(figure["key"])

    assert set(named(report["conclusion"]["loan"])) <= known
    numbers = [
        n for n, figure in enumerate(report["figures"]) if figure["key"] not in {f["key"] for f in REPORT["figures"]}
    ]
    for number in numbers[:: max(len(numbers) // 10, 1)]:
        odd = copy.deepcopy(report)
        odd["figures"][number]["value"] = flip(odd["figures"][number]["value"])
        with pytest.raises(Differs) as caught:
            verify(odd)
        assert caught.value.place == report["figures"][number]["key"]
    for path in (
        ("conclusion", "loan", "state"),
        ("inputs", "terms", "loan", "rate"),
        ("parameters", "lending", "reversed"),
    ):
        odd = copy.deepcopy(report)
        inner = odd
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = flip(inner[path[-1]])
        with pytest.raises(PrivacyError):
            verify(odd)


def test_the_income_of_an_appraisal_serves_the_loan_at_its_low_end():
    found = {figure["key"]: figure for figure in WHOLE["figures"]}
    assert {"income.low.flow.1", "income.low.flow.2"} <= set(found["loan.cover"]["because"])
    flows = [Fraction(found[f"income.low.flow.{year}"]["value"]) for year in (1, 2)]
    service = [
        (date.fromisoformat(p["from"]), date.fromisoformat(p["to"]), *(Fraction(found[p[k]]["value"]) for k in ("interest", "principal")))
        for p in WHOLE["conclusion"]["loan"]["payments"]
    ]  # fmt: skip
    turn = date(2027, 6, 30)
    covers = []
    for start, end, interest, principal in service:
        first = max((min(end, turn) - start).days, 0)
        cash = flows[0] * Fraction(first, 365) + flows[1] * Fraction((end - start).days - first, 366)
        covers.append(cash / (interest + principal))
    assert near(found["loan.cover"]["value"], min(covers))
    assert CASE["terms"]["lender"] == INPUTS["terms"]["lender"]


def test_income_that_bears_nothing_serves_nothing():
    barren = copy.deepcopy(INPUTS)
    barren["facts"]["income"]["fade"]["upkeep"]["amount"] = "9000000"
    for approach, share in (("cost", "0.7"), ("income", "0"), ("market", "0.3")):
        barren["method"]["judgement"]["weights"][approach]["share"] = share
    told = perform(barren)
    found = {figure["key"]: figure["value"] for figure in told["figures"]}
    assert (found["limit.dscr.cash"], found["pledge.limit"], told["conclusion"]["binding"]) == ("0", "0", "dscr")
    assert "loan" not in told["conclusion"]
    assert "no-lending-value" in {remark["code"] for remark in told["remarks"]}
