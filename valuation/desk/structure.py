"""Methods 48 to 51: guarantees and securitised pools under one common factor, and the cash waterfall of two classes.

The integrals are in double precision, over panels fine enough that their error is far below 1e-9; every threshold is
decided on exact values first.
"""

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, localcontext
from fractions import Fraction
from math import comb, erfc, fsum, inf, log, log1p, pi, sqrt
from math import exp as exp_float

from valuation.desk.credit import EAD, LGD, LGD_RANGE, PD, PD_RANGE, USUAL_LGD, USUAL_PD
from valuation.desk.method import Figures, Given, Output, field, method, series
from valuation.desk.reals import below, jointly_below, panels, quantile, root
from valuation.errors import OutOfRange

_ZERO, _ONE = Fraction(0), Fraction(1)
_USUAL_CORRELATION = "[0.12,0.25]"

RHO = field("rho", "", "(0,0.6]", "asset correlation ρ", usual=_USUAL_CORRELATION)

REACH = 9.0
"""The common factor is integrated over [-9, 9]; outside lie 2e-19 of its probability."""

_PANELS = 72
_LEAST = 1e-320
_LEAST_LOG = -745.0
_CASH_DIGITS = 500_000


@method(
    title="Guarantee of a correlated guarantor",
    formula="j = Φ₂(Φ⁻¹(p), Φ⁻¹(g); ρ);  EL = EAD·LGD·[(1−c)·p + c·j];  EL_saved = EAD·LGD·p − EL;  fee = LGD·(p − j)",
    latex=r"j=\Phi_2\bigl(\Phi^{-1}(p),\Phi^{-1}(g);\rho\bigr),\quad EL=EAD\cdot LGD\,[(1-c)p+cj],\quad f=LGD\,(p-j)",
    source="Gaussian copula, double-default reasoning; the integral as in Drezner and Wesolowsky 1990",
    inputs=(
        EAD,
        LGD,
        field("PD", "1/y", PD_RANGE, "borrower's default probability p", usual=USUAL_PD),
        field("PD_guarantor", "1/y", PD_RANGE, "guarantor's default probability g"),
        field("correlation", "", "[0,0.6]", "asset correlation ρ", usual=_USUAL_CORRELATION),
        field("coverage", "share", "[0,1]", "covered share c", usual="[0.7,1]"),
    ),
    outputs=(
        Output("joint_pd", "1/y", "probability that both default"),
        Output("EL", "¥", "expected loss with the guarantee"),
        Output("EL_saved", "¥", "expected loss that it takes away"),
        Output("fair_fee_on_covered", "1/y", "fee per unit of covered amount"),
    ),
    numeric=True,
)
def guarantee_joint_default(given: Given) -> Figures:
    """Expected loss with a guarantor of correlated default."""
    default, loss, covered = given["PD"], given["LGD"], given["coverage"]
    joint = jointly_below(default, given["PD_guarantor"], given["correlation"])
    exposure = given["EAD"] * loss
    saved = default - joint
    return {
        "joint_pd": joint,
        "EL": exposure * (default - covered * saved),
        "EL_saved": exposure * covered * saved,
        "fair_fee_on_covered": loss * saved,
    }


def _conditional(default: Fraction, correlation: Fraction) -> tuple[float, float]:
    """Level and slope of the conditional default probability Φ(level − slope z)."""
    rest = root(1 - correlation)
    return float(quantile(default) / rest), float(root(correlation) / rest)


def _normal(value: float) -> float:
    return erfc(-value / sqrt(2)) / 2


@method(
    title="Tranche of a large homogeneous pool",
    formula="L(z) = LGD·Φ((Φ⁻¹(PD) − √ρ·z)/√(1−ρ));  tranche_el = E[min((L−a)⁺, d−a)]/(d−a);  prob_hit = P(L > a) = Φ(z_a);  "
    "pool_el = PD·LGD",
    latex=r"L(z)=LGD\,\Phi\Bigl(\frac{\Phi^{-1}(PD)-\sqrt\rho z}{\sqrt{1-\rho}}\Bigr),\quad "
    r"\frac{E[\min((L-a)^+,d-a)]}{d-a},\quad P(L>a)=\Phi(z_a)",
    source="Vasicek 2002",
    inputs=(
        PD,
        LGD,
        RHO,
        field("attach", "share of pool", "[0,1)", "attachment a"),
        field("detach", "share of pool", "(0,1]", "detachment d"),
    ),
    outputs=(
        Output("tranche_el", "share of tranche", "expected loss of the tranche"),
        Output("prob_hit", "probability", "that the pool's loss exceeds a"),
        Output("pool_el", "share of pool", "expected loss of the pool"),
    ),
    conditions=("detach > attach",),
    numeric=True,
)
def abs_tranche_lhp(given: Given) -> Figures:
    """Expected loss of a tranche on a large homogeneous pool."""
    default, loss, correlation = given["PD"], given["LGD"], given["rho"]
    low, high = given["attach"], given["detach"]
    if high <= low:
        raise OutOfRange("detach", "(attach,1]")

    def factor_at(share: Fraction) -> Fraction:
        """The factor at which the pool loses exactly ``share``, in (0, LGD)."""
        return (quantile(default) - root(1 - correlation) * quantile(share / loss)) / root(correlation)

    pool = default * loss
    if low >= loss:
        return {"tranche_el": _ZERO, "prob_hit": _ZERO, "pool_el": pool}
    hit = _ONE if low == 0 else below(factor_at(low))
    full = below(factor_at(high)) if high < loss else _ZERO
    # the loss falls in z: up to z(high) the tranche is gone, from there to z(low) it loses L(z) - low
    start = float(factor_at(high)) if high < loss else -inf
    end = float(factor_at(low)) if low > 0 else inf
    top = min(end, 14.0)
    bottom = max(start, min(top, 0.0) - 14.0)
    level, slope = _conditional(default, correlation)
    partial = 0.0
    if bottom < top:
        partial = fsum(
            weight * max(float(loss) * _normal(level - slope * point) - float(low), 0.0) * exp_float(-point * point / 2)
            for point, weight in panels(bottom, top, _PANELS)
        ) / sqrt(2 * pi)
    return {"tranche_el": full + Fraction(partial) / (high - low), "prob_hit": hit, "pool_el": pool}


@method(
    title="Exact loss of a small pool",
    formula="p(z) = Φ((Φ⁻¹(PD) − √ρ·z)/√(1−ρ));  P_k = ∫ C(n,k)·p(z)^k·(1−p(z))^(n−k)·φ(z) dz;  "
    "P_0;  1 − P_0 − P_1;  Σ P_k over LGD·k/n > sub;  Σ P_k·(LGD·k/n − sub)⁺/(1 − sub)",
    latex=r"P_k=\int\binom nkp(z)^k(1-p(z))^{n-k}\varphi(z)\,dz,\quad \sum_{k:\,LGD\,k/n>s}P_k,\quad "
    r"\sum_kP_k\frac{(LGD\,k/n-s)^+}{1-s}",
    source="Vasicek one-factor binomial mixture",
    inputs=(
        field("obligors", "", "[1,500]", "n", whole=True),
        PD,
        field("LGD", "share", LGD_RANGE, "loss given default", usual=USUAL_LGD),
        RHO,
        field("subordination", "share of pool", "[0,1)", "loss the senior class does not bear"),
    ),
    outputs=(
        Output("p_zero", "probability", "no default"),
        Output("p_two_or_more", "probability", "two defaults or more"),
        Output("p_senior_loss", "probability", "the senior class loses"),
        Output("senior_el", "share of the senior class", "expected loss of the senior class"),
    ),
    numeric=True,
)
def abs_small_pool(given: Given) -> Figures:
    """Exact loss distribution of n equal obligors under one factor."""
    count, loss, subordination = given["obligors"], given["LGD"], given["subordination"]
    excess = [loss * defaults / count - subordination for defaults in range(count + 1)]
    probabilities = [Fraction(chance) for chance in _defaults(count, given["PD"], given["rho"])]
    losing = [defaults for defaults in range(count + 1) if excess[defaults] > 0]  # strictly, on exact values
    return {
        "p_zero": probabilities[0],
        "p_two_or_more": sum(probabilities[2:], _ZERO),
        "p_senior_loss": sum((probabilities[defaults] for defaults in losing), _ZERO),
        "senior_el": sum((probabilities[defaults] * excess[defaults] for defaults in losing), _ZERO)
        / (1 - subordination),
    }


def _defaults(count: int, default: Fraction, correlation: Fraction) -> list[float]:
    """Probability of 0 … ``count`` defaults."""
    level, slope = _conditional(default, correlation)
    nodes = []
    for point, weight in panels(-REACH, REACH, _PANELS):
        one = _normal(level - slope * point)
        other = _normal(slope * point - level)
        hit = log(max(one, _LEAST)) if one < 0.5 else log1p(-other)
        missed = log1p(-one) if one < 0.5 else log(max(other, _LEAST))
        nodes.append((hit, missed, log(weight) - point * point / 2 - log(2 * pi) / 2))
    found = []
    for defaults in range(count + 1):
        ways = log(comb(count, defaults))
        terms = (ways + defaults * hit + (count - defaults) * missed + density for hit, missed, density in nodes)
        found.append(fsum(exp_float(term) for term in terms if term > _LEAST_LOG))
    return found


@method(
    title="Two-class cash waterfall",
    formula="per period: collections + reserve → fee → S·senior_rate (shortfall counted, not capitalised) → reserve to target "
    "if S > 0 → senior principal → if S = 0: J·junior_rate, junior principal, reserve released to junior principal → out",
    latex=r"\text{cash}_t=c_t+\text{reserve}\ \to\ f\ \to\ S\,r_S\ \to\ \text{reserve}\ (S>0)\ \to\ S\ \to\ (S=0:)\ J\,r_J\ "
    r"\to\ J\ \to\ \text{release}\ \to\ J",
    source="product rule; two-class sequential ABS",
    inputs=(
        series("collections", "¥", ">=0", "cash collected per period"),
        field("fee", "¥/period", ">=0", "senior fee"),
        field("senior_rate", "per period", "[0,1)", "senior coupon per period"),
        field("senior", "¥", ">=0", "senior balance"),
        field("junior", "¥", ">=0", "junior balance"),
        field("junior_rate", "per period", "[0,1)", "junior coupon per period"),
        field("reserve_start", "¥", ">=0", "reserve before period 1"),
        field("reserve_target", "¥", ">=0", "target"),
    ),
    outputs=(
        Output("senior_principal", "¥", "by period", "list of number"),
        Output("senior_left", "¥", "senior balance at the end"),
        Output("junior_left", "¥", "junior balance at the end"),
        Output("senior_interest_shortfall", "¥", "sum of unpaid senior interest"),
        Output("reserve_end", "¥", "reserve after the last period"),
    ),
)
def abs_waterfall(given: Given) -> Figures:
    """Two-class cash waterfall with a reserve."""
    # sums, differences, products and minima of decimals stay decimals: exact, and cheaper than fractions that must be reduced
    with localcontext(Context(prec=_CASH_DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])):
        amounts = {key: _plain(value) for key, value in given.items() if key != "collections"}
        collections = [_plain(value) for value in given["collections"]]
        return _pour(collections, amounts)


def _plain(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _pour(collections: list[Decimal], amounts: dict[str, Decimal]) -> Figures:
    senior, junior, reserve = amounts["senior"], amounts["junior"], amounts["reserve_start"]
    shortfall, principal = Decimal(0), []
    for collected in collections:
        cash, reserve = collected + reserve, Decimal(0)
        cash -= min(amounts["fee"], cash)
        due = senior * amounts["senior_rate"]
        paid = min(due, cash)
        cash, shortfall = cash - paid, shortfall + due - paid
        if senior > 0:
            reserve = min(amounts["reserve_target"], cash)
            cash -= reserve
        repaid = min(senior, cash)
        cash, senior = cash - repaid, senior - repaid
        principal.append(repaid)
        if senior == 0:
            cash -= min(junior * amounts["junior_rate"], cash)
            repaid = min(junior, cash)
            junior -= repaid
            junior -= min(junior, reserve)
            reserve = Decimal(0)
    return {
        "senior_principal": [Fraction(repaid) for repaid in principal],
        "senior_left": Fraction(senior),
        "junior_left": Fraction(junior),
        "senior_interest_shortfall": Fraction(shortfall),
        "reserve_end": Fraction(reserve),
    }
