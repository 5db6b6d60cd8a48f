"""Second computations of the desk's methods 32 to 60; see :mod:`tests.second_opinions`."""

import hashlib
import itertools
import math
from fractions import Fraction

import numpy as np

from tests.second_opinions import inverse_phi, phi, simpson

CASES = {}


def case(name, *changes):
    def keep(function):
        CASES[name] = (function, changes)
        return function

    return keep


# --- quality and privacy error -----------------------------------------------------------------------------------------

COUNTS = {
    "rows": 10,
    "required_cells": 40,
    "non_null": 40,
    "distinct": 10,
    "checked_reference": 5,
    "matched_reference": 4,
    "fk_rows": 10,
    "fk_violations": 10,
    "due_for_update": 1,
    "updated_in_sla": 0,
    "rule_checked": 9,
    "rule_pass": 9,
}
SIX = ("completeness", "uniqueness", "accuracy", "consistency", "timeliness", "validity")


@case(
    "dq_metrics",
    {"counts": COUNTS},
    {"counts": COUNTS, "weights": dict(zip(SIX, (1, 2, 3, 0, 0, 4), strict=True))},
    {"weights": dict(zip(SIX, (0, 0, 0, 0, 7, 0), strict=True))},
)
def _(i):
    c = i["counts"]
    over = np.array(
        [c[k] for k in ("non_null", "distinct", "matched_reference", "fk_rows", "updated_in_sla", "rule_pass")]
    )
    under = np.array(
        [c[k] for k in ("required_cells", "rows", "checked_reference", "fk_rows", "due_for_update", "rule_checked")]
    )
    over = over - np.array([0, 0, 0, c["fk_violations"], 0, 0])
    q = over / under
    w = np.array([i["weights"][k] for k in SIX]) / sum(i["weights"].values())
    return {
        "metrics": dict(zip(SIX, q.tolist(), strict=True)),
        "alpha_arithmetic": float(w @ q),
        "alpha_geometric": float(np.prod(q**w)),  # a power of 0 is 0, and 1 where the weight is 0
        "alpha_min": float(q.min()),
    }


@case("dp_count_error", {"epsilon": 4}, {"epsilon": 1.5, "sensitivity": 7}, {"epsilon": 2, "sensitivity": 0.5})
def _(i):
    b = i["sensitivity"] / i["epsilon"]
    q = math.exp(-1 / b)
    norm = (1 - q) / (1 + q)
    reach = int(60 * b) + 10
    mass = [norm * q**k for k in range(reach)]
    inside, k = mass[0], 0
    while inside < 0.95:
        k += 1
        inside += 2 * mass[k]
    return {
        "laplace_scale": b,
        "laplace_sd": math.sqrt(2 * b * b),
        "laplace_95_halfwidth": -b * math.log(0.05),
        "discrete_laplace_sd": math.sqrt(sum(2 * m * n * n for n, m in enumerate(mass))),
        "discrete_laplace_95_halfwidth": k,
    }


@case(
    "dp_ratio_to_price",
    {"eps_B_or_null_if_public": None},
    {"A": 5, "B": 4, "eps_A": 4, "eps_B_or_null_if_public": 0.5},
    {"price_elasticity": 0},
    {"price_elasticity": 2.5, "price": 3},
)
def _(i):
    a, b = i["A"], i["B"]
    # gradient by central differences, instead of the formula of the ratio
    da = ((a + 1e-3) / b - (a - 1e-3) / b) / 2e-3
    db = (a / (b * (1 + 1e-6)) - a / (b * (1 - 1e-6))) / (2e-6 * b)
    va = 2 / i["eps_A"] ** 2
    vb = 0 if i["eps_B_or_null_if_public"] is None else 2 / i["eps_B_or_null_if_public"] ** 2
    sd = math.hypot(da * math.sqrt(va), db * math.sqrt(vb))
    rel = i["price_elasticity"] * sd / (a / b)
    money = rel * i["price"]
    return {
        "ratio": a / b,
        "sd_ratio": sd,
        "rel_price_sd": rel,
        "price_sd": money,
        "price_95_halfwidth": money * inverse_phi(0.975),
    }


@case(
    "dp_revaluation_budget",
    {"rho_total": 0.3, "rho_per_revaluation": 0.1},
    {"rho_total": 0.29999, "rho_per_revaluation": 0.1, "delta": 0.5},
    {"rho_total": 1, "rho_per_revaluation": 7, "sensitivity": 3},
)
def _(i):
    each, count = Fraction(str(i["rho_per_revaluation"])), 0
    left = Fraction(str(i["rho_total"]))
    while left >= each:
        left, count = left - each, count + 1

    def epsilon(rho):  # the least over orders a > 1 of a rho + ln(1/delta)/(a - 1)
        best = 1 + math.sqrt(math.log(1 / i["delta"]) / rho)
        return best * rho + math.log(1 / i["delta"]) / (best - 1)

    return {
        "revaluations": count,
        "gaussian_sigma": math.sqrt(i["sensitivity"] ** 2 / (2 * i["rho_per_revaluation"])),
        "eps_each": epsilon(i["rho_per_revaluation"]),
        "eps_total": epsilon(i["rho_total"]),
    }


@case(
    "dp_false_margin_call",
    {"true_ltv": 0.65},
    {"deadband_sigmas": 0, "relative_price_sd": 1},
    {"true_ltv": 0.1, "call_ltv": 1, "relative_price_sd": 0.2, "deadband_sigmas": 1.5},
)
def _(i):
    def false(call):  # integrate over the released value
        edge = (i["true_ltv"] / call - 1) / i["relative_price_sd"]
        return simpson(lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi), edge - 14, edge, 4000)

    return {
        "p_false_no_deadband": false(i["call_ltv"]),
        "p_false_with_deadband": false(i["call_ltv"] * (1 + i["deadband_sigmas"] * i["relative_price_sd"])),
        "trigger_value_ratio": 1 / i["call_ltv"],
    }


@case(
    "privacy_budget_as_reserve",
    {"eps_used": 10},
    {"eps_used": 9, "eps_reserved_for_foreclosure": 3},
    {"eps_used": 0, "eps_reserved_for_foreclosure": 0},
)
def _(i):
    v, t, u, r = i["value_of_query_rights"], i["eps_lifetime"], i["eps_used"], i["eps_reserved_for_foreclosure"]
    left = t - u
    kept = min(left, r)
    return {
        "saleable_share": (left - kept) / t,
        "units_of_production_value": v - v * u / t,
        "foreclosure_reserve_value": v / t * kept,
    }


# --- pledge and credit -------------------------------------------------------------------------------------------------

CAPS = ("dscr", "revenue", "policy")


@case(
    "recognised_value_limit",
    {"policy_cap": 1e9, "revenue_cap": 1e9, "dscr_cap": 1e9},
    {"lower_bound": 0},
    {"haircuts": {}, "prior_liens": 6e7, "lower_bound": 7e7},
    {"revenue_cap": 5e6, "policy_cap": 5e6, "haircuts": {"x": 0.999}},
)
def _(i):
    value = min(i["appraised"], i["lower_bound"])
    for cut in i["haircuts"].values():
        value -= value * cut
    value = max(0, value - i["prior_liens"])
    options = [(i["ltv_cap"] * value, 0, "ltv")] + [(i[f"{c}_cap"], 1 + k, c) for k, c in enumerate(CAPS)]
    limit, _, name = min(options)
    return {
        "recognised_value": value,
        "total_haircut": (i["appraised"] - value) / i["appraised"],
        "limit": limit,
        "binding": name,
        "ltv_on_appraised": limit / i["appraised"],
        "value_to_book": i["appraised"] / i["book_value"],
    }


@case(
    "basel_comprehensive",
    {"Hfx_10d": 0.08, "collateral_residual": 0.25},
    {"exposure_residual": 9, "collateral_residual": 7, "He": 0.1},
    {"exposure_residual": 4, "collateral_residual": 2, "C": 5e6},
    {"Hc_10d": 0.9, "revaluation_days_NR": 20},
)
def _(i):
    days = i["revaluation_days_NR"] + i["holding_days_TM"] - 1
    hc, hfx = (math.exp(math.log(days / 10) / 2) * i[k] for k in ("Hc_10d", "Hfx_10d"))
    adjusted = i["C"] - i["C"] * hc - i["C"] * hfx
    t, whole = i["collateral_residual"], i["exposure_residual"]
    if t >= whole:
        factor = 1.0
    else:
        whole = min(5, whole)
        factor = ((min(whole, t)) - 0.25) / (whole - 0.25)
    return {
        "Hc": hc,
        "Hfx": hfx,
        "C_adjusted": adjusted,
        "maturity_factor": factor,
        "E_star": max(0, i["E"] + i["E"] * i["He"] - adjusted * factor),
    }


@case("firb_lgd_star", {"C": 0}, {"C": 5e6, "He": 0.2}, {"C": 1.5e7, "Hc": 0.4, "LGDS": 0})
def _(i):
    gross = i["E"] + i["E"] * i["He"]
    es = min(i["C"] * (1 - i["Hc"]), gross)
    return {"ES": es, "EU": gross - es, "LGD_star": i["LGDU"] - (i["LGDU"] - i["LGDS"]) * es / gross}


@case(
    "irb_capital",
    {"PD": 0.0005, "M": 5, "LGD": 1},
    {"PD": 0.3, "sales_mEUR_or_null": 30},
    {"sales_mEUR_or_null": 0, "M": 1},
    {"sales_mEUR_or_null": 900, "PD": 0.9},
)
def _(i):
    w = (1 - math.exp(-50 * i["PD"])) / (1 - math.exp(-50))
    r = 0.24 - 0.12 * w
    if i["sales_mEUR_or_null"] is not None:
        r -= 0.04 * (50 - sorted((5, i["sales_mEUR_or_null"], 50))[1]) / 45
    b = (0.11852 - 0.05478 * math.log(i["PD"])) ** 2
    bad = -inverse_phi(0.999)
    stressed = phi((inverse_phi(i["PD"]) - math.sqrt(r) * bad) / math.sqrt(1 - r))
    k = i["LGD"] * (stressed - i["PD"]) / (1 - 1.5 * b) * (1 + (i["M"] - 2.5) * b)
    return {"R": r, "b": b, "K": k, "RW": k / 0.08}


@case("loan_pricing_raroc", {"rate": 0}, {"tax": 0, "EC_share": 1, "hurdle": 0.3}, {"PD": 0.5, "LGD": 1, "rate": 0.9})
def _(i):
    ead, capital = i["EAD"], i["EAD"] * i["EC_share"]
    loss = ead * i["PD"] * i["LGD"]

    def raroc(rate):
        return ((rate - i["FTP"] - i["opex"]) * ead - loss + capital * i["rf"]) * (1 - i["tax"]) / capital

    # the rate at which raroc is the hurdle, from the straight line through two of its points
    zero, slope = raroc(0), raroc(1) - raroc(0)
    least = (i["hurdle"] - zero) / slope
    return {"EL": loss, "min_rate": least, "raroc": raroc(i["rate"]), "rorac_spread": i["rate"] - least}


@case(
    "collateral_lgd",
    {"V0": 0},
    {"years_to_default": 0, "workout_years": 0, "cost_share": 0},
    {"half_life": 0.05, "years_to_default": 0.3},
    {"V0": 1e9},
)
def _(i):
    value = i["V0"] * math.exp(-math.log(2) * i["years_to_default"] / i["half_life"])
    net = value * (1 - i["liquidation_discount"]) * (1 - i["cost_share"])
    net *= math.exp(-math.log1p(i["rate"]) * i["workout_years"])
    recovery = min(i["EAD"], net)
    return {"V_at_default": value, "recovery": recovery, "LGD": (i["EAD"] - recovery) / i["EAD"]}


@case(
    "ltv_from_quantile",
    {"confidence": 0.999, "sigma": 2},
    {"drift": 0.9, "half_life": 30, "sigma": 0.05, "liquidation_discount": 0},
    {"T": 7, "confidence": 0.51, "loan_rate": 0.9},
)
def _(i):
    # bisect for the loan whose shortfall probability is 1 - c
    mean = (i["drift"] - math.log(2) / i["half_life"] - i["sigma"] ** 2 / 2) * i["T"]
    low, high = -60.0, 60.0
    for _step in range(200):
        middle = (low + high) / 2
        short = phi((middle - mean) / (i["sigma"] * math.sqrt(i["T"])))
        low, high = (middle, high) if short < 1 - i["confidence"] else (low, middle)
    ltv = math.exp(low) * (1 - i["liquidation_discount"]) / (1 + i["loan_rate"] * i["T"])
    return {"haircut": 1 - ltv, "ltv_max": ltv}


@case(
    "repayment_schedule",
    {"balloon": 4e6},
    {"months": 2, "balloon": 9e6},
    {"kind": "equal_principal", "months": 7, "balloon": 3e6},
    {"kind": "bullet", "months": 5, "balloon": 2},
    {"months": 120, "annual_rate": 0.2},
)
def _(i):
    loan, n, r, rate = i["principal"], i["months"], i["balloon"], i["annual_rate"] / 12
    annuity = (loan - r * (1 + rate) ** -n) * rate / (1 - (1 + rate) ** -n)
    balance, interests, principals, balances = loan, [], [], []
    for month in range(1, n + 1):
        interest = balance * rate
        principal = {"annuity": annuity - interest, "equal_principal": (loan - r) / n, "bullet": 0.0}[i["kind"]]
        principal = balance if month == n else principal
        balance -= principal
        interests.append(interest)
        principals.append(principal)
        balances.append(balance)
    return {
        "first_interest": interests[0],
        "first_principal": principals[0],
        "mid_balance": balances[n // 2 - 1],
        "last_principal": principals[-1],
        "total_interest": math.fsum(interests),
    }


@case(
    "ltv_constant_amortisation",
    {"months": 6},
    {"loan": 3e7, "months": 30},
    {"loan": 5e6, "months": 48, "half_life": 1.5},
    {"loan": 1e6, "months": 7, "rate": 0, "half_life": 30},
)
def _(i):
    balances = [i["loan"]]
    for k in range(1, i["months"]):
        balances.append(min(balances[-1], i["max_ltv"] * i["value0"] * 2 ** (-k / 12 / i["half_life"])))
    balances.append(0.0)
    paid = [a - b for a, b in itertools.pairwise(balances)]
    return {
        "first_principal": paid[0],
        "principal_month_6": paid[5],
        "last_principal": paid[-1],
        "total_interest": math.fsum(balances[:-1]) * i["rate"] / 12,
    }


@case("dscr_sculpting", {"loan": 2e7}, {"cfads": [1e5, -5, 9e6, 9e6]}, {"target_dscr": 1, "rate": 0.3, "cfads": [9e6]})
def _(i):
    balance, principal, pv = i["loan"], [], 0.0
    for cash in i["cfads"]:
        room = cash / i["target_dscr"] - i["rate"] * balance
        principal.append(sorted((0.0, room, balance))[1] if room > 0 else 0.0)
        balance -= principal[-1]
    for cash in reversed(i["cfads"]):
        pv = (pv + cash) / (1 + i["rate"])
    return {
        "principal": principal,
        "balloon": balance,
        "LLCR": pv / i["loan"],
        "max_loan_at_dscr": pv / i["target_dscr"],
    }


@case(
    "margin_call",
    {"value_now": 1.6e7},
    {"value_now": 1.4e7},
    {"value_now": 1.5e7},
    {"value_now": 9e6},
    {"initial_ltv": 0.3},
)
def _(i):
    loan, value = i["loan"], i["value_now"]
    passed = [loan >= Fraction(str(i[k])) * Fraction(value) for k in ("warning", "call", "liquidation")]
    at_call = loan / i["call"]
    return {
        "ltv": loan / value,
        "state": ("normal", "warning", "margin_call", "liquidation")[sum(passed)],
        "cash_cure": max(0, (loan / value - i["initial_ltv"]) * value),
        "collateral_cure": max(0, (loan - i["initial_ltv"] * value) / i["initial_ltv"]),
        "value_at_call": at_call,
        "drop_to_call": (value - at_call) / value,
    }


# --- structures --------------------------------------------------------------------------------------------------------


@case(
    "guarantee_joint_default",
    {"correlation": 0.6},
    {"correlation": 0.2, "PD": 0.5, "PD_guarantor": 0.4, "coverage": 1},
    {"correlation": 0.45, "PD": 0.0005, "PD_guarantor": 0.0005, "coverage": 0.5},
    {"correlation": 0.3, "PD": 0.9, "PD_guarantor": 0.99, "coverage": 0},
)
def _(i):
    p, rho = i["PD"], i["correlation"]
    a, b = inverse_phi(p), inverse_phi(i["PD_guarantor"])
    joint = simpson(
        lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * phi((b - rho * z) / math.sqrt(1 - rho**2)),
        min(a, 0) - 12,
        a,
        6000,
    )
    el = i["EAD"] * i["LGD"] * ((1 - i["coverage"]) * p + i["coverage"] * joint)
    return {
        "joint_pd": joint,
        "EL": el,
        "EL_saved": i["EAD"] * i["LGD"] * p - el,
        "fair_fee_on_covered": i["LGD"] * (p - joint),
    }


def conditional(i):
    """Default probability given the factor, as a function of it."""
    start, rho = inverse_phi(i["PD"]), i["rho"]
    return lambda z: phi((start - math.sqrt(rho) * z) / math.sqrt(1 - rho))


@case(
    "abs_tranche_lhp",
    {"attach": 0.1, "detach": 0.25},
    {"attach": 0.05, "detach": 0.051, "rho": 0.6},
    {"attach": 0.3, "detach": 1, "PD": 0.2},
    {"attach": 0.75, "detach": 0.9},
    {"attach": 0, "detach": 1, "rho": 0.01},
)
def _(i):
    default = conditional(i)
    lo, hi, lgd = i["attach"], i["detach"], i["LGD"]

    def at(share):  # where the falling pool loss crosses the share
        low, high = -9.0, 9.0
        for _step in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if lgd * default(middle) > share else (low, middle)
        return low

    edges = sorted({-9.0, at(hi), at(lo), 9.0})

    def loss(z):
        return min(max(lgd * default(z) - lo, 0), hi - lo) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    el = math.fsum(simpson(loss, a, b, 4000) for a, b in itertools.pairwise(edges)) / (hi - lo)
    hit = 1.0 if lo == 0 else 0.0 if lo >= lgd else phi(at(lo))
    return {"tranche_el": el, "prob_hit": hit, "pool_el": i["PD"] * lgd}


@case(
    "abs_small_pool",
    {"obligors": 1, "subordination": 0},
    {"obligors": 20, "LGD": 0.5, "subordination": 0.25, "rho": 0.6, "PD": 0.2},
    {"obligors": 60, "subordination": 0.05, "rho": 0.05},
    {"obligors": 10, "LGD": 0.7, "subordination": 0.07},
)
def _(i):
    default, n = conditional(i), i["obligors"]
    points = [-9 + 18 * k / 3000 for k in range(3001)]
    weight = [
        (1 if k in (0, 3000) else 4 if k % 2 else 2) * 0.006 / 3 * math.exp(-z * z / 2) for k, z in enumerate(points)
    ]
    chances = [default(z) for z in points]
    law = [
        math.fsum(w * math.comb(n, k) * p**k * (1 - p) ** (n - k) for w, p in zip(weight, chances, strict=True))
        / math.sqrt(2 * math.pi)
        for k in range(n + 1)
    ]
    lgd, sub = Fraction(str(i["LGD"])), Fraction(str(i["subordination"]))
    excess = [max(lgd * k / n - sub, 0) for k in range(n + 1)]
    return {
        "p_zero": law[0],
        "p_two_or_more": math.fsum(law[2:]),
        "p_senior_loss": math.fsum(p for p, e in zip(law, excess, strict=True) if e > 0),
        "senior_el": math.fsum(p * float(e) for p, e in zip(law, excess, strict=True)) / float(1 - sub),
    }


@case(
    "abs_waterfall",
    {"collections": [300000, 1000000, 0, 5000000]},
    {"collections": [150000000, 20000000], "reserve_target": 4000000},
    {"collections": [10, 10], "senior": 0, "junior": 15, "fee": 1, "reserve_start": 3, "junior_rate": 0.5},
    {
        "collections": [19000, 1000],
        "senior": 20000,
        "fee": 0,
        "senior_rate": 0,
        "reserve_start": 500,
        "reserve_target": 0,
    },
)
def _(i):
    # in whole units of 1e-12 yuan, claim by claim through one purse
    unit = 10**12
    pot, shortfall, principals = int(i["reserve_start"] * unit), 0, []
    senior, junior = int(i["senior"] * unit), int(i["junior"] * unit)
    for collected in i["collections"]:
        purse, kept = int(collected * unit) + pot, 0

        def pay(amount):
            nonlocal purse
            paid = min(amount, purse)
            purse -= paid
            return paid

        pay(int(i["fee"] * unit))
        due = round(senior * i["senior_rate"])
        shortfall += due - pay(due)
        if senior:
            kept = pay(int(i["reserve_target"] * unit))
        principals.append(pay(senior))
        senior -= principals[-1]
        if not senior:
            pay(round(junior * i["junior_rate"]))
            junior -= pay(junior)
            purse, kept = kept, 0
            junior -= pay(junior)
        pot = kept
    return {
        "senior_principal": [p / unit for p in principals],
        "senior_left": senior / unit,
        "junior_left": junior / unit,
        "senior_interest_shortfall": shortfall / unit,
        "reserve_end": pot / unit,
    }


# --- model risk, chain, registry ---------------------------------------------------------------------------------------


def stream(p):
    """The royalty stream by quadrature of its flow, instead of its closed form."""
    k = math.log1p(p["rate"]) + math.log(2) / p["half_life"] - math.log1p(p["growth"])
    start = p["revenue"] * p["royalty"] * p["quality"] * (1 - p["tax"])
    return simpson(lambda t: start * math.exp(-k * t), 0, p["horizon"], 3000)


@case(
    "tornado",
    {"shocks": {"growth": [-1, 4], "tax": [0.5, -0.5]}},
    {"shocks": {"quality": [-0.1, 0.1], "revenue": [-0.1, 0.1], "royalty": [0.1, -0.1]}},
    {"shocks": {"horizon": [-1, 0], "half_life": [0, 2]}},
)
def _(i):
    base = i["base"]
    rows = []
    for place, (name, shocks) in enumerate(i["shocks"].items()):
        low, high = (stream({**base, name: base[name] * (1 + shock)}) for shock in shocks)
        rows.append((-round(abs(high - low), 4), place, name, low, high))
    rows.sort()
    return {
        "base": stream(base),
        "order": [row[2] for row in rows],
        "low": [row[3] for row in rows],
        "high": [row[4] for row in rows],
    }


@case(
    "monte_carlo_closed_form",
    {"log_sds": [0, 0, 0]},
    {"log_means": [-3], "log_sds": [2], "probabilities": [1e-9, 0.999]},
    {"log_means": [1, 1], "log_sds": [1e-6, 0], "probabilities": [0.5]},
)
def _(i):
    m, s = math.fsum(i["log_means"]), math.hypot(*i["log_sds"])

    def moment(order):
        if s == 0:
            return math.exp(order * m)
        shift = order * s  # centre of the integrand
        return simpson(
            lambda z: math.exp(order * (m + s * z) - z * z / 2) / math.sqrt(2 * math.pi), shift - 12, shift + 12, 4000
        )

    return {
        "median": math.exp(m),
        "mean": moment(1),
        "quantiles": [math.exp(m + s * inverse_phi(p)) for p in i["probabilities"]],
        "cv": math.sqrt(math.expm1(s * s)) if s < 0.1 else math.sqrt(moment(2) / moment(1) ** 2 - 1),
    }


@case(
    "reconciliation",
    {"weights": [1, 0, 0]},
    {"indications": [5], "sds": [2], "weights": [3]},
    {"indications": [1, 2, 3, 4], "sds": [1, 1, 1, 0.01], "weights": [1, 1, 1, 1]},
)
def _(i):
    v, s = np.array(i["indications"], dtype=float), np.array(i["sds"], dtype=float)
    mean = float(np.average(v, weights=s**-2))
    # chi2 as the least of the parabola: sum (v/s)^2 - mean^2 * sum 1/s^2 would cancel, so residuals
    return {
        "weighted": float(np.average(v, weights=i["weights"])),
        "inverse_variance": mean,
        "iv_sd": float(np.sum(s**-2.0) ** -0.5),
        "spread": float(np.ptp(v) / v.mean()),
        "chi2": float((((v - mean) / s) ** 2).sum()),
    }


@case("stress_scenarios", {"cfads": -5}, {"loan": 1e9}, {"rate": 0.5, "value": 1e6})
def _(i):
    results = []
    for s in i["scenarios"]:
        value = i["value"] * (1 - s["value_drop"]) * math.exp(-s["months"] / 12 * math.log(2) / s["half_life"])
        interest = i["loan"] * i["rate"] + i["loan"] * s["rate_up"]
        short = i["loan"] - value * (1 - s["liq"])
        dscr = i["cfads"] * (1 - s["income_drop"]) / interest
        results.append({"ltv": i["loan"] / value, "dscr": dscr, "shortfall": max(short, 0)})
    return {"results": results}


@case(
    "end_to_end_pledge",
    {"liq": 0.95, "default_year": 3, "months": 36},
    {"policy_cap": 2e5, "prior_liens": 1e5, "epsilon": 0.001},
    {
        "ratios": {"accuracy": [300, 400], "validity": [90, 90]},
        "weights": {"validity": 1, "accuracy": 3},
        "months": 6,
        "model_sd": 0,
    },
    {"ltv_cap": 1, "months": 60, "half_life": 0.4, "liq": 0.9},
)
def _(i):
    total = sum(i["weights"].values())
    alpha, variance = 1.0, 0.0
    for name, (a, b) in i["ratios"].items():
        w = i["weights"][name] / total
        alpha *= (a / b) ** w
        variance += w**2 * (2 / i["epsilon"] ** 2) * (1 / a**2 + 1 / b**2)  # variance of ln A - ln B
    av = stream({**i, "quality": alpha})
    lower = av * (1 - inverse_phi(0.95) * math.sqrt(variance + i["model_sd"] ** 2))
    rv = lower * math.prod(1 - h for h in i["haircuts"]) - i["prior_liens"]
    limit, _, name = min([(i["ltv_cap"] * rv, 0, "ltv")] + [(i[f"{c}_cap"], 1 + k, c) for k, c in enumerate(CAPS)])
    net = av * 2 ** (-i["default_year"] / i["half_life"]) * (1 - i["liq"]) * (1 - i["cost"])
    lgd = 1 - min(limit, net / (1 + i["rate"]) ** i["workout"]) / limit
    rate = i["ftp"] + i["opex"] + i["pd"] * lgd + i["ec"] * (i["hurdle"] / (1 - i["tax"]) - i["rf"])
    m, n = rate / 12, i["months"]
    payment = limit * m / (1 - (1 + m) ** -n)
    balance = limit
    for _month in range(6):
        balance = balance * (1 + m) - payment
    balance = 0.0 if n == 6 else balance
    ltv = balance / (rv * 2 ** (-0.5 / i["half_life"]))
    return {
        "alpha": alpha,
        "alpha_rel_sd": math.sqrt(variance),
        "appraised": av,
        "lower_bound": lower,
        "recognised": rv,
        "limit": limit,
        "binding": name,
        "ltv_on_appraised": limit / av,
        "LGD": lgd,
        "EL": limit * i["pd"] * lgd,
        "min_rate": rate,
        "payment": payment,
        "balance_month_6": balance,
        "ltv_month_6": ltv,
        "state_month_6": ("normal", "warning", "margin_call", "liquidation")[sum(ltv >= t for t in (0.6, 0.65, 0.75))],
    }


ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def canonical(value):
    """The canonical form, character by character."""
    match value:
        case True | False | None:
            return {True: "true", False: "false", None: "null"}[value]
        case int():
            return str(value)
        case str():
            return '"' + "".join(ESCAPES.get(c, f"\\u{ord(c):04x}" if ord(c) < 32 else c) for c in value) + '"'
        case list():
            return "[" + ",".join(map(canonical, value)) + "]"
    pairs = sorted(value.items(), key=lambda pair: [ord(c) for c in pair[0]])
    return "{" + ",".join(f"{canonical(k)}:{canonical(v)}" for k, v in pairs) + "}"


@case(
    "report_hash",
    {"document": {}},
    {"document": {"b": {"z": -0, "a": [10**30, -7, [], {}]}, "a\u0001\u001f\x7f/": '"\\\b\t\n\f\r\u2028é', "A": True}},
    {"document": {"\U0001f600": 1, "\uffff": 2, "é": 3, "e\u0301": 4, "": None}},
)
def _(i):
    text = canonical(i["document"])
    return {"canonical": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def event(lender, registered):
    return {"lender": lender, "signed_at": "2026-01-01", "registered_at": registered}


@case(
    "lien_priority_cn",
    {"events": [event("B", None)]},
    {
        "events": [
            event("C", "2026-03-01T09:00:00"),
            event("B", "2026-03-01"),
            event("A", "2026-03-01"),
            event("D", None),
        ]
    },
    {"events": [event("b", None), event("a", None), event("B", None), event("银行", None), event("z", "1999-12-31")]},
)
def _(i):
    def rank(place, this):
        # how many stand before: earlier text, or equal text and earlier in the list
        others = [(o["registered_at"], k) for k, o in enumerate(i["events"]) if o["registered_at"] is not None]
        return sum(pair < (this["registered_at"], place) for pair in others)

    order = [""] * sum(e["registered_at"] is not None for e in i["events"])
    for place, this in enumerate(i["events"]):
        if this["registered_at"] is not None:
            order[rank(place, this)] = this["lender"]
    rest = sorted((e["lender"] for e in i["events"] if e["registered_at"] is None), key=lambda s: [ord(c) for c in s])
    return {"order": order + (["pro_rata:" + "+".join(rest)] if rest else [])}


def claim(lender, amount):
    return {"lender": lender, "amount": amount}


@case(
    "enforcement_waterfall",
    {"proceeds": 100},
    {"proceeds": 5e7},
    {"claims_by_rank": [[claim("A", 1), claim("B", 2)], [claim("C", 0), claim("D", 5)]], "proceeds": 5.5, "costs": 0.5},
    {"claims_by_rank": [[claim("A", 10)], [claim("B", 1)]], "proceeds": 10, "costs": 0},
)
def _(i):
    cash = max(i["proceeds"] - i["costs"], 0)
    paid, before = {}, 0.0
    for rank in i["claims_by_rank"]:
        whole = sum(c["amount"] for c in rank)
        quota = min(max((cash - before) / whole, 0), 1)  # by what is owed before, instead of what is left
        paid |= {c["lender"]: quota * c["amount"] for c in rank}
        before += whole
    return {"paid": paid, "surplus_to_pledgor": max(cash - before, 0)}
