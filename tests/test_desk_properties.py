"""What must hold for the desk's methods whatever the inputs: identities, orders, limits, conservation."""

from decimal import Decimal
from fractions import Fraction
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_desk import FIRST, changed
from valuation import desk
from valuation.desk import reals
from valuation.desk.games import least_excess

FEW = settings(max_examples=25)


def run(name, **changes):
    return desk.evaluate(name, changed(name, **changes))


def near(one, other, allowed="1e-25"):
    one, other = Fraction(one), Fraction(other)
    return abs(one - other) <= Fraction(allowed) * max(abs(one), abs(other), Fraction("1e-20"))


def decimals(low, high, places=4):
    scale = 10**places
    return st.integers(int(Fraction(low) * scale), int(Fraction(high) * scale)).map(lambda k: Decimal(k) / scale)


money = decimals(1, 10**8, 2)
rate = decimals("0.001", "0.9")
share = decimals(0, "0.99")
half_life = decimals("0.05", 30)

SCALED = {
    # method: money inputs, and outputs in money; everything else must not move
    "cost_cas9": ("TC", "P P_alt"),
    "cost_ivs210_replacement": ("direct indirect", "replacement_cost_new value"),
    "dcf_finite": ("income", "P"),
    "dcf_growing_annuity": ("F1", "P"),
    "income_share": ("revenue", "F P"),
    "with_and_without": ("with_ without_", "F P"),
    "relief_from_royalty": ("revenue", "pv_before_tab P"),
    "decaying_income": ("F0_per_year upkeep_per_year", "P P_at_economic_life"),
    "weibull_attrition_dcf": ("income", "P"),
    "pretax_rate_equivalence": ("ebit", "P"),
    "real_option_bsm": ("S K", "value"),
    "real_option_crr": ("S K", "value"),
    "value_allocation": ("pool_value", "proportional clipped"),
    "dp_ratio_to_price": ("price", "price_sd price_95_halfwidth"),
    "recognised_value_limit": (
        "appraised lower_bound prior_liens dscr_cap revenue_cap policy_cap book_value",
        "recognised_value limit",
    ),
    "basel_comprehensive": ("E C", "C_adjusted E_star"),
    "firb_lgd_star": ("E C", "ES EU"),
    "loan_pricing_raroc": ("EAD", "EL"),
    "collateral_lgd": ("EAD V0", "V_at_default recovery"),
    "repayment_schedule": (
        "principal balloon",
        "first_interest first_principal mid_balance last_principal total_interest",
    ),
    "ltv_constant_amortisation": ("loan value0", "first_principal principal_month_6 last_principal total_interest"),
    "dscr_sculpting": ("cfads loan", "principal balloon max_loan_at_dscr"),
    "margin_call": ("loan value_now", "cash_cure collateral_cure value_at_call"),
    "guarantee_joint_default": ("EAD", "EL EL_saved"),
    "abs_waterfall": (
        "collections fee senior junior reserve_start reserve_target",
        "senior_principal senior_left junior_left senior_interest_shortfall reserve_end",
    ),
    "reconciliation": ("indications sds", "weighted inverse_variance iv_sd"),
    "privacy_budget_as_reserve": ("value_of_query_rights", "units_of_production_value foreclosure_reserve_value"),
    "end_to_end_pledge": (
        "revenue prior_liens dscr_cap revenue_cap policy_cap",
        "appraised lower_bound recognised limit EL payment balance_month_6",
    ),
}


def times(value, factor):
    if isinstance(value, list):
        return [times(item, factor) for item in value]
    return None if value is None else value * factor


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("factor", [Decimal(1000), Decimal("0.37")])
def test_money_scales_money_and_nothing_else(name, factor):
    inputs, outputs = (set(keys.split()) for keys in SCALED[name])
    plain = run(name)
    scaled = run(name, **{key: times(FIRST[name][key], factor) for key in inputs})
    for key, value in plain.items():
        wanted = times(value, factor) if key in outputs else value
        pairs = zip(scaled[key], wanted, strict=True) if isinstance(wanted, list) else [(scaled[key], wanted)]
        for got, want in pairs:
            assert got == want or near(got, want, "1e-12"), key


# --- income ------------------------------------------------------------------------------------------------------------


@FEW
@given(money, decimals("-0.9", "0.9"), rate, st.integers(1, 60))
def test_a_growing_annuity_is_its_list_discounted(first, growth, discount, years):
    flows = [first * (1 + growth) ** year for year in range(years)]
    listed = desk.evaluate(
        "dcf_finite", {"income": [x.normalize() for x in flows], "rate": discount, "timing": "end", "stub_fraction": 1}
    )
    closed = desk.evaluate("dcf_growing_annuity", {"F1": first, "g": growth, "i": discount, "n": years})
    assert near(listed["P"], closed["P"], "1e-20")


@FEW
@given(st.lists(money, min_size=1, max_size=8), rate, rate)
def test_value_falls_with_the_rate_and_mid_year_is_half_a_year_of_interest(income, one, other):
    low, high = sorted((one, other))
    end = {"income": income, "timing": "end", "stub_fraction": 1}
    value = desk.evaluate("dcf_finite", {**end, "rate": low})["P"]
    assert value >= desk.evaluate("dcf_finite", {**end, "rate": high})["P"]
    mid = desk.evaluate("dcf_finite", {**end, "rate": low, "timing": "mid"})["P"]
    assert near(Fraction(mid) ** 2, Fraction(value) ** 2 * Fraction(1 + low))


@FEW
@given(st.integers(1, 50), rate, share)
def test_the_tax_benefit_solves_its_own_equation(years, discount, tax):
    """The amortisation of the grossed-up value saves exactly what was added."""
    factor = Fraction(
        desk.evaluate("tab_factor", {"n": years, "rate": discount, "tax": tax, "mid_year": False})["factor"]
    )
    saved = sum(factor / years * Fraction(tax) / Fraction(1 + discount) ** year for year in range(1, years + 1))
    assert near(factor, 1 + saved)


@FEW
@given(st.lists(money, min_size=1, max_size=6), share, rate)
def test_a_pre_tax_rate_gives_the_same_value(ebit, tax, after):
    got = desk.evaluate("pretax_rate_equivalence", {"ebit": ebit, "tax": tax, "post_tax_rate": after})
    x = Fraction(got["pre_tax_rate"])
    assert x >= Fraction(after) - Fraction("1e-30")
    assert near(sum(Fraction(flow) / (1 + x) ** year for year, flow in enumerate(ebit, 1)), got["P"])


@FEW
@given(money, half_life, rate, decimals("0.1", 40))
def test_a_decaying_stream_is_earned_in_order(start, life, discount, horizon):
    inputs = {"F0_per_year": start, "half_life_years": life, "growth": 0, "rate": discount}
    short = desk.evaluate("decaying_income", {**inputs, "horizon": horizon, "upkeep_per_year": 0})
    long = desk.evaluate("decaying_income", {**inputs, "horizon": horizon + 1, "upkeep_per_year": 0})
    assert short["P"] <= long["P"]
    until = short["years_to_99pct_of_gross"]
    most = desk.evaluate("decaying_income", {**inputs, "horizon": 10_000, "upkeep_per_year": 0})["P"]
    part = desk.evaluate("decaying_income", {**inputs, "horizon": until, "upkeep_per_year": 0})["P"]
    assert near(Fraction(part) / Fraction(most), Fraction(99, 100), "1e-3" if discount < Decimal("0.01") else "1e-12")


@FEW
@given(st.lists(st.tuples(money, decimals(0, "0.5")), min_size=2, max_size=6), rate)
def test_the_implied_return_makes_both_averages_equal(assets, wacc):
    listed = [{"name": str(k), "value": value, "rate": one} for k, (value, one) in enumerate(assets)]
    listed[0]["rate"] = None
    implied = Fraction(desk.evaluate("wara_implied_rate", {"assets": listed, "wacc": wacc})["implied_rate"])
    returns = [implied if item["rate"] is None else Fraction(item["rate"]) for item in listed]
    whole = sum(Fraction(item["value"]) for item in listed)
    earned = sum(Fraction(item["value"]) * one for item, one in zip(listed, returns, strict=True))
    assert near(earned, whole * Fraction(wacc), "1e-15")


# --- weights -----------------------------------------------------------------------------------------------------------


@FEW
@given(st.lists(decimals("0.1", 9), min_size=3, max_size=7))
def test_consistent_judgements_give_back_their_weights(weights):
    size = range(len(weights))
    upper = [[weights[i] / weights[j] if i < j else Decimal(0) for j in size] for i in size]
    got = desk.evaluate("ahp_weights", {"upper_triangle": upper, "RI_table": ""})
    for weight, found in zip(weights, got["weights"], strict=True):
        assert near(found, Fraction(weight) / Fraction(sum(weights)), "1e-20")
    assert abs(got["CR"]) < Decimal("1e-20")


@FEW
@given(st.lists(st.lists(decimals("0.01", 9), min_size=3, max_size=3), min_size=3, max_size=3))
def test_the_principal_eigenvector_is_one(upper):
    got = desk.evaluate("ahp_weights", {"upper_triangle": upper, "RI_table": ""})
    a, b, c = (Fraction(upper[i][j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    matrix = [[1, a, b], [1 / a, 1, c], [1 / b, 1 / c, 1]]
    weights = [Fraction(weight) for weight in got["weights"]]
    assert near(sum(weights), 1, "1e-30")
    for row, weight in zip(matrix, weights, strict=True):
        assert near(
            sum(x * w for x, w in zip(row, weights, strict=True)), Fraction(got["lambda_max"]) * weight, "1e-20"
        )
    assert got["CI"] >= Decimal("-1e-30")


@FEW
@given(
    st.lists(st.lists(decimals("0.01", 9), min_size=2, max_size=2), min_size=2, max_size=5), st.permutations(range(5))
)
def test_entropy_weights_ignore_units_and_the_order_of_datasets(rows, order):
    rows[0][0] += 20  # not constant
    plain = desk.evaluate("entropy_weights", {"matrix_rows_are_datasets": rows})
    mixed = [[rows[place][0] * 7, rows[place][1]] for place in order if place < len(rows)]
    other = desk.evaluate("entropy_weights", {"matrix_rows_are_datasets": mixed})
    assert all(near(a, b, "1e-20") for a, b in zip(plain["weights"], other["weights"], strict=True))
    assert near(sum(map(Fraction, plain["weights"])), 1)
    assert all(0 <= d <= 1 for d in plain["divergence"])


# --- options -----------------------------------------------------------------------------------------------------------

option = st.fixed_dictionaries(
    {
        "S": decimals(1, 500, 2),
        "K": decimals(1, 500, 2),
        "r": decimals("-0.05", "0.2"),
        "decay_yield_q": decimals(0, "0.7"),
        "sigma": decimals("0.1", "1.5"),
        "T": decimals("0.01", 5),
    }
)


@FEW
@given(option)
def test_call_less_put_is_the_forward(terms):
    call = desk.evaluate("real_option_bsm", {**terms, "call": True})
    put = desk.evaluate("real_option_bsm", {**terms, "call": False})
    assert (call["d1"], call["d2"]) == (put["d1"], put["d2"])
    given = {key: Fraction(value) for key, value in terms.items()}
    forward = given["S"] * reals.exp(-given["decay_yield_q"] * given["T"]) - given["K"] * reals.exp(
        -given["r"] * given["T"]
    )
    assert abs(Fraction(call["value"]) - Fraction(put["value"]) - forward) < Fraction("1e-28")
    assert call["value"] >= 0
    assert put["value"] >= 0


@FEW
@given(option, st.booleans())
def test_the_tree_tends_to_the_closed_form_and_early_exercise_is_never_worse(terms, call):
    steps = 300  # enough for p in (0,1): T (r - q)^2 / sigma^2 is below 245 in this range
    european = desk.evaluate("real_option_crr", {**terms, "steps": steps, "call": call, "american": False})
    closed = desk.evaluate("real_option_bsm", {**terms, "call": call})
    assert abs(european["value"] - closed["value"]) < Decimal("0.02") * max(terms["S"], terms["K"])
    american = desk.evaluate("real_option_crr", {**terms, "steps": steps, "call": call, "american": True})
    assert american["value"] >= european["value"] * (1 - Decimal("1e-12"))
    now = max(terms["S"] - terms["K"] if call else terms["K"] - terms["S"], 0)
    assert american["value"] >= now * (1 - Decimal("1e-12"))


# --- contribution ------------------------------------------------------------------------------------------------------


def keys(players):
    return ["".join(map(str, s)) or "empty" for size in range(players + 1) for s in combinations(range(players), size)]


@st.composite
def games(draw, most=4):
    players = draw(st.integers(2, most))
    values = {key: draw(decimals(-50, 50, 1)) for key in keys(players)}
    return {"game": "", "n": players, "definition": "", "v": {**values, "empty": Decimal(0)}}


def renamed(key, order):
    return key if key == "empty" else "".join(sorted(str(order[int(player)]) for player in key))


@FEW
@given(games(), st.data())
def test_semivalues_are_efficient_linear_and_blind_to_names(game, data):
    got = desk.evaluate("semivalues", game)
    players, v = game["n"], game["v"]
    assert near(sum(map(Fraction, got["shapley"])), v[keys(players)[-1]])
    doubled = desk.evaluate(
        "semivalues",
        {**game, "v": {key: 2 * value + len(key) for key, value in v.items() if key != "empty"} | {"empty": 0}},
    )
    for concept, values in got.items():
        # v' = 2 v + size: every semivalue is 2 value + 1, its weights summing to 1
        assert all(near(b, 2 * Fraction(a) + 1, "1e-20") for a, b in zip(values, doubled[concept], strict=True)), (
            concept
        )
    order = data.draw(st.permutations(range(players)))
    other = desk.evaluate("semivalues", {**game, "v": {renamed(key, order): value for key, value in v.items()}})
    for concept, values in got.items():
        assert all(values[player] == other[concept][order[player]] for player in range(players))


@FEW
@given(games(5))
def test_the_least_core_is_feasible_and_cannot_be_less(game):
    """A balanced collection with equality proves the optimum: found here by trying weights of all small collections."""
    players, v = game["n"], game["v"]
    masks = {sum(1 << int(p) for p in key if key != "empty"): Fraction(value) for key, value in v.items()}
    least = least_excess([masks[mask] for mask in range(1 << players)], players)
    assert near(desk.evaluate("least_core", game)["subsidy_e"], least)
    # lower bounds that hold for every split: a coalition and its complement; all singles; all but one each
    whole, full = masks[(1 << players) - 1], (1 << players) - 1
    bounds = [(masks[m] + masks[full ^ m] - whole) / 2 for m in range(1, full)]
    bounds.append((sum(masks[1 << p] for p in range(players)) - whole) / players)
    bounds.append((sum(masks[full ^ (1 << p)] for p in range(players)) - (players - 1) * whole) / players)
    assert least >= max(bounds)
    # shifting all worths of proper coalitions by a constant shifts the subsidy by it
    shifted = [masks[m] + (3 if 0 < m < full else 0) for m in range(full + 1)]
    assert least_excess(shifted, players) == least + 3


@FEW
@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=8), min_size=2, max_size=5))
def test_coverage_shapley_is_the_shapley_value_of_the_union(sets):
    got = desk.evaluate("coverage_shapley", {"id_sets": sets, "id_weights": {"3": Decimal("2.5")}})
    assert near(sum(map(Fraction, got["shapley"])), got["union"])
    weight = {x: Decimal("2.5") if x == 3 else Decimal(1) for x in range(13)}
    v = {
        key: sum((weight[x] for x in set().union(*(sets[int(p)] for p in key if key != "empty"))), Decimal(0))
        for key in keys(len(sets))
    }
    whole = desk.evaluate("semivalues", {"game": "", "n": len(sets), "definition": "", "v": v})
    assert all(near(a, b) for a, b in zip(got["shapley"], whole["shapley"], strict=True))


@FEW
@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.data())
def test_neighbours_share_the_score_of_the_nearest(labels, data):
    count = data.draw(st.integers(1, len(labels)))
    got = desk.evaluate("knn_shapley", {"labels_sorted_by_distance": labels, "test_label": 1, "K": count})
    assert near(got["total"], Fraction(labels[:count].count(1), count))


@FEW
@given(money, st.lists(decimals(-9, 9), min_size=1, max_size=6))
def test_a_split_gives_everything_away(pool, phi):
    if sum(phi) == 0 or max(phi) <= 0:
        return
    got = desk.evaluate("value_allocation", {"pool_value": pool, "phi": phi})
    assert abs(sum(map(Fraction, got["proportional"])) - Fraction(pool)) < Fraction("1e-15") * Fraction(pool) * 10**6
    assert near(sum(map(Fraction, got["clipped"])), pool)
    assert min(got["clipped"]) >= 0


# --- quality, noise ----------------------------------------------------------------------------------------------------


@FEW
@given(st.lists(st.integers(0, 100), min_size=6, max_size=6), st.lists(st.integers(0, 9), min_size=6, max_size=6))
def test_quality_means_keep_their_order(passed, weights):
    if sum(weights) == 0:
        return
    rows = ("rows", "required_cells", "checked_reference", "fk_rows", "due_for_update", "rule_checked")
    parts = ("distinct", "non_null", "matched_reference", "fk_violations", "updated_in_sla", "rule_pass")
    names = FIRST["dq_metrics"]["weights"]
    counts = dict.fromkeys(rows, 100) | dict(zip(parts, passed, strict=True))
    got = desk.evaluate("dq_metrics", {"counts": counts, "weights": dict(zip(names, weights, strict=True))})
    slack = Decimal("1e-30")
    assert got["alpha_min"] <= got["alpha_geometric"] + slack
    assert got["alpha_geometric"] <= got["alpha_arithmetic"] + slack


@FEW
@given(decimals("0.01", 4), decimals("0.1", 5))
def test_the_discrete_half_width_is_the_first_that_holds_95_per_cent(epsilon, sensitivity):
    width = desk.evaluate("dp_count_error", {"epsilon": epsilon, "sensitivity": sensitivity})[
        "discrete_laplace_95_halfwidth"
    ]
    q = reals.exp(-Fraction(epsilon) / Fraction(sensitivity))
    assert 2 * q ** (width + 1) / (1 + q) <= Fraction(1, 20)
    assert width == 0 or 2 * q**width / (1 + q) > Fraction(1, 20)


@FEW
@given(decimals("0.001", 9), decimals("0.001", 9))
def test_the_budget_covers_so_many_and_no_more(whole, each):
    count = desk.evaluate(
        "dp_revaluation_budget",
        {"rho_total": whole, "rho_per_revaluation": each, "delta": Decimal("1e-6"), "sensitivity": 1},
    )["revaluations"]
    assert count * each <= whole < (count + 1) * each


# --- pledge, credit, schedules -----------------------------------------------------------------------------------------


@FEW
@given(money, money, decimals("0.01", "0.3"), decimals("0.31", "0.5"), decimals("0.51", "0.7"), decimals("0.71", 1))
def test_a_cure_restores_the_initial_ltv(loan, value, first, second, third, last):
    got = desk.evaluate(
        "margin_call",
        {"loan": loan, "value_now": value, "initial_ltv": first, "warning": second, "call": third, "liquidation": last},
    )
    if loan > first * value:
        assert near((Fraction(loan) - Fraction(got["cash_cure"])) / Fraction(value), first, "1e-15")
        assert near(Fraction(loan) / (Fraction(value) + Fraction(got["collateral_cure"])), first)
    at_call = run("margin_call", loan=loan, value_now=loan / third if loan % third == 0 else value)
    assert at_call["ltv"] > 0
    assert (got["drop_to_call"] <= 0) == (got["state"] in {"margin_call", "liquidation"})


@FEW
@given(decimals("0.0005", "0.99"), decimals("0.25", 1), decimals(1, 5), st.none() | decimals(0, 80))
def test_capital_grows_with_loss_and_never_goes_below_zero(default, loss, maturity, sales):
    inputs = {"PD": default, "LGD": loss, "M": maturity, "sales_mEUR_or_null": sales}
    got = desk.evaluate("irb_capital", inputs)
    assert 0 < got["K"] < 2
    assert near(Fraction(got["RW"]) * 8, Fraction(got["K"]) * 100)
    half = desk.evaluate("irb_capital", {**inputs, "LGD": Decimal("0.25")})
    assert near(Fraction(half["K"]) / Fraction("0.25"), Fraction(got["K"]) / Fraction(loss), "1e-20")


@FEW
@given(
    money,
    decimals("0.001", "0.9"),
    st.integers(2, 480),
    st.sampled_from(["annuity", "equal_principal", "bullet"]),
    share,
)
def test_a_schedule_is_worth_its_principal(loan, nominal, months, kind, residual):
    balloon = (loan * residual).quantize(Decimal("0.01"))
    asked = {"principal": loan, "annual_rate": nominal, "months": months, "kind": kind, "balloon": balloon}
    got = {key: Fraction(value) for key, value in desk.evaluate("repayment_schedule", asked).items()}
    i, p, r = Fraction(nominal) / 12, Fraction(loan), Fraction(balloon)
    if kind == "bullet":
        assert got["total_interest"] == p * i * months or near(got["total_interest"], p * i * months)
    elif kind == "annuity":
        payment = got["first_interest"] + got["first_principal"]
        assert near(got["total_interest"] + p, payment * months + r, "1e-20")
        v = reals.power(1 + i, -months)
        assert near(payment * (1 - v) / i + r * v, p, "1e-20")  # discounted payments repay the loan
        assert near(got["last_principal"] * (1 + i), payment + r, "1e-20")
    else:
        assert near(got["last_principal"] - r, got["first_principal"], "1e-20")
        assert near(got["mid_balance"], p - months // 2 * got["first_principal"], "1e-20")


@FEW
@given(money, money, half_life, st.integers(6, 60), decimals("0.05", 1))
def test_amortisation_repays_the_loan_and_keeps_the_cap(loan, value, life, months, cap):
    asked = {
        "loan": loan,
        "value0": value,
        "half_life": life,
        "months": months,
        "rate": Decimal("0.06"),
        "max_ltv": cap,
    }
    got = {key: Fraction(x) for key, x in desk.evaluate("ltv_constant_amortisation", asked).items()}
    ceiling = [Fraction(cap) * Fraction(value) * reals.halved(Fraction(k, 12), Fraction(life)) for k in range(months)]
    balances = [Fraction(loan), *(min(Fraction(loan), one) for one in ceiling[1:]), Fraction(0)]
    assert near(got["total_interest"], sum(balances) * Fraction("0.005"), "1e-20")
    assert near(got["first_principal"] + 1, balances[0] - balances[1] + 1, "1e-20")
    assert near(got["last_principal"], balances[-2], "1e-20")


@FEW
@given(st.lists(decimals(-(10**6), 10**7, 0), min_size=1, max_size=10), money, rate, decimals(1, 3))
def test_sculpted_principal_never_exceeds_the_loan(cash, loan, interest, target):
    got = desk.evaluate("dscr_sculpting", {"cfads": cash, "loan": loan, "rate": interest, "target_dscr": target})
    assert near(sum(map(Fraction, got["principal"])) + Fraction(got["balloon"]), loan)
    assert min(*got["principal"], got["balloon"], Decimal(0)) == 0
    assert near(Fraction(got["max_loan_at_dscr"]) * Fraction(target), Fraction(got["LLCR"]) * Fraction(loan), "1e-20")


@FEW
@given(money, decimals("0.0005", "0.9"), decimals("0.25", 1), share, decimals("0.01", 1))
def test_at_the_floor_rate_raroc_is_the_hurdle(exposure, default, loss, tax, capital):
    asked = changed("loan_pricing_raroc", EAD=exposure, PD=default, LGD=loss, tax=tax, EC_share=capital)
    floor = desk.evaluate("loan_pricing_raroc", asked)["min_rate"]
    if 0 <= floor < 1:
        assert near(desk.evaluate("loan_pricing_raroc", {**asked, "rate": floor})["raroc"], asked["hurdle"], "1e-20")


# --- structures --------------------------------------------------------------------------------------------------------

default = decimals("0.0005", "0.9")


@FEW
@given(default, default, decimals(0, "0.6"), decimals(0, "0.6"), decimals(0, 1))
def test_joint_default_is_symmetric_rises_with_correlation_and_stays_in_its_bounds(one, other, low, high, coverage):
    low, high = sorted((low, high))
    terms = {"EAD": 1, "LGD": 1, "coverage": coverage}
    joint = [
        desk.evaluate("guarantee_joint_default", {**terms, "PD": p, "PD_guarantor": g, "correlation": rho})["joint_pd"]
        for p, g, rho in ((one, other, low), (other, one, low), (one, other, high))
    ]
    assert near(joint[0], joint[1], "1e-12")
    assert joint[0] <= joint[2] * (1 + Decimal("1e-12"))
    assert one * other <= joint[0] * (1 + Decimal("1e-12"))
    assert joint[2] <= min(one, other)


@settings(max_examples=10)
@given(
    default, decimals("0.25", 1), decimals("0.01", "0.6"), st.lists(decimals("0.01", "0.99", 2), min_size=1, max_size=3)
)
def test_tranches_share_the_loss_of_the_pool(chance, loss, rho, cuts):
    edges = [Decimal(0), *sorted(set(cuts)), Decimal(1)]
    whole, hits = Fraction(0), []
    for low, high in pairwise(edges):
        got = desk.evaluate("abs_tranche_lhp", {"PD": chance, "LGD": loss, "rho": rho, "attach": low, "detach": high})
        whole += Fraction(got["tranche_el"]) * Fraction(high - low)
        hits.append(got["prob_hit"])
        assert 0 <= got["tranche_el"] <= got["prob_hit"] * (1 + Decimal("1e-12"))
    assert near(whole, Fraction(chance) * Fraction(loss), "1e-10")
    assert hits == sorted(hits, reverse=True)


@settings(max_examples=10)
@given(st.integers(1, 40), default, decimals("0.25", 1), decimals("0.01", "0.6"))
def test_a_small_pool_loses_its_expected_loss(count, chance, loss, rho):
    asked = {"obligors": count, "PD": chance, "LGD": loss, "rho": rho}
    got = desk.evaluate("abs_small_pool", {**asked, "subordination": 0})
    assert near(got["senior_el"], Fraction(chance) * Fraction(loss), "1e-9")
    assert near(got["p_zero"] + got["p_senior_loss"], 1, "1e-12")
    deeper = desk.evaluate("abs_small_pool", {**asked, "subordination": Decimal("0.2")})
    assert deeper["p_senior_loss"] <= got["p_senior_loss"]


@FEW
@given(
    st.lists(decimals(0, 500, 2), min_size=1, max_size=12),
    decimals(0, 20, 2),
    decimals(0, 900, 2),
    decimals(0, 90, 2),
    decimals(0, 50, 2),
)
def test_the_waterfall_creates_no_cash(collections, fee, senior, junior, target):
    asked = {
        "collections": collections,
        "fee": fee,
        "senior_rate": Decimal("0.01"),
        "senior": senior,
        "junior": junior,
        "junior_rate": Decimal("0.03"),
        "reserve_start": target / 2,
        "reserve_target": target,
    }
    got = desk.evaluate("abs_waterfall", asked)
    assert senior - sum(got["senior_principal"]) == got["senior_left"] >= 0
    assert (
        sum(got["senior_principal"]) + junior - got["junior_left"] + got["reserve_end"] <= sum(collections) + target / 2
    )
    if got["senior_left"] > 0:
        assert got["junior_left"] == junior
        # all cash is used: fee, interest, reserve, principal
        spent, balance = Decimal(0), senior
        for repaid in got["senior_principal"]:
            spent += balance * Decimal("0.01") + repaid
            balance -= repaid
        fees = sum(collections) + target / 2 - got["reserve_end"] - spent + got["senior_interest_shortfall"]
        assert 0 <= fees <= fee * len(collections)


@FEW
@given(
    st.lists(st.lists(decimals("0.01", 99, 2), min_size=1, max_size=3), min_size=1, max_size=4),
    decimals(0, 500, 2),
    decimals(0, 50, 2),
)
def test_enforcement_pays_all_cash_by_rank(ranks, proceeds, costs):
    claims = [[{"lender": f"{k}-{j}", "amount": a} for j, a in enumerate(rank)] for k, rank in enumerate(ranks)]
    got = desk.evaluate("enforcement_waterfall", {"claims_by_rank": claims, "proceeds": proceeds, "costs": costs})
    paid = sum(map(Fraction, got["paid"].values())) + Fraction(got["surplus_to_pledgor"])
    assert near(paid, max(proceeds - costs, Decimal(0)))
    full = [all(near(got["paid"][c["lender"]], c["amount"]) for c in rank) for rank in claims]
    nothing = [all(got["paid"][c["lender"]] == 0 for c in rank) for rank in claims]
    assert all(full[k] or nothing[k + 1] for k in range(len(claims) - 1))


# --- uncertainty -------------------------------------------------------------------------------------------------------


@FEW
@given(
    st.dictionaries(
        st.sampled_from(sorted(FIRST["tornado"]["base"])), st.tuples(decimals("-0.4", 0), decimals(0, "0.4"))
    )
)
def test_a_tornado_falls(shocks):
    got = run("tornado", shocks={name: list(pair) for name, pair in shocks.items()})
    swings = [abs(high - low) for low, high in zip(got["low"], got["high"], strict=True)]
    assert sorted(got["order"]) == sorted(shocks)
    assert all(a >= b * (1 - Decimal("1e-30")) for a, b in pairwise(swings))


def test_ties_of_a_tornado_keep_the_order_of_the_shocks():
    pair = [Decimal("-0.1"), Decimal("0.1")]
    for names in (["revenue", "quality", "royalty"], ["royalty", "revenue", "quality"]):
        assert run("tornado", shocks=dict.fromkeys(names, pair))["order"] == names


@FEW
@given(st.lists(st.tuples(money, money), min_size=1, max_size=6))
def test_inverse_variance_is_between_and_better_than_each(pairs):
    values, sds = ([pair[k] for pair in pairs] for k in (0, 1))
    got = desk.evaluate("reconciliation", {"indications": values, "sds": sds, "weights": [1] * len(values)})
    slack = Decimal("1e-25")
    assert min(values) * (1 - slack) <= got["inverse_variance"] <= max(values) * (1 + slack)
    assert got["iv_sd"] <= min(sds) * (1 + slack)
    assert got["chi2"] >= 0


@FEW
@given(st.lists(decimals(-5, 5), min_size=1, max_size=4), decimals(0, 2), decimals("0.001", "0.999"))
def test_quantiles_of_a_product_mirror_around_the_median(means, spread, level):
    got = desk.evaluate(
        "monte_carlo_closed_form",
        {"log_means": means, "log_sds": [spread] * len(means), "probabilities": [level, 1 - level]},
    )
    low, high = map(Fraction, got["quantiles"])
    assert near(low * high, Fraction(got["median"]) ** 2)
    assert near((1 + Fraction(got["cv"]) ** 2) * Fraction(got["median"]) ** 2, Fraction(got["mean"]) ** 2, "1e-20")


# --- real functions ----------------------------------------------------------------------------------------------------


@FEW
@given(decimals(-12, 12))
def test_normal_tails_add_up_and_invert(value):
    x = Fraction(value)
    assert near(reals.below(x) + reals.below(-x), 1, "1e-50")
    if abs(x) < 10:
        assert abs(reals.quantile(reals.below(-abs(x))) + abs(x)) < Fraction("1e-45")


def test_both_branches_of_the_tail_meet():
    for shift in ("-1e-40", "1e-40"):
        assert near(reals.below(-7 + Fraction(shift)), reals.below(Fraction(-7)), "1e-35")
    # published to 20 digits: Φ(-1), Φ(-10), the 97.5 % quantile
    assert near(reals.below(Fraction(-1)), Fraction("0.15865525393145705141"), "1e-18")
    assert near(reals.below(Fraction(-10)), Fraction("7.6198530241605260660e-24"), "1e-18")
    assert near(reals.quantile(Fraction("0.975")), Fraction("1.9599639845400542355"), "1e-18")


@FEW
@given(st.fractions(-3, 3), st.integers(0, 60))
def test_exponential_and_logarithm_undo_each_other(value, zeros):
    x = value / 10**zeros
    assert near(reals.ln(1 + reals.exp_less_1(x)), x, "1e-40")
    assert near(reals.root(reals.rounded(x * x)), abs(x), "1e-40")
