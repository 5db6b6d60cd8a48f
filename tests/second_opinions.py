"""Second computations of the desk's methods 1 to 31, by other routes than the desk's, in plain floats.

Each entry of ``CASES`` is a function from inputs to outputs and at least three changes of the method's worked example. Where
the desk has a closed form, this sums or integrates step by step; where it solves, this enumerates or bisects.
"""

import math
from fractions import Fraction
from itertools import combinations, pairwise, permutations

import numpy as np

CASES = {}


def case(name, *changes):
    def keep(function):
        CASES[name] = (function, changes)
        return function

    return keep


def phi(x):
    return math.erfc(-x / math.sqrt(2)) / 2


def inverse_phi(p):
    """Bisection on the distribution function."""
    low, high = -40.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if phi(middle) < p else (low, middle)
    return (low + high) / 2


def simpson(function, low, high, count=2000):
    step = (high - low) / count
    inner = math.fsum((4 if k % 2 else 2) * function(low + k * step) for k in range(1, count))
    return step / 3 * (function(low) + function(high) + inner)


def npv(flows, rate, early=0.0):
    """Backwards, one year at a time, instead of powers."""
    value = 0.0
    for flow in reversed(flows):
        value = (value + flow) / (1 + rate)
    return value * (1 + rate) ** early


def tab(n, rate, tax, mid):
    # value 1 grossed up for the tax saved on its own straight-line amortisation, until it stands still
    value, saved = 1.0, tax * npv([1 / n] * n, rate, 0.5 if mid else 0)
    for _ in range(2000):
        value = 1 + value * saved
    return value


# --- cost --------------------------------------------------------------------------------------------------------------


@case(
    "cost_cas2023",
    {"mode": "both"},
    {"items": [{"year": 2024, "cost": {"a": 10}}, {"year": 2024, "cost": {}}], "age_years": 0},
    {"base_year": "2023", "quality": 1.5, "mode": "quality"},
    {"mode": "life", "age_years": 7.25, "remaining_years": 0.5},
)
def _(i):
    by_year = {}
    for item in i["items"]:
        by_year[item["year"]] = by_year.get(item["year"], 0) + sum(item["cost"].values())
    total = (
        sum(spent / i["price_index"][str(year)] for year, spent in by_year.items()) * i["price_index"][i["base_year"]]
    )
    life = 1 - i["age_years"] / (i["age_years"] + i["remaining_years"])
    delta = (i["quality"] if i["mode"] != "life" else 1) * (life if i["mode"] != "quality" else 1)
    return {"C": total, "delta": delta, "P": total * delta}


@case(
    "cost_cas9",
    {"R": 0, "r": 0},
    {"V_open": 0, "V_public": 0, "V_shared": 8000, "k_shared": 3, "own_volume": 610000000},
    {"alpha": 1, "own_volume": 0, "R": 0.5},
)
def _(i):
    share = {kind: i[f"V_{kind}"] / i["V_total"] for kind in ("open", "public", "shared")}
    beta = sum(share[kind] * i[f"k_{kind}"] for kind in share)
    monopoly = i["own_volume"] / i["industry_volume"]
    up = i["alpha"] * beta + i["alpha"] * beta * monopoly
    u = up - up * i["r"]
    return {
        "beta": beta,
        "l": monopoly,
        "U": u,
        "P": i["TC"] * u + i["TC"] * i["R"] * u,
        "P_alt": i["TC"] + i["TC"] * i["R"] * u,
    }


@case(
    "cost_ivs210_replacement",
    {"build_months": 0},
    {"build_months": 31.5, "entrepreneurial_rate": 0.3, "direct": 0},
    {"developer_margin": 0, "functional_obs": 0, "technological_obs": 0.999, "economic_obs": 0},
)
def _(i):
    years = i["build_months"] / 12
    new = (i["direct"] + i["indirect"]) * (1 + i["developer_margin"])
    new *= math.exp(math.log1p(i["entrepreneurial_rate"]) * years / 2)
    left = new
    for kind in ("functional", "technological", "economic"):
        left -= left * i[f"{kind}_obs"]
    return {"replacement_cost_new": new, "value": left}


@case(
    "ahp_weights",
    {"upper_triangle": [[1, 2, 8], [0, 1, 3], [0, 0, 1]]},
    {"upper_triangle": [[1, 9, 0.2, 3], [7, 1, 5, 0.5], [0, 0, 1, 4], [-3, 0, 0, 1]]},
    {"upper_triangle": [[0 if c <= r else 1 + ((3 * r + 2 * c) % 7) for c in range(7)] for r in range(7)]},
    {"upper_triangle": [[0 if c <= r else 1 / (1 + ((r + c) % 4)) for c in range(5)] for r in range(5)]},
)
def _(i):
    upper = np.array(i["upper_triangle"], dtype=float)
    n = len(upper)
    full = np.eye(n) + np.triu(upper, 1) + np.tril(1 / np.where(np.triu(upper, 1) > 0, upper, 1).T, -1)
    values, vectors = np.linalg.eig(full)
    best = int(np.argmax(values.real))
    weights = np.abs(vectors[:, best].real)
    ci = (values[best].real - n) / (n - 1)
    return {
        "weights": list(weights / weights.sum()),
        "lambda_max": values[best].real,
        "CI": ci,
        "CR": ci / {3: 0.58, 4: 0.9, 5: 1.12, 6: 1.24, 7: 1.32}[n],
    }


@case(
    "entropy_weights",
    {"matrix_rows_are_datasets": [[1, 0, 3], [2, 5, 3]]},
    {"matrix_rows_are_datasets": [[10, 1], [1, 10], [4, 4]]},
    {"matrix_rows_are_datasets": [[3], [0], [0], [0], [1]]},
)
def _(i):
    rows = i["matrix_rows_are_datasets"]
    divergence = []
    for column in zip(*rows, strict=True):
        # entropy from counts: ln total - sum x ln x / total
        total = sum(column)
        entropy = math.log(total) - sum(x * math.log(x) for x in column if x) / total
        divergence.append(0.0 if len(set(column)) == 1 else 1 - entropy / math.log(len(rows)))
    return {"divergence": divergence, "weights": [d / sum(divergence) for d in divergence]}


@case(
    "fuzzy_score",
    {"weights": [1, 0, 0]},
    {"weights": [2, 3, 5], "grades": [1, -1, 0, 100]},
    {"weights": [1], "membership_matrix": [[1, 0.5]], "grades": [10, 20]},
)
def _(i):
    matrix = np.array(i["membership_matrix"])
    membership = np.array(i["weights"]) @ matrix
    return {"membership": list(membership), "score": float(membership @ np.array(i["grades"]) / membership.sum())}


# --- income ------------------------------------------------------------------------------------------------------------


@case(
    "dcf_finite",
    {"stub_fraction": 0.25},
    {"stub_fraction": 0.4, "timing": "mid"},
    {"income": [-5], "rate": 0.999, "timing": "mid"},
    {"income": [1] * 200, "rate": 0.01},
)
def _(i):
    s, rate, mid = i["stub_fraction"], i["rate"], i["timing"] == "mid"
    later = npv(i["income"][1:], rate, 0.5 if mid else 0) * (1 + rate) ** -s
    return {"P": i["income"][0] * s * math.exp(-math.log1p(rate) * (s / 2 if mid else s)) + later}


@case("dcf_growing_annuity", {"g": 0.18}, {"g": -0.5, "n": 40}, {"g": 0.9, "i": 0.1, "n": 3}, {"n": 1, "F1": -7})
def _(i):
    return {"P": npv([i["F1"] * (1 + i["g"]) ** t for t in range(i["n"])], i["i"])}


@case(
    "income_share",
    {"tax": 0.25},
    {"adjustment": 0, "revenue": [0, 5]},
    {"adjustment": 1, "share_low": 0, "share_high": 0.9, "rate": 0.5},
)
def _(i):
    share = (1 - i["adjustment"]) * i["share_low"] + i["adjustment"] * i["share_high"]
    flows = [r * share - r * share * i["tax"] for r in i["revenue"]]
    return {"K": share, "F": flows, "P": npv(flows, i["rate"])}


@case("tab_factor", {"n": 1}, {"n": 25, "tax": 0.4, "rate": 0.03}, {"tax": 0}, {"mid_year": False, "rate": 0.9})
def _(i):
    return {"factor": tab(i["n"], i["rate"], i["tax"], i["mid_year"])}


@case(
    "mpeem",
    {"attrition": 0},
    {"revenue": [5e6], "ebita_margin": [-0.3], "tab_years": 1},
    {"attrition": 0.9, "rate": 0.05, "tax": 0.15, "contributory_assets": [{"asset": "x", "value": 0, "rate": 0.5}]},
)
def _(i):
    charge = sum(a["value"] * a["rate"] for a in i["contributory_assets"])
    base, flows = 1.0, []
    for revenue, margin in zip(i["revenue"], i["ebita_margin"], strict=True):
        end = base * (1 - i["attrition"])
        flows.append((base + end) / 2 * (revenue * margin * (1 - i["tax"]) - charge))
        base = end
    pv, t = npv(flows, i["rate"], 0.5), tab(i["tab_years"], i["rate"], i["tax"], True)
    return {"F": flows, "pv_before_tab": pv, "tab": t, "P": pv * t}


@case(
    "with_and_without",
    {"with_": [1, 2, 3, 4], "without_": [4, 3, 2, 1]},
    {"with_": [10], "without_": [-10], "tax": 0},
    {"rate": 0.9, "tax": 0.99},
)
def _(i):
    gap = (npv(i["with_"], i["rate"]) - npv(i["without_"], i["rate"])) * (1 - i["tax"])
    return {"F": [(a - b) * (1 - i["tax"]) for a, b in zip(i["with_"], i["without_"], strict=True)], "P": gap}


@case(
    "relief_from_royalty",
    {"tab_years": 0},
    {"mid_year": True, "tab_mid_year": False},
    {"mid_year": False, "tab_mid_year": True, "tab_years": 3},
    {"maintenance_share": 0.3, "royalty": 0.1},
)
def _(i):
    net = (i["royalty"] - i["maintenance_share"]) * (1 - i["tax"])
    pv = npv(i["revenue"], i["rate"], 0.5 if i["mid_year"] else 0) * net
    t = tab(i["tab_years"], i["rate"], i["tax"], i["tab_mid_year"]) if i["tab_years"] else 1
    return {"pv_before_tab": pv, "tab": t, "P": pv * t}


@case(
    "decaying_income",
    {"upkeep_per_year": 0},
    {"growth": 0.9, "half_life_years": 0.4, "horizon": 1.5},
    {"upkeep_per_year": 4e6},
    {"half_life_years": 30, "growth": 0.05, "rate": 0.1, "horizon": 12},
)
def _(i):
    lam = math.log(2) / i["half_life_years"]
    delta, gamma = math.log1p(i["rate"]), math.log1p(i["growth"])

    def net(years):
        def flow(t):
            return (i["F0_per_year"] * math.exp((gamma - lam) * t) - i["upkeep_per_year"]) * math.exp(-delta * t)

        return simpson(flow, 0, years, 4000)

    life = None
    if 0 < i["upkeep_per_year"] < i["F0_per_year"] and lam > gamma:
        low, high = 0.0, 1e6
        for _step in range(200):  # bisect for income = upkeep
            middle = (low + high) / 2
            above = math.log(i["F0_per_year"]) + (gamma - lam) * middle > math.log(i["upkeep_per_year"])
            low, high = (middle, high) if above else (low, middle)
        life = low
    return {
        "lambda_": lam,
        "P": net(i["horizon"]),
        "economic_life": life,
        "P_at_economic_life": None if life is None else net(life),
        "years_to_99pct_of_gross": math.log(0.01) / (gamma - lam - delta),
    }


@case(
    "weibull_attrition_dcf",
    {"shape": 1, "scale_years": 0.7},
    {"shape": 9, "scale_years": 2.5, "income": [1, -2, 3]},
    {"shape": 0.01, "scale_years": 100, "rate": 0.5},
)
def _(i):
    times = [t + 0.5 for t in range(len(i["income"]))]
    survival = [1 / math.exp(math.exp(i["shape"] * (math.log(t) - math.log(i["scale_years"])))) for t in times]
    flows = [a * b for a, b in zip(i["income"], survival, strict=True)]
    return {"survival": survival, "P": npv(flows, i["rate"], 0.5)}


@case("discount_rate", {"beta": -5}, {"beta": 0, "debt_to_value": 0}, {"debt_to_value": 0.99, "tax": 0, "kd": 0.5})
def _(i):
    build = i["rf"] + i["erp"] + i["size_premium"] + i["data_specific_premium"]
    ke = build + (i["beta"] - 1) * i["erp"]
    return {"ke": ke, "wacc": ke + i["debt_to_value"] * (i["kd"] - i["kd"] * i["tax"] - ke), "buildup": build}


@case(
    "wara_implied_rate",
    {"wacc": 0.01},
    {"assets": [{"name": "only", "value": 3, "rate": None}]},
    {"assets": [{"name": "a", "value": 1e9, "rate": 0}, {"name": "b", "value": 1, "rate": None}]},
)
def _(i):
    low, high = -1e12, 1e12
    weights = sum(a["value"] for a in i["assets"])
    for _step in range(300):
        middle = (low + high) / 2
        earned = sum(a["value"] * (middle if a["rate"] is None else a["rate"]) for a in i["assets"])
        low, high = (middle, high) if earned < i["wacc"] * weights else (low, middle)
    return {"implied_rate": (low + high) / 2}


@case(
    "pretax_rate_equivalence",
    {"tax": 0},
    {"ebit": [1], "tax": 0.9},
    {"ebit": [1, 2, 3, 50, 1e-3, 7], "tax": 0.99, "post_tax_rate": 0.01},
    {"ebit": [5] * 60, "tax": 0.4},
)
def _(i):
    value = npv([e * (1 - i["tax"]) for e in i["ebit"]], i["post_tax_rate"])
    low, high = i["post_tax_rate"], 1e6
    for _step in range(300):
        middle = (low + high) / 2
        low, high = (middle, high) if npv(i["ebit"], middle) > value else (low, middle)
    return {"P": value, "pre_tax_rate": low, "gross_up_shortcut": i["post_tax_rate"] / (1 - i["tax"])}


# --- market, options, infonomics ---------------------------------------------------------------------------------------


def subset(q, *factors):
    return {"Q": q, **dict(zip(("quality", "supply_demand", "date", "volume", "other"), factors, strict=True))}


@case(
    "market_cas2023",
    {"sets": [subset(1, 3, 1, 1, 1, 1)]},
    {"sets": [subset(7, 0.33, 1, 1, 1, 1), subset(1e9, 5, 0.5, 1, 1, 1)]},
    {"sets": [subset(10, 0.2, 5, 0.2, 5, 1)] * 4},
)
def _(i):
    parts = [s["Q"] * math.exp(sum(math.log(v) for k, v in s.items() if k != "Q")) for s in i["sets"]]
    return {"parts": parts, "P": math.fsum(parts)}


def deal(price, capacity, distance, **more):
    plain = {"tech": 1, "density": 1, "index_base": 1, "index_deal": 1, "other": 1}
    return {"price": price, "capacity": capacity, "dissimilarity": distance, **plain, **more}


@case(
    "market_cas9",
    {"subject_capacity": 1},
    {"comparables": [deal(9, 3, 0)]},
    {"comparables": [deal(9, 3, 0), deal(1, 2, 9, tech=0.2), deal(4, 4, 1, index_deal=2), deal(5, 1, 3, other=5)]},
)
def _(i):
    adjusted = [
        math.prod((c["price"], c["tech"], c["density"], c["other"], c["index_base"], i["subject_capacity"]))
        / (c["index_deal"] * c["capacity"])
        for c in i["comparables"]
    ]
    closeness = [1 / (1 + c["dissimilarity"]) for c in i["comparables"]]
    return {
        "adjusted": adjusted,
        "mean": float(np.mean(adjusted)),
        "median": float(np.median(adjusted)),
        "similarity_weighted": float(np.average(adjusted, weights=closeness)),
    }


@case(
    "market_hedonic_loglog",
    {"subject": [500, 0.5]},
    {"features": [[1], [2], [4]], "prices": [3, 5, 11], "subject": [8]},
    {
        "features": [[k, 1 + (k * k) % 7, 2 + (3 * k) % 5] for k in range(1, 13)],
        "prices": [10 + 3 * k + (k * 5) % 11 for k in range(1, 13)],
        "subject": [3, 3, 3],
    },
)
def _(i):
    x = np.column_stack([np.ones(len(i["prices"])), np.log(np.array(i["features"], dtype=float))])
    y = np.log(np.array(i["prices"], dtype=float))
    coef, *_rest = np.linalg.lstsq(x, y, rcond=None)
    s2 = float(np.sum((y - x @ coef) ** 2) / (len(y) - x.shape[1]))
    z = np.concatenate([[1.0], np.log(np.array(i["subject"], dtype=float))])
    _, r = np.linalg.qr(x)
    leverage = float(np.sum(np.linalg.solve(r.T, z) ** 2))
    return {
        "coef": list(coef),
        "s2": s2,
        "log_pred": float(z @ coef),
        "median_price": math.exp(z @ coef),
        "pred_sd_log": math.sqrt(s2 * (1 + leverage)),
    }


@case(
    "real_option_bsm",
    {"call": False},
    {"S": 100, "K": 100, "r": -0.02, "decay_yield_q": 0, "sigma": 0.1, "T": 0.25},
    {"S": 10, "K": 100, "r": 0.5, "decay_yield_q": 0.1, "sigma": 1.5, "T": 9},
)
def _(i):
    # expected payoff under the lognormal law, by quadrature from the strike on
    s, k, r, q, sigma, years = (i[key] for key in ("S", "K", "r", "decay_yield_q", "sigma", "T"))
    spread = sigma * math.sqrt(years)
    mean = math.log(s) + (r - q - sigma * sigma / 2) * years
    edge = (math.log(k) - mean) / spread

    def payoff(z):
        return abs(math.exp(mean + spread * z) - k) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    low, high = (edge, max(edge, spread) + 12) if i["call"] else (min(edge, 0) - 12, edge)
    d2 = -edge
    return {"d1": d2 + spread, "d2": d2, "value": math.exp(-r * years) * simpson(payoff, low, high, 20000)}


@case(
    "real_option_crr",
    {"steps": 1, "T": 1},
    {"call": False, "american": True, "steps": 37},
    {"call": True, "american": True, "steps": 64, "decay_yield_q": 0.9},
    {"S": 100, "K": 100, "r": -0.3, "decay_yield_q": 0, "american": True, "steps": 25},
    {"S": 1, "K": 3, "call": False, "steps": 90, "sigma": 1.5},
)
def _(i):
    n, dt = i["steps"], i["T"] / i["steps"]
    u = math.exp(i["sigma"] * math.sqrt(dt))
    p = (math.exp((i["r"] - i["decay_yield_q"]) * dt) - 1 / u) / (u - 1 / u)
    sign = 1 if i["call"] else -1

    def payoff(net):
        return max(sign * (i["S"] * u**net - i["K"]), 0)

    if not i["american"]:  # the binomial law, instead of rolling back
        terms = (math.comb(n, j) * p**j * (1 - p) ** (n - j) * payoff(2 * j - n) for j in range(n + 1))
        return {"p": p, "value": math.exp(-i["r"] * i["T"]) * math.fsum(terms)}
    values = [payoff(2 * j - n) for j in range(n + 1)]
    for k in range(n - 1, -1, -1):
        held = [math.exp(-i["r"] * dt) * (p * up + (1 - p) * down) for down, up in pairwise(values)]
        values = [max(h, payoff(2 * j - k)) for j, h in enumerate(held)]
    return {"p": p, "value": values[0]}


@case(
    "infonomics",
    {"lost_revenue": [], "premium": 1},
    {"kpi_informed": -1, "rev_informed": -5, "T": 1, "t": 2},
    {"relevance": [0], "scarcity_shared": 1, "partners": 0.5},
)
def _(i):
    lives = i["T"] / i["t"]
    net = i["rev_informed"] - sum(i[key] for key in ("rev_control", "acq", "adm", "app"))
    return {
        "IVI": i["validity"] * i["completeness"] * i["lifecycle"] * (1 - i["scarcity_shared"]),
        "BVI": sum(r * i["validity"] * i["completeness"] * i["timeliness"] for r in i["relevance"]),
        "PVI": (i["kpi_informed"] - i["kpi_control"]) / i["kpi_control"] * lives,
        "CVI": i["process_expense"] * i["attributable"] * lives + sum(i["lost_revenue"]),
        "MVI": i["exclusive_price"] / i["premium"] * i["partners"],
        "EVI": net * lives,
    }


# --- contribution ------------------------------------------------------------------------------------------------------


def key_of(members):
    return "".join(map(str, sorted(members))) or "empty"


def worths(n, function):
    return {key_of(s): function(s) for size in range(n + 1) for s in combinations(range(n), size)}


def game(n, function, definition="words"):
    return {"n": n, "definition": definition, "v": worths(n, function)}


RECORDS = [3, 50, 7, 11, 2]
SATURATING = "v=1-exp(-records/20), records 3,50,7,11,2"


@case(
    "semivalues",
    game(1, lambda s: 5 * len(s) + 2),
    game(2, lambda s: len(s) ** 3 - 1),
    game(5, lambda s: float(f"{1 - math.exp(-sum(RECORDS[i] for i in s) / 20):.10f}"), SATURATING),
    game(6, lambda s: sum((7 * i) % 5 for i in s) ** 2 % 17),
)
def _(i):
    n = i["n"]
    v = i["v"]
    if i["definition"] == SATURATING:
        v = worths(n, lambda s: -math.expm1(-sum(RECORDS[j] for j in s) / 20))
    marginal = [
        {
            s: v[key_of((*s, p))] - v[key_of(s)]
            for size in range(n)
            for s in combinations(sorted({*range(n)} - {p}), size)
        }
        for p in range(n)
    ]
    shapley = [0.0] * n
    orders = list(permutations(range(n)))  # by orders of arrival, instead of weights by size
    for order in orders:
        for place, player in enumerate(order):
            shapley[player] += marginal[player][tuple(sorted(order[:place]))] / len(orders)

    def beta(a, b):
        # the player arrives at a time of the Beta law: each other is there before with that probability
        def density(t):
            return t ** (b - 1) * (1 - t) ** (a - 1) / math.exp(math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))

        weight = [simpson(lambda t, s=s: density(t) * t**s * (1 - t) ** (n - 1 - s), 0, 1) for s in range(n)]
        return [sum(weight[len(s)] * m for s, m in marginal[p].items()) for p in range(n)]

    return {
        "shapley": shapley,
        "banzhaf": [float(np.mean(list(marginal[p].values()))) for p in range(n)],
        "beta_4_1": beta(4, 1),
        "beta_16_1": beta(16, 1),
        "leave_one_out": [v[key_of(range(n))] - v[key_of({*range(n)} - {p})] for p in range(n)],
    }


@case(
    "coverage_shapley",
    {"id_sets": [[1, 1, 2], [2, 3], [-4, 3, 2]]},
    {"id_sets": [[7]], "id_weights": {"7": 0.5, "8": 3}},
    {"id_sets": [[1, 2, 3], [1, 2, 3], [3, 9], [5]], "id_weights": {"-1": 2, "3": 100, "9": 0.25}},
)
def _(i):
    sets = [set(ids) for ids in i["id_sets"]]

    def weight(ids):
        return sum(i["id_weights"].get(str(x), 1) for x in ids)

    n = len(sets)
    shapley = [0.0] * n
    for order in permutations(range(n)):  # what each adds to the union, over all orders of arrival
        seen = set()
        for player in order:
            shapley[player] += weight(sets[player] - seen) / math.factorial(n)
            seen |= sets[player]
    others = [set().union(*(sets[j] for j in range(n) if j != k)) for k in range(n)]
    return {
        "shapley": shapley,
        "union": weight(set().union(*sets)),
        "exclusive_share": [weight(s - o) / weight(s) for s, o in zip(sets, others, strict=True)],
    }


def shapley_noise(n):
    """Variance of a Shapley value with unit noise on every non-empty coalition, from its weights by enumeration."""
    found = Fraction(0)
    for size in range(n):
        weight = Fraction(math.factorial(size) * math.factorial(n - size - 1), math.factorial(n))
        coalitions = math.comb(n - 1, size)
        found += coalitions * weight**2 * (2 if size else 1)
    return float(found)


@case("coverage_shapley_dp", {"n_institutions": 3}, {"n_institutions": 8, "epsilon_total": 4}, {"n_institutions": 64})
def _(i):
    n = i["n_institutions"]
    worst = max([1.0] + [1 / (k + 1) + k * (1 / k - 1 / (k + 1)) for k in range(1, n)])
    naive = math.sqrt(2) * (2**n - 1) * math.sqrt(shapley_noise(n))
    return {
        "l1_sensitivity": worst,
        "noise_scale_b_eps1": worst,
        "naive_releases": sum(math.comb(n, k) for k in range(1, n + 1)),
        "naive_sd_phi_eps1": naive,
        "direct_sd_phi_eps1": math.sqrt(2) * worst,
    }


def least_core_by_vertices(n, v):
    """All vertices of the programme: every choice of n coalitions held with equality; the best feasible one."""
    proper = [s for size in range(1, n) for s in combinations(range(n), size)]
    whole = v[key_of(range(n))]
    rows = {s: [float(p in s) for p in range(n)] + [1.0] for s in proper}
    matrix = np.array([rows[s] for s in proper])
    wanted = np.array([v[key_of(s)] for s in proper])
    best = math.inf
    for chosen in combinations(range(len(proper)), n):
        a = np.vstack([matrix[list(chosen)], [1.0] * n + [0.0]])
        if abs(np.linalg.det(a)) < 1e-9:
            continue
        x = np.linalg.solve(a, [*wanted[list(chosen)], whole])
        if np.all(matrix @ x >= wanted - 1e-9):
            best = min(best, float(x[-1]))
    return {"subsidy_e": best}


@case(
    "least_core",
    {"n": 4, "definition": "v=1 if |S|>=3 (majority of four)"},
    {"n": 2, "definition": "v=1 if |S|>=1.5"},
    {"n": 4, "definition": "coverage of 12 ids: [0,5),[3,9),[8,12),[2,2)"},
    {"n": 3, "definition": "v=1-exp(-records/0.5), records 0.1,0.25,1 (small ones)"},
    {
        "definition": "anything",
        **{k: x for k, x in game(3, lambda s: len(s) ** 2 - 2 * (0 in s)).items() if k != "definition"},
    },
)
def _(i):
    n = i["n"]
    if "v" in i:
        return least_core_by_vertices(n, i["v"])
    known = {
        "v=1 if |S|>=3 (majority of four)": lambda s: float(len(s) >= 3),
        "v=1 if |S|>=1.5": lambda s: float(len(s) >= 2),
        "coverage of 12 ids: [0,5),[3,9),[8,12),[2,2)": lambda s: (
            len(set().union(*([range(5), range(3, 9), range(8, 12), range(0)][p] for p in s))) / 12
        ),
        "v=1-exp(-records/0.5), records 0.1,0.25,1 (small ones)": lambda s: (
            1 - math.exp(-sum((0.1, 0.25, 1)[p] for p in s) / 0.5)
        ),
    }
    return least_core_by_vertices(n, worths(n, known[i["definition"]]))


@case(
    "knn_shapley",
    {"K": 1},
    {"labels_sorted_by_distance": [2, 2, 3, 2, -1], "test_label": 2, "K": 3},
    {"labels_sorted_by_distance": [0], "K": 1},
    {"labels_sorted_by_distance": [1, 0, 1, 1, 0, 1], "K": 6},
)
def _(i):
    labels, n = i["labels_sorted_by_distance"], len(i["labels_sorted_by_distance"])

    def utility(members):
        nearest = sorted(members)[: i["K"]]
        return sum(labels[p] == i["test_label"] for p in nearest) / i["K"]

    values = [0.0] * n
    for order in permutations(range(n)):
        for place, player in enumerate(order):
            gain = utility(order[: place + 1]) - utility(order[:place])
            values[player] += gain / math.factorial(n)
    return {"values": values, "total": utility(range(n))}


@case(
    "dp_shapley_error",
    {"n_institutions": 1},
    {"n_institutions": 5, "sigma_of_each_noised_utility": 0},
    {"n_institutions": 40},
)
def _(i):
    n = i["n_institutions"]
    c = shapley_noise(n)
    return {"var_coefficient": c, "sd_phi": i["sigma_of_each_noised_utility"] * c**0.5, "coalitions": (1 << n) - 1}


@case("value_allocation", {"phi": [1, -0.5, 3]}, {"phi": [2], "pool_value": 0}, {"phi": [-3, 1, 1e-3]})
def _(i):
    phi, v = np.array(i["phi"], dtype=float), i["pool_value"]
    return {"proportional": list(v * phi / phi.sum()), "clipped": list(v * phi.clip(0) / phi.clip(0).sum())}
